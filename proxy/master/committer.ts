import type { FrontSettings } from '../front-settings.ts'
import type { ToWorker } from '../messages.ts'
import { movesTraffic, routeOf, withRoute, withServices, type ProposedRoute, type ServiceName, type ServicePlace, type Table } from '../table.ts'

export type WorkerId = number

export type CommitterInput =
  /** A new agent was started with this epoch; whatever the last one had not committed is off. */
  | { readonly type: 'agent-started'; readonly epoch: number }
  | { readonly type: 'agent-gone' }
  /** `safe`: where the service's requests go should the agent die while this route is committed; null: they stay. */
  | { readonly type: 'route'; readonly epoch: number; readonly request: number; readonly route: ProposedRoute; readonly safe?: ProposedRoute | null }
  /** Which services there are, and what they answer to. It moves no request from one release to another of a service. */
  | { readonly type: 'services'; readonly epoch: number; readonly request: number; readonly places: readonly ServicePlace[]; readonly front?: FrontSettings | undefined }
  /** The agent judges that what is on trial must go, and has not come to write that down yet: the safe route, at once. */
  | { readonly type: 'go-safe'; readonly epoch: number; readonly service: ServiceName }
  | { readonly type: 'worker-started'; readonly worker: WorkerId }
  | { readonly type: 'worker-gone'; readonly worker: WorkerId }
  | { readonly type: 'prepared'; readonly worker: WorkerId; readonly flip: number }
  | { readonly type: 'committed'; readonly worker: WorkerId; readonly flip: number; readonly longestParkMs: number }
  | { readonly type: 'timeout'; readonly flip: number; readonly phase: 'prepare' | 'commit' }

export type CommitterEffect =
  | { readonly do: 'send'; readonly worker: WorkerId; readonly message: ToWorker }
  /** Must be on disk before the effects after it are carried out. */
  | { readonly do: 'write-table'; readonly table: Table }
  | { readonly do: 'committed'; readonly epoch: number; readonly request: number; readonly number: number }
  | { readonly do: 'refused'; readonly epoch: number; readonly request: number; readonly code: RefusalCode; readonly message: string }
  | { readonly do: 'flip-done'; readonly epoch: number; readonly request: number; readonly longestParkMs: number }
  | { readonly do: 'arm'; readonly flip: number; readonly phase: 'prepare' | 'commit'; readonly ms: number }
  /** The worker does not answer: end it, and start another. */
  | { readonly do: 'replace'; readonly worker: WorkerId; readonly why: string }

export type RefusalCode = 'stale-epoch' | 'busy' | 'worker-mute'

/** The request number of a change that no agent waits for. */
export const noRequest = -1

type Change =
  | { readonly kind: 'route'; readonly route: ProposedRoute; readonly safe: ProposedRoute | null }
  | { readonly kind: 'services'; readonly places: readonly ServicePlace[]; readonly front: FrontSettings | undefined }

interface Flip {
  readonly id: number
  readonly epoch: number
  readonly request: number
  readonly change: Change
  phase: 'prepare' | 'commit'
  readonly waiting: Set<WorkerId>
  attempt: number
  longestParkMs: number
}

export interface CommitterTimes {
  /** A worker that has not acknowledged the prepare by then is taken as stalled: the flip is undone. */
  readonly prepareMs: number
  /** A worker that has not acknowledged the commit by then is replaced: it is parked, so it answers nobody wrongly. */
  readonly commitMs: number
  readonly attempts: number
}

export const committerTimes: CommitterTimes = Object.freeze({ prepareMs: 1_000, commitMs: 2_000, attempts: 2 })

/**
 * The master's side of the flip, without clocks, files and processes: it alone decides what the committed table is.
 *
 * Phase one: every worker parks new requests of the service. Phase two: the table is written, then told to all.
 * Until the write the flip can be undone; from the write on nothing is. Between "all have prepared" and the write
 * no worker picks any release of this service, so no two workers can ever pick different ones at the same time.
 */
export class Committer {
  table: Table
  epoch: number
  /** Answers the invariant "one flip at a time" (promise 7): counts commits that found another one open. */
  violations = 0
  readonly #workers = new Set<WorkerId>()
  readonly #times: CommitterTimes
  readonly #safe = new Map<ServiceName, ProposedRoute>()
  /** Services whose safe route the agent has asked for. */
  readonly #hurried = new Set<ServiceName>()
  #agentLives = false
  /** Came while a safe route was being told to the workers, which no agent has to know of. */
  #next: Extract<CommitterInput, { type: 'route' | 'services' }> | null = null
  #flip: Flip | null = null
  #nextFlip = 1

  constructor(table: Table, times: CommitterTimes = committerTimes) {
    this.table = table
    this.epoch = table.epoch
    this.#times = times
  }

  /** A canary is in the table, which only the agent can judge. */
  get hasSafeRoute(): boolean {
    return this.#safe.size > 0
  }

  get flipping(): boolean {
    return this.#flip !== null
  }

  handle(input: CommitterInput): CommitterEffect[] {
    const effects: CommitterEffect[] = []
    switch (input.type) {
      case 'agent-started':
        this.epoch = Math.max(input.epoch, this.epoch)
        this.#agentLives = true
        this.#next = null
        this.#hurried.clear()
        this.#undo(effects)
        break
      case 'agent-gone':
        // Nobody waits for the answer, and the next agent shall find a table at rest.
        this.#agentLives = false
        this.#next = null
        this.#undo(effects)
        this.#nextSafe(effects)
        break
      case 'route':
      case 'services':
        this.#begin(input, effects)
        break
      case 'go-safe':
        this.#goSafe(input, effects)
        break
      case 'worker-started':
        this.#join(input.worker, effects)
        break
      case 'worker-gone':
        this.#workers.delete(input.worker)
        if (this.#flip?.waiting.delete(input.worker) === true) this.#advance(this.#flip, effects)
        break
      case 'prepared':
        if (this.#flip?.id === input.flip && this.#flip.phase === 'prepare' && this.#flip.waiting.delete(input.worker)) this.#advance(this.#flip, effects)
        break
      case 'committed':
        if (this.#flip?.id === input.flip && this.#flip.phase === 'commit' && this.#flip.waiting.delete(input.worker)) {
          this.#flip.longestParkMs = Math.max(this.#flip.longestParkMs, input.longestParkMs)
          this.#advance(this.#flip, effects)
        }
        break
      case 'timeout':
        this.#timeout(input, effects)
        break
    }
    return effects
  }

  #begin(input: Extract<CommitterInput, { type: 'route' | 'services' }>, effects: CommitterEffect[]): void {
    const { epoch, request } = input
    if (epoch !== this.epoch) {
      effects.push({ do: 'refused', epoch, request, code: 'stale-epoch', message: `Epoch ${epoch} is over; the agent of epoch ${this.epoch} decides now.` })
      return
    }
    if (this.#flip?.request === noRequest && this.#next === null) {
      this.#next = input
      return
    }
    if (this.#flip !== null) {
      effects.push({ do: 'refused', epoch, request, code: 'busy', message: 'Another change of the table is being committed.' })
      return
    }
    this.#start(epoch, request, changeOf(input), effects)
  }

  #start(epoch: number, request: number, change: Change, effects: CommitterEffect[]): void {
    const flip: Flip = { id: this.#nextFlip, epoch, request, change, phase: 'prepare', waiting: new Set(), attempt: 1, longestParkMs: 0 }
    this.#nextFlip += 1
    this.#flip = flip
    if (change.kind === 'route' && movesTraffic(routeOf(this.table, change.route.service), change.route)) this.#prepare(flip, change.route.service, effects)
    else this.#commit(flip, effects)
  }

  /** Taking visitors back from a canary waits for no prepare, not even for one that would send more of them there. */
  #goSafe({ epoch, service }: Extract<CommitterInput, { type: 'go-safe' }>, effects: CommitterEffect[]): void {
    if (epoch !== this.epoch) return
    this.#hurried.add(service)
    const flip = this.#flip
    if (flip?.phase === 'prepare' && flip.change.kind === 'route' && flip.change.route.service === service && flip.request !== noRequest) {
      this.#undo(effects)
      effects.push({ do: 'refused', epoch: flip.epoch, request: flip.request, code: 'busy', message: 'The canary is being taken back.' })
    }
    this.#nextSafe(effects)
  }

  /**
   * Without an agent nobody judges what is on trial: one service after the other goes to its safe route. With one, those
   * that it has asked for.
   */
  #nextSafe(effects: CommitterEffect[]): void {
    if (this.#flip !== null) return
    for (const [service, safe] of this.#safe) {
      if (this.#agentLives && !this.#hurried.has(service)) continue
      this.#safe.delete(service)
      this.#hurried.delete(service)
      this.#start(this.epoch, noRequest, { kind: 'route', route: safe, safe: null }, effects)
      return
    }
  }

  #prepare(flip: Flip, service: ServiceName, effects: CommitterEffect[]): void {
    for (const worker of this.#workers) {
      flip.waiting.add(worker)
      effects.push({ do: 'send', worker, message: { type: 'prepare', flip: flip.id, service } })
    }
    if (flip.waiting.size > 0) effects.push({ do: 'arm', flip: flip.id, phase: 'prepare', ms: this.#times.prepareMs })
    this.#advance(flip, effects)
  }

  #advance(flip: Flip, effects: CommitterEffect[]): void {
    if (flip.waiting.size > 0) return
    if (flip.phase === 'prepare') this.#commit(flip, effects)
    else {
      this.#flip = null
      effects.push({ do: 'flip-done', epoch: flip.epoch, request: flip.request, longestParkMs: flip.longestParkMs })
      this.#nextSafe(effects)
      const next = this.#next
      if (this.#flip !== null || next === null) return
      this.#next = null
      this.#start(next.epoch, next.request, changeOf(next), effects)
    }
  }

  #commit(flip: Flip, effects: CommitterEffect[]): void {
    flip.phase = 'commit'
    const { change } = flip
    if (change.kind === 'route') {
      this.table = withRoute(this.table, this.epoch, change.route)
      if (change.safe === null) {
        this.#safe.delete(change.route.service)
        this.#hurried.delete(change.route.service)
      } else this.#safe.set(change.route.service, change.safe)
    } else {
      this.table = withServices(this.table, this.epoch, change.places, change.front)
      for (const service of this.#safe.keys()) if (routeOf(this.table, service) === undefined) this.#safe.delete(service)
    }
    effects.push({ do: 'write-table', table: this.table })
    for (const worker of this.#workers) {
      flip.waiting.add(worker)
      effects.push({ do: 'send', worker, message: { type: 'commit', flip: flip.id, table: this.table } })
    }
    effects.push({ do: 'committed', epoch: flip.epoch, request: flip.request, number: this.table.number })
    if (flip.waiting.size > 0) effects.push({ do: 'arm', flip: flip.id, phase: 'commit', ms: this.#times.commitMs })
    this.#advance(flip, effects)
  }

  /** A worker that joins gets the table before it listens, and during a prepare is prepared too. */
  #join(worker: WorkerId, effects: CommitterEffect[]): void {
    this.#workers.add(worker)
    effects.push({ do: 'send', worker, message: { type: 'table', table: this.table } })
    if (this.#flip?.phase !== 'prepare' || this.#flip.change.kind !== 'route') return
    this.#flip.waiting.add(worker)
    effects.push({ do: 'send', worker, message: { type: 'prepare', flip: this.#flip.id, service: this.#flip.change.route.service } })
  }

  #undo(effects: CommitterEffect[]): void {
    const flip = this.#flip
    if (flip === null || flip.phase === 'commit') return
    this.#flip = null
    for (const worker of this.#workers) effects.push({ do: 'send', worker, message: { type: 'undo', flip: flip.id } })
  }

  #timeout(input: Extract<CommitterInput, { type: 'timeout' }>, effects: CommitterEffect[]): void {
    const flip = this.#flip
    if (flip?.id !== input.flip || flip.phase !== input.phase) return
    if (flip.phase === 'commit') {
      for (const worker of [...flip.waiting]) effects.push({ do: 'replace', worker, why: `it did not acknowledge the commit within ${this.#times.commitMs} ms` })
      // The replaced ones leave through 'worker-gone'; what is committed stays committed.
      return
    }
    const mute = [...flip.waiting]
    this.#undo(effects)
    if (flip.attempt < this.#times.attempts && flip.change.kind === 'route') {
      const again: Flip = { ...flip, id: this.#nextFlip, waiting: new Set(), attempt: flip.attempt + 1 }
      this.#nextFlip += 1
      this.#flip = again
      this.#prepare(again, flip.change.route.service, effects)
      return
    }
    effects.push({
      do: 'refused', epoch: flip.epoch, request: flip.request, code: 'worker-mute',
      message: `Worker ${mute.join(', ')} did not acknowledge the flip within ${this.#times.prepareMs} ms, ${this.#times.attempts} times; the flip was undone.`,
    })
  }
}

function changeOf(input: Extract<CommitterInput, { type: 'route' | 'services' }>): Change {
  return input.type === 'services' ? { kind: 'services', places: input.places, front: input.front } : { kind: 'route', route: input.route, safe: input.safe ?? null }
}
