import { rmSync } from 'node:fs'
import { readJson, replaceFile } from '../../proxy/atomic-file.ts'
import type { CanaryReport, OutcomeName, Phase, Receipt } from '../control/shapes.ts'
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
  /** Requests that were held and answered with 503. */
  readonly heldOut: number
}

export function tally(figures: Figures | null, service: string): Tally {
  const own = figures?.services.find((one) => one.service === service)
  const sum = (field: 'lost' | 'cut' | 'retried' | 'drained' | 'streamsEnded' | 'upgradedEnded'): number => (own?.releases ?? []).reduce((total, one) => total + one[field], 0)
  return {
    lost: sum('lost'), cut: sum('cut'), retried: sum('retried'), drained: sum('drained'),
    streamsEnded: sum('streamsEnded'), upgradedEnded: sum('upgradedEnded'), violations: own?.violations ?? 0,
    heldOut: (own?.waits.refused['hold-timeout'] ?? 0) + (own?.waits.refused['hold-full'] ?? 0),
  }
}

/** What of a record outlives its agent: plain data. Times in milliseconds since the swap was taken in. */
interface KeptRecord {
  readonly startedAt: string
  readonly previous: string | null
  readonly previousLabel: string | null
  readonly before: Tally | null
  readonly reached: readonly (readonly [Phase, number])[]
  readonly inFlightAtFlip: number | null
  readonly longestParkMs: number
  /** Nothing answered for so long; null: something always did. */
  readonly outageMs?: number | null
  /** Nothing has answered since then (wall clock). */
  readonly unservedSince?: number | null
}

/**
 * The stopwatch of one swap: when each phase was reached, and what the ledger said at its begin. It is kept in a file
 * as well, so that the receipt is whole when another agent finishes the swap.
 */
export class SwapRecord {
  readonly release: string
  readonly name: string | null
  /** The release that was live when the swap began. */
  readonly previous: string | null
  readonly #previousLabel: string | null
  readonly #startedAt: string
  readonly #begun: number
  readonly #reached: Map<Phase, number>
  readonly #file: string
  #before: Tally | null
  /** null: not flipped yet. */
  #inFlightAtFlip: number | null
  #longestParkMs: number
  #outageMs: number | null
  #unservedSince: number | null
  /** Resolves when began() was called, or will not be. */
  counted: Promise<void> = Promise.resolve()
  /** How long the old release took to stop; known only after the outcome. */
  stopMs: number | null = null
  survivors: readonly number[] = []
  onStopped: (() => void) | null = null

  private constructor(file: string, record: ReleaseRecord, kept: KeptRecord) {
    this.#file = file
    this.release = record.id
    this.name = record.name
    this.previous = kept.previous
    this.#previousLabel = kept.previousLabel
    this.#startedAt = kept.startedAt
    this.#begun = performance.now() - Math.max(0, Date.now() - Date.parse(kept.startedAt))
    this.#reached = new Map(kept.reached)
    this.#before = kept.before
    this.#inFlightAtFlip = kept.inFlightAtFlip
    this.#longestParkMs = kept.longestParkMs
    this.#outageMs = kept.outageMs ?? null
    this.#unservedSince = kept.unservedSince ?? null
  }

  /** A swap begins. `previous`: what is live now. */
  static begin(file: string, record: ReleaseRecord, previous: ReleaseRecord | undefined): SwapRecord {
    return new SwapRecord(file, record, {
      startedAt: new Date().toISOString(), previous: previous?.id ?? null, previousLabel: labelOf(previous), before: null, reached: [], inFlightAtFlip: null, longestParkMs: 0,
    })
  }

  /** What the last agent knew of a swap that it did not finish; null where nothing was kept. */
  static resume(file: string, record: ReleaseRecord): SwapRecord | null {
    const kept = readJson(file) as KeptRecord | null
    return kept === null ? null : new SwapRecord(file, record, kept)
  }

  /** The ledger as it was when the swap began; a new master's ledgers begin at 0. */
  get before(): Tally {
    return this.#before ?? tally(null, '')
  }

  /** Milliseconds since the swap was taken in. */
  elapsed(): number {
    return Math.round(performance.now() - this.#begun)
  }

  /** What the ledger says at the begin; only the first word counts. */
  began(before: Tally): void {
    if (this.#before !== null) return
    this.#before = before
    this.#keep()
  }

  /** The data plane is new: what its ledger said before is gone, and it counts from 0. */
  startOver(): void {
    this.#before = tally(null, '')
    this.#keep()
  }

  reached(phase: Phase): void {
    if (this.#reached.has(phase)) return
    this.#reached.set(phase, performance.now() - this.#begun)
    this.#keep()
  }

  /** True once the flip has been noted. */
  get flipped(): boolean {
    return this.#inFlightAtFlip !== null
  }

  flip(inFlight: number): void {
    this.#inFlightAtFlip = inFlight
    this.#keep()
  }

  parked(longestMs: number): void {
    this.#longestParkMs = Math.max(this.#longestParkMs, longestMs)
    this.#keep()
  }

  /** From now on requests are held. */
  unserved(): void {
    if (this.#unservedSince !== null) return
    this.#unservedSince = Date.now()
    this.#keep()
  }

  /** Requests are answered again. */
  served(): void {
    if (this.#unservedSince === null) return
    this.#outageMs = this.#outage()
    this.#unservedSince = null
    this.#keep()
  }

  /** Its outcome is told: nothing of it needs to outlive this agent any more. */
  drop(): void {
    rmSync(this.#file, { force: true })
  }

  /** `canary`: what was seen of the release as one. */
  receipt(service: string, outcome: OutcomeName, reason: string | null, after: Tally, canary?: CanaryReport): Receipt {
    const { before } = this
    const outageMs = this.#outage()
    const canaryAt = this.#reached.get('canary')
    // The phases before the boot are not in every swap: each lasts until the next one that is.
    const early: readonly Phase[] = ['queued', 'preparing', 'releasing', 'emptying', 'booting']
    const upToNext = (from: Phase): number | null => {
      const next = early.slice(early.indexOf(from) + 1).find((phase) => this.#reached.has(phase))
      return next === undefined ? null : between(from, next)
    }
    const between = (from: Phase, to: Phase): number | null => {
      const begin = this.#reached.get(from)
      const end = this.#reached.get(to)
      return begin === undefined || end === undefined ? null : tenths(end - begin)
    }
    return {
      schema: 1, service, release: this.release, name: this.name, previous: this.#previousLabel, outcome, reason, startedAt: this.#startedAt,
      phasesMs: {
        takeIn: upToNext('queued'), prepare: upToNext('preparing'), release: upToNext('releasing'), emptying: upToNext('emptying'), boot: between('booting', 'checking'), health: between('checking', this.#reached.has('canary') ? 'canary' : 'flipping'),
        // Where it was taken back, the outcome is its end.
        ...(canaryAt === undefined ? {} : { canary: between('canary', 'flipping') ?? tenths(performance.now() - this.#begun - canaryAt) }),
        flip: between('flipping', 'flipped'), drain: between('flipped', 'drained'), bake: between('flipped', 'confirmed'), stop: this.stopMs,
      },
      inFlightAtFlip: this.#inFlightAtFlip ?? 0,
      longestParkMs: tenths(this.#longestParkMs),
      drained: after.drained - before.drained,
      cut: after.cut - before.cut,
      retried: after.retried - before.retried,
      streamsEnded: after.streamsEnded - before.streamsEnded,
      upgradedEnded: after.upgradedEnded - before.upgradedEnded,
      lost: after.lost - before.lost,
      violations: after.violations - before.violations,
      survivors: this.survivors,
      ...(outageMs === null ? {} : { outageMs, heldOut: after.heldOut - before.heldOut }),
      ...(canary === undefined ? {} : { canary }),
    }
  }

  #outage(): number | null {
    if (this.#unservedSince === null) return this.#outageMs
    return (this.#outageMs ?? 0) + Math.max(0, Date.now() - this.#unservedSince)
  }

  #keep(): void {
    const kept: KeptRecord = {
      startedAt: this.#startedAt, previous: this.previous, previousLabel: this.#previousLabel, before: this.#before,
      reached: [...this.#reached], inFlightAtFlip: this.#inFlightAtFlip, longestParkMs: this.#longestParkMs, outageMs: this.#outageMs, unservedSince: this.#unservedSince,
    }
    try {
      replaceFile(this.#file, JSON.stringify(kept), false)
    } catch {
      // A full disk: the receipt of another agent would say less.
    }
  }
}

function tenths(ms: number): number {
  return Math.round(ms * 10) / 10
}
