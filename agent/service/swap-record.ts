import type { ReleaseFigures } from '../../proxy/figures.ts'
import type { OutcomeName, Phase, Receipt } from '../control/shapes.ts'
import type { Figures } from '../master-link.ts'
import { labelOf, type ReleaseRecord } from '../swap/state.ts'

/** Sums over all releases of the service, at one moment. */
export interface Tally {
  readonly lost: number
  readonly cut: number
  readonly retried: number
  readonly drained: number
  readonly streamsEnded: number
  readonly upgradedEnded: number
  readonly violations: number
}

export function tally(figures: Figures | null, service: string): Tally {
  const own = figures?.services.find((one) => one.service === service)
  const sum = (field: 'lost' | 'cut' | 'retried' | 'drained' | 'streamsEnded' | 'upgradedEnded'): number => (own?.releases ?? []).reduce((total, one) => total + one[field], 0)
  return {
    lost: sum('lost'), cut: sum('cut'), retried: sum('retried'), drained: sum('drained'),
    streamsEnded: sum('streamsEnded'), upgradedEnded: sum('upgradedEnded'), violations: own?.violations ?? 0,
  }
}

export function releaseFigures(figures: Figures | null, service: string, release: string): ReleaseFigures | undefined {
  return figures?.services.find((one) => one.service === service)?.releases.find((one) => one.release === release)
}

/** The stopwatch of one swap: when each phase was reached, and what the ledger said at its begin. */
export class SwapRecord {
  readonly release: string
  readonly name: string | null
  /** The release that was live when the swap began. */
  readonly previous: string | null
  readonly #previousLabel: string | null
  readonly startedAt = new Date().toISOString()
  readonly #begun = performance.now()
  readonly #reached = new Map<Phase, number>()
  readonly before: Promise<Figures | null>
  /** What was in flight at the flip has been asked for. */
  flipSeen = false
  inFlightAtFlip = 0
  longestParkMs = 0
  /** How long the old release took to stop; known only after the outcome. */
  stopMs: number | null = null
  survivors: readonly number[] = []
  onStopped: (() => void) | null = null

  constructor(record: ReleaseRecord, previous: ReleaseRecord | undefined, before: Promise<Figures | null>) {
    this.release = record.id
    this.name = record.name
    this.previous = previous?.id ?? null
    this.#previousLabel = labelOf(previous)
    this.before = before
  }

  /** Milliseconds since the swap was taken in. */
  elapsed(): number {
    return Math.round(performance.now() - this.#begun)
  }

  reached(phase: Phase): void {
    if (!this.#reached.has(phase)) this.#reached.set(phase, performance.now())
  }

  receipt(service: string, outcome: OutcomeName, reason: string | null, before: Tally, after: Tally): Receipt {
    const between = (from: Phase, to: Phase): number | null => {
      const begin = this.#reached.get(from)
      const end = this.#reached.get(to)
      return begin === undefined || end === undefined ? null : Math.round((end - begin) * 10) / 10
    }
    return {
      schema: 1, service, release: this.release, name: this.name, previous: this.#previousLabel, outcome, reason, startedAt: this.startedAt,
      phasesMs: {
        takeIn: between('queued', 'booting'), boot: between('booting', 'checking'), health: between('checking', 'flipping'),
        flip: between('flipping', 'flipped'), drain: between('flipped', 'drained'), bake: between('flipped', 'confirmed'), stop: this.stopMs,
      },
      inFlightAtFlip: this.inFlightAtFlip,
      longestParkMs: Math.round(this.longestParkMs * 10) / 10,
      drained: after.drained - before.drained,
      cut: after.cut - before.cut,
      retried: after.retried - before.retried,
      streamsEnded: after.streamsEnded - before.streamsEnded,
      upgradedEnded: after.upgradedEnded - before.upgradedEnded,
      lost: after.lost - before.lost,
      violations: after.violations - before.violations,
      survivors: this.survivors,
    }
  }
}
