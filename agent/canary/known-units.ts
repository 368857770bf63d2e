import type { Arm } from '../../proxy/canary/split.ts'

/** What the counted events of a unit have shown of its bucket: it lies from `low` up to, and not including, `high`. */
export interface Known {
  readonly low: number
  readonly high: number
}

const nothing: Known = Object.freeze({ low: 0, high: 1 })

/**
 * The units that have been counted, and what that has shown of each one's bucket. A unit that goes bad again is
 * counted with its chance *given that*: nothing where its arm is known, so nobody is counted twice for the same thing.
 * It saturates: once full it takes no new units and forgets no old ones, because who is forgotten would be counted again.
 */
export class KnownUnits {
  readonly #units = new Map<string, Known>()
  readonly #limit: number
  #full = false

  constructor(limit: number, entries: Iterable<readonly [string, number, number]> = []) {
    this.#limit = limit
    for (const [unit, low, high] of entries) this.#units.set(unit, { low, high })
  }

  get size(): number {
    return this.#units.size
  }

  /** True once a unit had to be left out. */
  get full(): boolean {
    return this.#full
  }

  has(unit: string): boolean {
    return this.#units.has(unit)
  }

  /** The chance that the unit meets the canary under this share, given all that has been counted of it: from 0 to 1. */
  chance(unit: string, share: number): number {
    const { low, high } = this.#units.get(unit) ?? nothing
    return Math.min(1, Math.max(0, (share - low) / (high - low)))
  }

  /** Its arm under this share has been counted. False where there is no room for a new unit: then it must not count. */
  show(unit: string, share: number, arm: Arm): boolean {
    const before = this.#units.get(unit)
    if (before === undefined && this.#units.size >= this.#limit) {
      this.#full = true
      return false
    }
    const { low, high } = before ?? nothing
    this.#units.set(unit, arm === 'canary' ? { low, high: Math.min(high, share) } : { low: Math.max(low, share), high })
    return true
  }

  entries(): (readonly [string, number, number])[] {
    return [...this.#units].map(([unit, { low, high }]) => [unit, low, high] as const)
  }
}
