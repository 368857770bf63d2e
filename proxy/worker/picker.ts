import type { WaitFigures } from '../figures.ts'
import { serviceOfKey } from '../release-key.ts'
import { routeOf, type ReleaseId, type ServiceName } from '../table.ts'
import type { PendingPick, Picker, PickRequest, Refusal, Visit } from '../visit.ts'
import type { Evidence } from './evidence.ts'
import { defaultPace, Pauses } from './pauses.ts'
import { nowUs, type Ledger, type LedgerVisit } from './ledger.ts'
import type { Decision, WorkerRoutes } from './routes.ts'
import type { Shadow } from './shadow.ts'
import type { UserNotes } from './user-notes.ts'

/** A dial that failed while the table says 'serving' may be a moment's trouble: it is tried again this often. */
const redialMs = 100

const done: PendingPick = Object.freeze({ cancel: () => {} })

interface Waiter {
  readonly request: PickRequest
  readonly since: number
  state: 'parked' | 'held'
  /** A pause made it wait: when that is over it goes on at a measured pace. */
  paused: boolean
  /** While it is held: why, as the newest table says. */
  reason: string | null
  holdTimer: NodeJS.Timeout | null
}

export interface PickerOptions {
  readonly routes: WorkerRoutes
  readonly ledger: Ledger
  /** What the verdict on a canary is to know. */
  readonly evidence?: Evidence
  readonly shadow?: Shadow
  /** What the bake is to know. */
  readonly users?: UserNotes
  /** hold.max is for the service over all workers; each takes its share. */
  readonly workers: number
  readonly onFallback: (service: ServiceName, release: ReleaseId, number: number) => void
}

/** Chooses and counts in one step; keeps the requests that a flip parks or an outage holds, in their order of arrival. */
export class WaitingPicker implements Picker {
  readonly #options: PickerOptions
  readonly #waiters = new Set<Waiter>()
  #redial: NodeJS.Timeout | null = null
  #ending = false
  /** By service, in microseconds. */
  readonly #longestWaits = new Map<ServiceName, number>()

  readonly #pauses: Pauses

  constructor(options: PickerOptions) {
    this.#options = options
    this.#pauses = new Pauses({ workers: options.workers, letGo: (service, most) => this.#letGo(service, most), over: () => this.wake() })
    options.routes.isPaused = (service, until) => !this.#ending && this.#pauses.holds(service, until)
  }

  pick(request: PickRequest): PendingPick {
    if (request.failed !== null && request.asker !== undefined) this.#options.evidence?.failed(request.asker.visitor(), request.failed)
    const decision = this.#options.routes.decide(request.service, request.failed, request.asker, request.path)
    if (decision.kind === 'pause' || (decision.kind === 'go' && this.#queues(request))) return this.#pause(request)
    if (decision.kind === 'go') {
      this.#go(request, decision)
      return done
    }
    if (decision.kind === 'refuse') {
      request.refused(decision.refusal)
      return done
    }
    if (decision.kind === 'hold' && this.#isInVain(decision)) {
      request.refused(gracerEnds)
      return done
    }
    if (decision.kind === 'hold' && heldLongEnough(request, decision)) {
      this.#waits(request.service).holdTimeouts += 1
      request.refused(holdTimedOut(decision.route.reason))
      return done
    }
    if (decision.kind === 'hold' && this.#options.ledger.waits(request.service).held >= this.#shareOf(decision)) {
      request.refused(holdFull)
      return done
    }
    const waiter: Waiter = { request, since: nowUs(), state: 'parked', paused: false, reason: null, holdTimer: null }
    this.#waiters.add(waiter)
    const waits = this.#waits(request.service)
    waits.parked += 1
    if (decision.kind === 'hold') this.#hold(waiter, decision)
    else waits.parks += 1
    return { cancel: () => this.#remove(waiter) }
  }

  /** Named exception of promise 2: it is counted as what it is, and in no flip's times. */
  previous(missed: Visit): Visit | null {
    const { routes, ledger } = this.#options
    const service = serviceOfKey(missed.release)
    const target = routes.previousOf(service, missed.release)
    return target === null ? null : ledger.open(service, target, { viaFallback: true, isAsset: true, since: 0, number: routes.table.number }, 0)
  }

  /** Decides all waiting requests again, in order: a table came, or a flip was undone. */
  wake(): void {
    this.#pauses.take(this.#options.routes.table)
    for (const waiter of [...this.#waiters]) {
      if (!this.#waiters.has(waiter)) continue
      // What failed did so under an earlier table, or some time ago: it is no longer held against the release.
      const decision = this.#options.routes.decide(waiter.request.service, null, waiter.request.asker)
      switch (decision.kind) {
        case 'go':
          if (waiter.paused) {
            if (waiter.holdTimer !== null) clearTimeout(waiter.holdTimer)
            waiter.holdTimer = null
            this.#pauses.begin(waiter.request.service, this.#paceOf(waiter.request.service))
            break
          }
          this.#waited(waiter)
          this.#remove(waiter)
          this.#go(waiter.request, decision)
          break
        case 'refuse':
          this.#remove(waiter)
          waiter.request.refused(decision.refusal)
          break
        case 'hold':
          if (this.#isInVain(decision)) {
            this.#remove(waiter)
            waiter.request.refused(gracerEnds)
            break
          }
          if (waiter.state === 'parked') this.#hold(waiter, decision)
          else waiter.reason = decision.route.reason
          // Its pause is over and nothing is live: from here on it has a limit as everybody has.
          if (waiter.holdTimer === null) this.#limit(waiter, decision)
          break
        case 'pause':
          this.#toPaused(waiter)
          break
        case 'park':
          break
      }
    }
  }

  /** So many wait for a release. */
  get waiting(): number {
    return this.#waiters.size
  }

  /** gracer ends: pauses are over, so that what they hold is answered, and nobody waits for a release that will not come. */
  gracerEnds(): void {
    this.#ending = true
    this.wake()
  }

  /** The worker ends now: whoever still waits gets a reply, and not a closed connection. */
  refuseAll(): void {
    for (const waiter of [...this.#waiters]) {
      this.#remove(waiter)
      waiter.request.refused(gracerEnds)
    }
  }

  #isInVain(decision: Extract<Decision, { kind: 'hold' }>): boolean {
    return this.#ending && decision.route.state !== 'serving'
  }

  /** What comes while others are being let go stands behind them; who asks for the health path never waits for a pause. */
  #queues(request: PickRequest): boolean {
    const { service, path } = request
    if (!this.#pauses.isLettingGo(service)) return false
    return path === null || path === undefined || path !== routeOf(this.#options.routes.table, service)?.settings.healthPath
  }

  #pause(request: PickRequest): PendingPick {
    const { service } = request
    const waits = this.#waits(service)
    const most = Math.max(1, Math.floor((routeOf(this.#options.routes.table, service)?.settings.holdMax ?? 0) / this.#options.workers))
    if (waits.held >= most) {
      request.refused(pauseFull)
      return done
    }
    const waiter: Waiter = { request, since: nowUs(), state: 'held', paused: true, reason: null, holdTimer: null }
    this.#waiters.add(waiter)
    waits.held += 1
    waits.holds += 1
    return { cancel: () => this.#remove(waiter) }
  }

  /** What waited for something else waits for the resume now, without a limit but the pause's own. */
  #toPaused(waiter: Waiter): void {
    if (waiter.holdTimer !== null) clearTimeout(waiter.holdTimer)
    Object.assign(waiter, { holdTimer: null, paused: true })
    if (waiter.state === 'held') return
    const waits = this.#waits(waiter.request.service)
    waiter.state = 'held'
    waits.parked -= 1
    waits.held += 1
    waits.holds += 1
  }

  /** Oldest first. A flip that is being prepared, or another pause, keeps the rest where it is. */
  #letGo(service: ServiceName, most: number): number {
    let left = 0
    let gone = 0
    for (const waiter of [...this.#waiters]) {
      if (!waiter.paused || waiter.request.service !== service || !this.#waiters.has(waiter)) continue
      if (gone >= most) {
        left += 1
        continue
      }
      const decision = this.#options.routes.decide(service, null, waiter.request.asker)
      if (decision.kind === 'pause') return 0
      if (decision.kind === 'park') return 1
      gone += 1
      if (decision.kind === 'go') {
        this.#remove(waiter)
        this.#go(waiter.request, decision)
      } else if (decision.kind === 'refuse') {
        this.#remove(waiter)
        waiter.request.refused(decision.refusal)
      } else {
        // Nothing can answer now: from here on it waits as everybody does.
        this.#limit(waiter, decision)
        waiter.paused = false
      }
    }
    return left
  }

  #paceOf(service: ServiceName): number {
    return routeOf(this.#options.routes.table, service)?.settings.pace ?? defaultPace
  }

  /** The longest wait for the service since the last call; milliseconds. */
  takeLongestParkMs(service: ServiceName): number {
    const longest = (this.#longestWaits.get(service) ?? 0) / 1000
    this.#longestWaits.delete(service)
    return longest
  }

  /** The receipt's longest wait is that of whoever waited for this flip; the figures tell parks from holds. */
  #waited(waiter: Waiter): void {
    const waitedUs = nowUs() - waiter.since
    const { service } = waiter.request
    this.#longestWaits.set(service, Math.max(this.#longestWaits.get(service) ?? 0, waitedUs))
    if (waiter.state !== 'parked') return
    const waits = this.#waits(service)
    waits.longestParkUs = Math.max(waits.longestParkUs, waitedUs)
  }

  #waits(service: ServiceName): WaitFigures {
    this.#options.ledger.version += 1
    return this.#options.ledger.waits(service)
  }

  #go(request: PickRequest, decision: Extract<Decision, { kind: 'go' }>): void {
    const visit = this.#options.ledger.open(request.service, decision.target, decision, Number(request.arrivedAt / 1000n))
    if (decision.assigned !== null && request.asker?.visitor().hasFailed !== true) visit.watched = this.#options.evidence?.begin(decision.assigned) ?? null
    if (isOfLive(decision) && request.asker?.userNumber !== undefined) {
      const key = routeOf(this.#options.routes.table, request.service)?.settings.userKey ?? null
      visit.user = this.#options.users?.seen(visit.release, decision.since, request.asker.userNumber(key)) ?? null
    }
    this.#shadow(request, decision, visit)
    if (decision.viaFallback) this.#options.onFallback(request.service, decision.target.release, decision.number)
    request.picked(visit)
  }

  #shadow({ asker, failed }: PickRequest, { assigned, target }: Extract<Decision, { kind: 'go' }>, visit: LedgerVisit): void {
    if (assigned === null || assigned.forced || failed !== null || assigned.canary.target.release === target.release) return
    visit.shadowed = this.#options.shadow?.begin(assigned.canary, () => asker?.copy?.() ?? null) ?? null
  }

  #hold(waiter: Waiter, decision: Extract<Decision, { kind: 'hold' }>): void {
    waiter.state = 'held'
    waiter.reason = decision.route.reason
    const waits = this.#waits(waiter.request.service)
    waits.parked -= 1
    waits.held += 1
    waits.holds += 1
    this.#limit(waiter, decision)
  }

  #limit(waiter: Waiter, decision: Extract<Decision, { kind: 'hold' }>): void {
    waiter.holdTimer = setTimeout(() => {
      this.#remove(waiter)
      this.#waits(waiter.request.service).holdTimeouts += 1
      waiter.request.refused(holdTimedOut(waiter.reason))
      // The time of a pause is not held against it.
    }, decision.route.settings.holdTimeoutMs - (waiter.paused ? 0 : waitedMs(waiter.request)))
    if (decision.route.state === 'serving') {
      this.#redial ??= setTimeout(() => {
        this.#redial = null
        this.wake()
      }, redialMs)
    }
  }

  #remove(waiter: Waiter): void {
    if (!this.#waiters.delete(waiter)) return
    if (waiter.holdTimer !== null) clearTimeout(waiter.holdTimer)
    this.#waits(waiter.request.service)[waiter.state] -= 1
  }

  #shareOf(decision: Extract<Decision, { kind: 'hold' }>): number {
    return Math.max(1, Math.floor(decision.route.settings.holdMax / this.#options.workers))
  }
}

/** Neither a tester's nor a canary's, nor one that another release answers in its place. */
function isOfLive({ assigned, viaFallback, target }: Extract<Decision, { kind: 'go' }>): boolean {
  return !viaFallback && (assigned === null || (!assigned.forced && assigned.canary.target.release !== target.release))
}

/** Since the request arrived, not since it was picked last: one that is dialled again and again is held once. */
function waitedMs(request: PickRequest): number {
  return Number(process.hrtime.bigint() - request.arrivedAt) / 1e6
}

function heldLongEnough(request: PickRequest, decision: Extract<Decision, { kind: 'hold' }>): boolean {
  return waitedMs(request) >= decision.route.settings.holdTimeoutMs
}

const holdFull: Refusal = Object.freeze({
  status: 503, code: 'hold-full', reason: 'No release can answer now and as many requests are waiting as hold.max allows.', retryAfterSeconds: 5,
})

const pauseFull: Refusal = Object.freeze({
  status: 503, code: 'hold-full', reason: 'The service is paused and as many requests are waiting as hold.max allows.', retryAfterSeconds: 5,
})

const gracerEnds: Refusal = Object.freeze({
  status: 503, code: 'no-release', reason: 'This part of gracer ends, and no release could answer before.', retryAfterSeconds: 5,
})

function holdTimedOut(reason: string | null): Refusal {
  return {
    status: 503, code: 'hold-timeout', retryAfterSeconds: 5,
    reason: reason === null ? 'No release could answer in time.' : `No release could answer in time: ${reason}.`,
  }
}
