import type { MetricName, UnitEvent } from '../../proxy/canary/unit-event.ts'
import { AddressCap } from './address-cap.ts'
import { KnownUnits } from './known-units.ts'
import type { Metric } from './metrics.ts'
import { PhaseCount, type PhaseFigures } from './phase-count.ts'
import { addTo, type Tally } from './tallies.ts'

export interface EvidenceLimits {
  /** Units that can be counted as evidence; more are left out, and "evidence full" is shown. */
  readonly units: number
  /** Units seen and told apart in one phase. */
  readonly seen: number
  /** Units that one client address can bring in. */
  readonly perAddress: number
}

export const evidenceLimits: EvidenceLimits = Object.freeze({ units: 20_000, seen: 100_000, perAddress: 2 })

/** What is journaled. Plain data; who has been seen without harm is not in it, because forgetting them does no harm. */
export interface EvidenceJournal {
  readonly phases: readonly PhaseFigures[]
  readonly tallies: readonly { readonly metric: MetricName; readonly tallies: readonly Tally[] }[]
  /** [unit, low, high] */
  readonly units: readonly (readonly [string, number, number])[]
  readonly addresses: readonly (readonly [string, number])[]
  readonly leftOut: LeftOut
}

/** Events of units that went bad and were not counted as evidence, by the reason. */
export interface LeftOut {
  /** Drawn before the canary began. */
  readonly early: number
  /** The evidence was full. */
  readonly full: number
  /** The client address had brought in its part. */
  readonly capped: number
  /** On an arm that the unit cannot have been on: a fault of ours or two gracers with different salts. */
  readonly contradicting: number
}

const nothingLeftOut: LeftOut = Object.freeze({ early: 0, full: 0, capped: 0, contradicting: 0 })

/** Takes in what the workers tell of requests, and keeps for each metric the tallies that the verdict is computed from. */
export class Evidence {
  readonly #metrics: readonly Metric[]
  readonly #limits: EvidenceLimits
  readonly #startedAtMs: number
  readonly #known: KnownUnits
  readonly #addresses: AddressCap
  readonly #tallies = new Map<MetricName, Map<number, Tally>>()
  readonly #ended: PhaseFigures[] = []
  readonly #leftOut: { -readonly [Name in keyof LeftOut]: number }
  /** The phase that runs, and the one before, of which late replies still come. */
  #phase: PhaseCount
  #last: PhaseCount | null = null
  #counted = 0

  /** @param startedAtMs when the canary began, on the clock of the events; for the warm-up. */
  constructor(metrics: readonly Metric[], limits: EvidenceLimits, startedAtMs: number, journal: EvidenceJournal | null = null) {
    this.#metrics = metrics
    this.#limits = limits
    this.#startedAtMs = startedAtMs
    this.#known = new KnownUnits(limits.units, journal?.units)
    this.#addresses = new AddressCap(limits.perAddress, limits.units, journal?.addresses)
    this.#leftOut = { ...(journal?.leftOut ?? nothingLeftOut) }
    for (const { name } of metrics) {
      const kept = journal?.tallies.find((one) => one.metric === name)?.tallies ?? []
      this.#tallies.set(name, new Map(kept.map((tally) => [tally.share, tally])))
    }
    const before = journal?.phases.at(-1) ?? null
    this.#ended.push(...(journal?.phases.slice(0, -1) ?? []))
    this.#phase = new PhaseCount(before?.phase ?? 0, before?.share ?? 0, limits.seen, before)
  }

  /** The share has changed: units are seen for the first time again. */
  beginPhase(phase: number, share: number): void {
    if (this.#last !== null) this.#ended.push(this.#figuresOf(this.#last))
    this.#last = this.#phase.phase > 0 ? this.#phase : null
    this.#phase = new PhaseCount(phase, share, this.#limits.seen)
  }

  add(event: UnitEvent): void {
    if (event.phase < 1) {
      if (event.bad.length > 0) this.#leftOut.early += 1
      return
    }
    const count = event.phase === this.#phase.phase ? this.#phase : event.phase === this.#last?.phase ? this.#last : null
    count?.seen(event.unit, event.arm)
    for (const metric of this.#metrics) {
      if (metric.counts === 'first-request' && event.good.includes(metric.name)) this.#isCounted(metric, event, count)
    }
    if (event.bad.length === 0) return
    const bad = this.#metrics.filter((metric) => event.bad.includes(metric.name) && this.#isCounted(metric, event, count))
    for (const metric of bad) count?.affected(metric.name, event.unit, event.arm)
    if (bad.length > 0) this.#count(event, bad)
  }

  /** May this event count for the metric? Marks the unit's first request of the phase as looked at. */
  #isCounted(metric: Metric, event: UnitEvent, count: PhaseCount | null): boolean {
    if (event.share > metric.frozenAbove || event.atMs < this.#startedAtMs + metric.warmUpMs) return false
    if (metric.counts === 'first-bad') return true
    // Of older phases nobody remembers whose first request was which.
    return count !== null && count.first(metric.name, event.unit)
  }

  /**
   * The one place where evidence arises. None of its conditions looks at the arm, only at what has been counted before;
   * where one did, the test would not be exact any more.
   */
  #count(event: UnitEvent, bad: readonly Metric[]): void {
    const { unit, share, arm, address } = event
    const chance = unit === null ? share : this.#known.chance(unit, share)
    const isNew = unit === null || !this.#known.has(unit)
    if ((chance === 0 && arm === 'canary') || (chance === 1 && arm === 'stable')) {
      this.#leftOut.contradicting += 1
      return
    }
    // Its arm is known: being there says nothing.
    if (chance === 0 || chance === 1) return
    if (isNew && address !== undefined && !this.#addresses.allows(address)) {
      this.#leftOut.capped += 1
      return
    }
    if (unit !== null && !this.#known.show(unit, share, arm)) {
      this.#leftOut.full += 1
      return
    }
    if (isNew && address !== undefined) this.#addresses.count(address)
    this.#counted += 1
    for (const { name } of bad) {
      const tallies = this.#tallies.get(name)
      if (tallies !== undefined) addTo(tallies, chance, arm)
    }
  }

  tallies(metric: MetricName): readonly Tally[] {
    return [...(this.#tallies.get(metric)?.values() ?? [])]
  }

  /** Rises whenever evidence has come in: as long as it does not, the verdict cannot have become worse. */
  get counted(): number {
    return this.#counted
  }

  /** The phase that runs. */
  get figures(): PhaseFigures {
    return this.#figuresOf(this.#phase)
  }

  /** All phases, the one that runs last. */
  get phases(): readonly PhaseFigures[] {
    return [...this.#ended, ...(this.#last === null ? [] : [this.#figuresOf(this.#last)]), this.figures]
  }

  /** True once units had to be left out: of the evidence, or of the count of this phase. */
  get full(): boolean {
    return this.#known.full || this.#phase.full
  }

  get leftOut(): LeftOut {
    return { ...this.#leftOut }
  }

  journal(): EvidenceJournal {
    return {
      phases: this.phases,
      tallies: this.#metrics.map(({ name }) => ({ metric: name, tallies: this.tallies(name) })),
      units: this.#known.entries(),
      addresses: this.#addresses.entries(),
      leftOut: this.leftOut,
    }
  }

  #figuresOf(phase: PhaseCount): PhaseFigures {
    return phase.figures(this.#metrics.map(({ name }) => name))
  }
}
