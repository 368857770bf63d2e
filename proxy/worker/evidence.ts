import type { Assignment, Visitor } from '../canary/visitor.ts'
import type { UnitEvent } from '../canary/unit-event.ts'
import type { ReleaseId } from '../release-key.ts'
import { WatchedRequest } from './watched-request.ts'

/** News that changes no verdict is sent this often, and late replies are looked for; news of something bad goes at once. */
const evidenceMs = 100
/** So many events wait at most; more are dropped, and said to be. */
const mostWaiting = 20_000
/** So many visitors of a phase are remembered at most. Those after them are told of when they go bad, and not counted. */
const mostUnits = 100_000

/** What a worker tells of the requests of one canary. */
export interface EvidenceBatch {
  /** The canary's key in the data plane. */
  readonly release: ReleaseId
  readonly events: readonly UnitEvent[]
  /** Events that found no room since the last batch, and visitors that were not remembered. */
  readonly dropped: number
}

export interface EvidenceOptions {
  readonly send: (batch: EvidenceBatch) => void
  /** Milliseconds of the monotonic clock that all processes of the machine share. */
  readonly nowMs: () => number
}

/**
 * Collects what the verdict must know of the requests of each canary: every visitor's first request in a phase, how long
 * that took, and every one that went bad. Its memory is bounded, and saturates: whoever is forgotten would be counted again.
 */
export class Evidence {
  readonly #options: EvidenceOptions
  readonly #notes = new Map<ReleaseId, Notes>()

  constructor(options: EvidenceOptions) {
    this.#options = options
  }

  /** A request was picked by its draw. null: nothing is to be watched. */
  begin(assigned: Assignment): WatchedRequest | null {
    return assigned.forced ? null : this.#notesOf(assigned).begin(assigned)
  }

  /** These releases took no connection from a request, or closed one without a word: it speaks against the arm it was given. */
  failed(visitor: Visitor, releases: ReadonlySet<ReleaseId>): void {
    const { last } = visitor
    if (last === null || last.forced || visitor.hasFailed) return
    const canary = last.canary.target.release
    const isItsOwn = last.arm === 'canary' ? releases.has(canary) : [...releases].some((release) => release !== canary)
    if (!isItsOwn) return
    visitor.hasFailed = true
    this.#notesOf(last).failed(last)
  }

  #notesOf({ canary }: Assignment): Notes {
    const { release } = canary.target
    let notes = this.#notes.get(release)
    if (notes === undefined) this.#notes.set(release, (notes = new Notes(release, this.#options)))
    return notes
  }

  /** The canaries that are in the table: what was kept of others is let go. */
  keep(releases: ReadonlySet<ReleaseId>): void {
    for (const [release, notes] of this.#notes) {
      if (releases.has(release)) continue
      notes.flush()
      this.#notes.delete(release)
    }
  }

  flush(): void {
    for (const notes of this.#notes.values()) notes.flush()
  }
}

/** Of one canary. */
class Notes {
  readonly #release: ReleaseId
  readonly #options: EvidenceOptions
  #events: UnitEvent[] = []
  #dropped = 0
  #timer: NodeJS.Timeout | null = null
  #soon = false
  #phase = { number: 0, seen: new Set<string>(), timed: new Set<string>() }
  /** First replies that are awaited, for those that never come. */
  readonly #awaited = new Set<WatchedRequest>()
  #sweep: NodeJS.Timeout | null = null

  constructor(release: ReleaseId, options: EvidenceOptions) {
    this.#release = release
    this.#options = options
  }

  begin(assigned: Assignment): WatchedRequest {
    const { nowMs } = this.#options
    const begunMs = nowMs()
    const { unit, canary } = assigned
    if (this.#phase.number !== canary.phase) this.#phase = { number: canary.phase, seen: new Set(), timed: new Set() }
    const { seen, timed } = this.#phase
    const isFirst = this.#isFirst(seen, unit)
    const isTimed = canary.slowMs !== null && assigned.isPlain && begunMs >= canary.timedFromMs && this.#isFirst(timed, unit)
    const watched = new WatchedRequest({
      begunMs, nowMs,
      isFirst,
      slowMs: isTimed ? canary.slowMs : null,
      tell: (bad, good) => this.#tell(assigned, begunMs, bad, good),
      again: () => {
        if (unit !== null && isFirst) seen.delete(unit)
        if (unit !== null && isTimed) timed.delete(unit)
      },
      timed: (one) => this.#awaited.delete(one),
    })
    if (isTimed) this.#await(watched)
    return watched
  }

  failed(assigned: Assignment): void {
    this.#tell(assigned, this.#options.nowMs(), ['errors'], [])
  }

  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    const events = this.#events
    if (events.length === 0) return
    this.#events = []
    this.#options.send({ release: this.#release, events, dropped: this.#dropped })
    this.#dropped = 0
  }

  #tell(assigned: Assignment, atMs: number, bad: readonly string[], good: readonly string[]): void {
    const { canary, arm, unit, address } = assigned
    if (this.#events.length >= mostWaiting) this.#dropped += 1
    else this.#events.push({ unit, arm, share: canary.share, phase: canary.phase, atMs, bad, good, ...(address === null ? {} : { address }) })
    if (bad.length > 0 && !this.#soon) {
      // In this turn of the loop still, with whatever else goes bad in it.
      this.#soon = true
      setImmediate(() => {
        this.#soon = false
        this.flush()
      })
    }
    this.#timer ??= setTimeout(() => this.flush(), evidenceMs)
  }

  #isFirst(known: Set<string>, unit: string | null): boolean {
    if (unit === null) return true
    if (known.has(unit)) return false
    if (known.size >= mostUnits) {
      this.#dropped += 1
      return false
    }
    known.add(unit)
    return true
  }

  #await(watched: WatchedRequest): void {
    this.#awaited.add(watched)
    this.#sweep ??= setInterval(() => {
      for (const one of [...this.#awaited]) one.look()
      if (this.#awaited.size > 0 || this.#sweep === null) return
      clearInterval(this.#sweep)
      this.#sweep = null
    }, evidenceMs)
  }
}
