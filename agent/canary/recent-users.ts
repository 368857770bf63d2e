import type { Affected } from './bake-rule.ts'

interface Slice {
  readonly from: number
  readonly users: Set<string>
  readonly affected: Set<string>
}

/**
 * Distinct users of the last minutes and those affected among them, in slices of a minute, for the bake's rule.
 * Bounded: what does not fit into a slice is left out on both sides alike.
 */
export class RecentUsers {
  readonly #sliceMs: number
  readonly #slices: number
  readonly #limit: number
  #kept: Slice[] = []

  /** @param memoryMs how far back it remembers, at least; @param limit users for each slice. */
  constructor(memoryMs: number, limit = 20_000, slices = 10) {
    this.#sliceMs = memoryMs / slices
    this.#slices = slices
    this.#limit = limit
  }

  add(user: string, affected: boolean, atMs: number): void {
    const slice = this.#sliceAt(atMs)
    if (!slice.users.has(user) && slice.users.size >= this.#limit) return
    slice.users.add(user)
    if (affected) slice.affected.add(user)
  }

  /** Everybody since then, each once. Whole slices: up to one slice more than asked for. */
  since(fromMs: number): Affected {
    const slices = this.#kept.filter((slice) => slice.from + this.#sliceMs > fromMs)
    const users = new Set<string>()
    const affected = new Set<string>()
    for (const slice of slices) {
      for (const user of slice.users) users.add(user)
      for (const user of slice.affected) affected.add(user)
    }
    return { users: users.size, affected: affected.size }
  }

  #sliceAt(atMs: number): Slice {
    const last = this.#kept.at(-1)
    const from = Math.floor(atMs / this.#sliceMs) * this.#sliceMs
    // A late one belongs to the newest slice: what is over is not touched any more.
    if (last !== undefined && last.from >= from) return last
    const slice = { from, users: new Set<string>(), affected: new Set<string>() }
    this.#kept = [...this.#kept, slice].filter((one) => one.from > from - this.#sliceMs * (this.#slices + 1))
    return slice
  }
}
