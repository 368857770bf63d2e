import type { Arm } from '../../proxy/canary/split.ts'
import type { MetricName } from '../../proxy/canary/unit-event.ts'

/** A phase is the time between two changes of the share. Plain data. */
export interface PhaseFigures {
  readonly phase: number
  readonly share: number
  /** Distinct units seen. No decision may look at one arm alone: see docs/canary-verdict.md. */
  readonly units: { readonly canary: number; readonly stable: number }
  /** Distinct units that went bad in this phase, in the order of the metrics. */
  readonly affected: readonly { readonly metric: MetricName; readonly canary: number; readonly stable: number }[]
}

/**
 * Counts distinct units of one phase. The sets live in memory only: after a crash the count of units goes on from
 * zero and the larger of both is shown (never too many), that of the affected is added up (never too few).
 */
export class PhaseCount {
  readonly phase: number
  readonly share: number
  readonly #before: PhaseFigures | null
  readonly #limit: number
  readonly #seen = new Set<string>()
  readonly #firsts = new Set<string>()
  readonly #bad = new Set<string>()
  readonly #units = { canary: 0, stable: 0 }
  readonly #affected = new Map<MetricName, { canary: number; stable: number }>()
  #full = false

  constructor(phase: number, share: number, limit: number, before: PhaseFigures | null = null) {
    this.phase = phase
    this.share = share
    this.#limit = limit
    this.#before = before
  }

  /** True once a unit could not be remembered any more. */
  get full(): boolean {
    return this.#full
  }

  seen(unit: string | null, arm: Arm): void {
    if (unit === null || this.#add(this.#seen, unit)) this.#units[arm] += 1
  }

  /** True for the first call with this metric and unit in the phase. */
  first(metric: MetricName, unit: string | null): boolean {
    return unit === null || this.#add(this.#firsts, `${metric} ${unit}`)
  }

  affected(metric: MetricName, unit: string | null, arm: Arm): void {
    if (unit !== null && !this.#add(this.#bad, `${metric} ${unit}`)) return
    const count = this.#affected.get(metric) ?? { canary: 0, stable: 0 }
    count[arm] += 1
    this.#affected.set(metric, count)
  }

  figures(metrics: readonly MetricName[]): PhaseFigures {
    const before = this.#before
    const affected = metrics.map((metric) => {
      const now = this.#affected.get(metric) ?? { canary: 0, stable: 0 }
      const then = before?.affected.find((one) => one.metric === metric) ?? { canary: 0, stable: 0 }
      return { metric, canary: now.canary + then.canary, stable: now.stable + then.stable }
    })
    const units = { canary: Math.max(this.#units.canary, before?.units.canary ?? 0), stable: Math.max(this.#units.stable, before?.units.stable ?? 0) }
    return { phase: this.phase, share: this.share, units, affected }
  }

  #add(set: Set<string>, entry: string): boolean {
    if (set.has(entry)) return false
    if (set.size >= this.#limit) {
      this.#full = true
      return false
    }
    set.add(entry)
    return true
  }
}
