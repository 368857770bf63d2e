import type { Assignment } from '../canary/visitor.ts'
import { copyFigures, noFigures, noWaits, type FlipTimes, type ReleaseFigures, type WaitFigures, type WorkerLedger } from '../figures.ts'
import { observe } from '../histogram.ts'
import type { ReleaseId, ServiceName, Target } from '../table.ts'
import type { UpstreamFailure, Visit, VisitEnd, VisitKind } from '../visit.ts'
import type { Shadowed } from './shadow.ts'
import type { NotedUser } from './user-notes.ts'
import type { WatchedRequest } from './watched-request.ts'

/** Flip times older than this many flips of a service can no longer be overtaken by a request in flight. */
const flipTimesKept = 16

/**
 * The in-flight ledger of one worker: every request that was picked stands on exactly one release
 * until it is ended. Counting is part of the pick; nothing is awaited between the two (promise 5).
 */
export class Ledger {
  readonly #releases = new Map<ReleaseId, ReleaseEntry>()
  readonly #flips = new Map<ServiceName, FlipTimes[]>()
  readonly #waits = new Map<ServiceName, WaitFigures>()
  readonly #onIdle: (release: ReleaseId) => void
  /** Rises with every change, so that an unchanged ledger need not be sent. */
  version = 0

  /** `onIdle` is called whenever a release's last request in flight has ended. */
  constructor(onIdle: (release: ReleaseId) => void) {
    this.#onIdle = onIdle
  }

  open(service: ServiceName, target: Target, pick: Pick, arrivedAtUs: number): LedgerVisit {
    const entry = this.#entry(service, target.release)
    // A pick of a release that has never passed its health check breaks promise 3.
    if (!target.healthy) this.waits(service).violations += 1
    // A pick of a release that was already reported quiet and never came back would lose it at the stop.
    if (entry.quiet) this.waits(service).violations += 1
    const assigned = pick.assigned ?? null
    // A canary is a named exception of promise 2: neither what goes to it nor what it answers says anything of a flip.
    const isCanary = assigned?.canary.target.release === target.release
    const times = pick.viaFallback || isCanary ? null : this.#timesOf(service, pick.since)
    if (times !== null && arrivedAtUs > times.lastBegin) times.lastBegin = arrivedAtUs
    entry.figures.inFlight += 1
    if (pick.isAsset === true) entry.assets += 1
    this.version += 1
    const visit = new LedgerVisit(this, entry, target, pick, times)
    visit.figures.requests += 1
    entry.visits.add(visit)
    return visit
  }

  /** The releases that have an entry here. */
  releases(): ReleaseId[] {
    return [...this.#releases.keys()]
  }

  inFlight(release: ReleaseId): number {
    return this.#releases.get(release)?.figures.inFlight ?? 0
  }

  /** Those of them that are assets fetched from a release before, which may go on for as long as that may be asked. */
  assetsInFlight(release: ReleaseId): number {
    return this.#releases.get(release)?.assets ?? 0
  }

  /** Visits under way on the release, oldest first. */
  visits(release: ReleaseId): readonly LedgerVisit[] {
    return [...(this.#releases.get(release)?.visits ?? [])]
  }

  /** Whether requests that end from now on count as drained. */
  setDraining(release: ReleaseId, draining: boolean): void {
    const entry = this.#releases.get(release)
    if (entry !== undefined) entry.draining = draining
  }

  /** Whether the release was reported quiet: a later pick of it is a violation. */
  setQuiet(release: ReleaseId, quiet: boolean): void {
    const entry = this.#releases.get(release)
    if (entry !== undefined) entry.quiet = quiet
  }

  /** What is counted of a service apart from its releases; the caller changes it, and `version`. */
  waits(service: ServiceName): WaitFigures {
    let waits = this.#waits.get(service)
    if (waits === undefined) {
      waits = noWaits(service)
      this.#waits.set(service, waits)
    }
    return waits
  }

  /** gracer answers a request itself: no release was picked. */
  refused(service: ServiceName, code: string): void {
    const { refused } = this.waits(service)
    refused[code] = (refused[code] ?? 0) + 1
    this.version += 1
  }

  snapshot(): WorkerLedger {
    return {
      releases: [...this.#releases.values()].map((entry) => copyFigures(entry.figures)),
      flips: [...this.#flips.values()].flatMap((flips) => flips.map((times) => ({ ...times }))),
      waits: [...this.#waits.values()].map((one) => ({ ...one, refused: { ...one.refused } })),
    }
  }

  /** Called by a visit when it ends. */
  close(entry: ReleaseEntry, visit: LedgerVisit, how: VisitEnd): void {
    const { figures } = entry
    entry.visits.delete(visit)
    figures.inFlight -= 1
    if (visit.isAsset) entry.assets -= 1
    if (visit.kind === 'stream') figures.streams -= 1
    if (visit.kind === 'upgraded') figures.upgraded -= 1
    this.version += 1
    visit.watched?.ended(how)
    visit.shadowed?.gone()
    // What a tester did is in none of these; that it was lost is.
    const counted = visit.figures
    if (!visit.hasStatus && how !== 'retried' && how !== 'not-sent' && how !== 'missed') counted.statuses[0] = (counted.statuses[0] as number) + 1
    switch (how) {
      case 'complete':
        if (visit.kind === 'request' && visit.hasStatus) observe(counted.total, (performance.now() - visit.begunAt) * 1_000)
        if (entry.draining && !visit.isAsset) figures.drained += 1
        if (visit.times !== null) visit.times.firstReply ??= nowUs()
        break
      case 'graceful':
        if (visit.kind === 'upgraded') figures.upgradedEnded += 1
        else figures.streamsEnded += 1
        break
      case 'client-gone':
        counted.clientGone += 1
        break
      case 'cut':
        figures.cut += 1
        figures.lost += 1
        break
      case 'lost':
        figures.lost += 1
        visit.user?.affected()
        if (!visit.hasError) counted.errors += 1
        break
      case 'retried':
        figures.retried += 1
        counted.requests -= 1
        break
      case 'missed':
        counted.missed += 1
        counted.requests -= 1
        break
      case 'not-sent':
        counted.requests -= 1
        break
    }
    if (figures.inFlight < 0) this.waits(figures.service).violations += 1
    if (figures.inFlight === 0 || (figures.inFlight === entry.assets && !visit.isAsset)) this.#onIdle(figures.release)
  }

  #entry(service: ServiceName, release: ReleaseId): ReleaseEntry {
    let entry = this.#releases.get(release)
    if (entry === undefined) {
      entry = { figures: noFigures(service, release), visits: new Set(), assets: 0, draining: false, quiet: false }
      this.#releases.set(release, entry)
    }
    return entry
  }

  #timesOf(service: ServiceName, since: number): FlipTimes {
    let flips = this.#flips.get(service)
    if (flips === undefined) this.#flips.set(service, (flips = []))
    for (let index = flips.length - 1; index >= 0; index -= 1) {
      const times = flips[index]
      if (times?.since === since) return times
    }
    const times: FlipTimes = { service, since, lastBegin: 0, firstReply: null }
    flips.push(times)
    if (flips.length > flipTimesKept) flips.shift()
    return times
  }

  /** Forgets a release that has nothing in flight and will not come back; its counters are handed to the caller. */
  forget(release: ReleaseId): ReleaseFigures | null {
    const entry = this.#releases.get(release)
    if (entry === undefined || entry.figures.inFlight > 0) return null
    this.#releases.delete(release)
    return entry.figures
  }
}

/** What the pick says of a visit beside its target. */
interface Pick {
  readonly viaFallback: boolean
  readonly since: number
  readonly number: number
  readonly assigned?: Assignment | null
  /** A hashed asset that the live release does not have. */
  readonly isAsset?: boolean
}

interface ReleaseEntry {
  readonly figures: ReleaseFigures
  readonly visits: Set<LedgerVisit>
  /** Of those in flight. */
  assets: number
  draining: boolean
  quiet: boolean
}

/** Microseconds of the monotonic clock. */
export function nowUs(): number {
  return Number(process.hrtime.bigint() / 1000n)
}

export class LedgerVisit implements Visit {
  readonly target: Target
  readonly viaFallback: boolean
  readonly isAsset: boolean
  readonly tableNumber: number
  readonly times: FlipTimes | null
  readonly assigned: Assignment | null
  /** The release's; for a tester's visit a copy that nobody reads. */
  readonly figures: ReleaseFigures
  /** Set where a canary is judged by it. */
  watched: WatchedRequest | null = null
  /** Whose it is; null: a tester's, a canary's, or one that is not counted as a user. */
  user: NotedUser | null = null
  /** Its copy at a release that has no visitor yet. */
  shadowed: Shadowed | null = null
  kind: VisitKind = 'request'
  hasStatus = false
  hasError = false
  /** performance.now(), milliseconds. */
  readonly begunAt = performance.now()
  readonly #ledger: Ledger
  readonly #entry: ReleaseEntry
  #ended = false
  #onGrace: ((closeCode?: number) => void) | null = null
  #onCut: (() => void) | null = null

  constructor(ledger: Ledger, entry: ReleaseEntry, target: Target, pick: Pick, times: FlipTimes | null) {
    this.#ledger = ledger
    this.#entry = entry
    this.target = target
    this.viaFallback = pick.viaFallback
    this.isAsset = pick.isAsset === true
    this.tableNumber = pick.number
    this.times = times
    this.assigned = pick.assigned ?? null
    this.figures = this.assigned?.forced === true ? noFigures(entry.figures.service, entry.figures.release) : entry.figures
  }

  get release(): ReleaseId {
    return this.target.release
  }

  becomes(kind: 'stream' | 'upgraded', onGrace: (closeCode?: number) => void): void {
    if (this.#ended || this.kind !== 'request') return
    this.kind = kind
    this.#onGrace = onGrace
    if (kind === 'stream') this.#entry.figures.streams += 1
    else this.#entry.figures.upgraded += 1
    this.#ledger.version += 1
  }

  onCut(cut: () => void): void {
    this.#onCut = cut
  }

  answered(status: number, failed = false): void {
    if (this.hasStatus || this.#ended) return
    this.hasStatus = true
    const isBad = failed || status >= 500
    this.watched?.answered(isBad)
    const { figures } = this
    // What a backend says beyond 599 is as wrong as a 5xx.
    const level = Math.min(5, Math.max(1, Math.floor(status / 100)))
    figures.statuses[level] = (figures.statuses[level] as number) + 1
    const ms = performance.now() - this.begunAt
    observe(figures.firstByte, ms * 1_000)
    this.shadowed?.answered(status, ms)
    this.#ledger.version += 1
    if (isBad) this.#isBad()
  }

  wentBad(): void {
    if (this.#ended || this.hasError) return
    this.watched?.wentBad()
    this.#ledger.version += 1
    this.#isBad()
  }

  #isBad(): void {
    this.hasError = true
    this.user?.affected()
    this.figures.errors += 1
  }

  failed(how: UpstreamFailure): void {
    const { figures } = this
    if (how === 'dial') figures.dialFailed += 1
    else if (how === 'reset') figures.reset += 1
    else if (how === 'slow') figures.slow += 1
    else figures.badReply += 1
    this.#ledger.version += 1
  }

  moved(bytesToRelease: number, bytesFromRelease: number): void {
    this.figures.bytesToRelease += bytesToRelease
    this.figures.bytesFromRelease += bytesFromRelease
  }

  end(how: VisitEnd): void {
    if (this.#ended) return
    this.#ended = true
    this.#ledger.close(this.#entry, this, how)
  }

  /** The grace of a stream or WebSocket is over. Called by the drain, at most once. */
  graceOver(closeCode?: number): void {
    const onGrace = this.#onGrace
    this.#onGrace = null
    if (!this.#ended) onGrace?.(closeCode)
  }

  /** The last deadline has passed. Called by the drain. */
  cut(): void {
    if (this.#ended) return
    const onCut = this.#onCut
    this.#onCut = null
    onCut?.()
    // Whatever the forwarding does on being cut, the count must not depend on it.
    this.end('cut')
  }
}
