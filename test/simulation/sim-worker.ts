import type { FromWorker, ToWorker } from '../../proxy/messages.ts'
import type { ReleaseId } from '../../proxy/release-key.ts'
import { servedBy } from '../../proxy/table.ts'
import { Channel } from './network.ts'
import type { RoutesPart } from './parts.ts'
import { SimProcess } from './process.ts'
import type { Random } from './random.ts'
import type { SimMaster } from './sim-master.ts'
import type { SimRequest } from './sim-request.ts'
import type { World } from './world.ts'
import type { Timed } from './clock.ts'

const redialMs = 100

/** A worker: the production routes, with a small picker and drains around them. */
export class SimWorker extends SimProcess {
  readonly id: number
  readonly routes: RoutesPart
  readonly toMaster: Channel<FromWorker>
  readonly #world: World
  /** It has a table, so it accepts. */
  listening = false
  /** Its master is gone. */
  orphan = false
  /** The last table of its own master; Infinity while that lives. */
  lastOfMaster = Infinity
  leaving = false
  readonly inFlight = new Map<ReleaseId, Set<SimRequest>>()
  readonly waiting = new Set<SimRequest>()
  readonly #drains = new Map<ReleaseId, { readonly order: ReleaseId; quiet: boolean; timer: Timed | null }>()
  readonly #fellBack = new Set<string>()
  #redial: Timed | null = null

  constructor(world: World, master: SimMaster, id: number) {
    super(`worker ${id}`)
    this.id = id
    this.#world = world
    this.routes = world.parts.routes()
    this.routes.isPaused = (_service, until) => until > world.clock.now
    this.toMaster = new Channel(world.clock, world.random, { from: this, to: master, deliver: (message) => master.fromWorker(this, message), broken: () => {} })
    this.onDeath(() => this.#died())
  }

  receive(message: ToWorker): void {
    if (message.type === 'prepare' || message.type === 'commit' || message.type === 'undo') {
      if (message.type === 'prepare') this.#world.crowd(message.service)
      this.#world.moment('flip', this)
      if (!this.alive || this.#world.clock.deferred(this, () => this.receive(message))) return
    }
    if (this.#world.tracing) this.#world.note(`${this.name} gets ${message.type}${'flip' in message ? ` of flip ${message.flip}` : ''}${'table' in message ? ` with table ${message.table.number}` : ''}${'release' in message ? ` of ${message.release}` : ''}`)
    switch (message.type) {
      case 'table':
      case 'prepare':
      case 'commit':
      case 'undo': {
        const applied = this.routes.apply(message)
        if (message.type === 'table' || message.type === 'commit') this.#tableChanged()
        if (applied.wake) this.#wake()
        for (const reply of applied.replies) this.toMaster.send(reply.type === 'prepared' ? reply : { ...reply, longestParkMs: 0 })
        break
      }
      case 'drain':
        this.#drain(message.release, message.deadlines.timeoutMs)
        break
      case 'leave':
        this.leave()
        break
      case 'report':
      case 'forget':
        break
    }
  }

  masterVanished(): void {
    if (this.orphan) return
    this.orphan = true
    const read = this.routes.anyPrepared ? this.#world.disk.table : null
    this.#world.note(`${this.name} has lost its master${read === null ? '' : ` and reads table ${read.number} from the file`}`)
    this.routes.masterVanished(read)
    this.#tableChanged()
    this.#wake()
    if (!this.listening) this.die()
  }

  /** Accepts nothing new from here on, finishes, and is gone. */
  leave(): void {
    if (this.leaving) return
    this.leaving = true
    this.#world.note(`${this.name} leaves`)
    for (const release of this.inFlight.keys()) this.#drain(release, this.#world.plan.drainMs)
    this.#world.clock.after(this.#world.plan.drainMs + 2_000, this, () => this.die())
    this.#leaveIfIdle()
  }

  get idle(): boolean {
    if (this.waiting.size > 0) return false
    for (const requests of this.inFlight.values()) if (requests.size > 0) return false
    return true
  }

  /** Picks a release for the request, or lets it wait. Choosing and counting are one step. */
  pick(request: SimRequest): void {
    request.worker = this
    const decision = this.routes.decide(request.service, request.failed, request)
    switch (decision.kind) {
      case 'go':
        request.assigned = decision.assigned
        this.#go(request, decision.target.release, decision.target.port, decision.since, decision.number, decision.viaFallback)
        break
      case 'park':
        this.#wait(request, 'parked')
        break
      case 'hold':
        this.#world.checks.held(request, decision.route)
        this.#wait(request, 'held')
        this.#hold(request, decision.route.settings.holdTimeoutMs)
        if (decision.route.state === 'serving') {
          this.#redial ??= this.#world.clock.after(redialMs, this, () => {
            this.#redial = null
            this.#wake()
          })
        }
        break
      case 'pause':
        this.#wait(request, 'held')
        this.#world.clock.after((decision.route.paused ?? 0) - this.#world.clock.now, this, () => this.#wake())
        break
      case 'refuse':
        this.ended(request, `refused: ${decision.refusal.code}`)
        break
    }
  }

  /** The request is over, in whatever way. */
  ended(request: SimRequest, how: string): void {
    const wasSent = request.state === 'sent'
    this.#unwait(request)
    const { release } = request
    request.state = 'ended'
    request.end = how
    if (how.startsWith('lost')) this.#world.checks.lost(request, how, wasSent)
    if (this.#world.tracing) this.#world.note(`request ${request.id} at ${this.name}: ${how}`)
    if (release !== null) this.#uncount(request, release)
    this.#leaveIfIdle()
  }

  #go(request: SimRequest, release: ReleaseId, port: number, since: number, number: number, viaFallback: boolean): void {
    const world = this.#world
    this.#unwait(request)
    request.state = 'picked'
    request.release = release
    request.port = port
    request.since = since
    request.viaFallback = viaFallback
    let counted = this.inFlight.get(release)
    if (counted === undefined) this.inFlight.set(release, (counted = new Set()))
    counted.add(request)
    if (world.tracing) world.note(`request ${request.id} at ${this.name}: picked ${release}, port ${port}${viaFallback ? ' as fallback' : ''}, since ${since}, table ${number}`)
    request.downsAtPick = world.checks.canaries.downsOf(request.service, number)
    world.checks.picked(request, this)
    world.checks.canaries.picked(request, this)
    if (viaFallback) {
      world.counts.fallbackPicks += 1
      const key = `${release}:${number}`
      if (!this.#fellBack.has(key)) {
        this.#fellBack.add(key)
        this.toMaster.send({ type: 'fell-back', service: request.service, release, number, error: 'connection refused' })
      }
    }
    world.clock.after(world.random.between(0.02, 1), this, () => this.#dial(request))
  }

  #dial(request: SimRequest): void {
    if (request.state !== 'picked') return
    const world = this.#world
    const release = request.release as ReleaseId
    const backend = world.ports.get(request.port)
    if (backend === undefined) world.checks.dialled(request, null)
    if (backend === undefined || !backend.accepts) {
      request.state = 'arriving'
      request.release = null
      request.failed ??= new Set()
      request.failed.add(release)
      this.#uncount(request, release)
      if (world.tracing) world.note(`request ${request.id} at ${this.name}: dial to ${release} failed`)
      this.pick(request)
      return
    }
    world.checks.dialled(request, backend)
    request.state = 'sent'
    request.backend = backend
    backend.inFlight.add(request)
    world.clock.after(replyMs(world.random), null, () => {
      if (request.state !== 'sent' || !backend.inFlight.delete(request)) return
      // The reply is in the worker's socket now: the backend may go.
      world.clock.after(0, this, () => {
        if (request.state !== 'sent') return
        world.checks.replied(request)
        this.ended(request, 'complete')
      })
    })
  }

  #wait(request: SimRequest, how: 'parked' | 'held'): void {
    const { counts, clock } = this.#world
    if (request.state !== how) {
      if (how === 'parked') {
        counts.parked += 1
        request.parkedAt = clock.now
        request.stalledBefore = this.stalledMs
      } else counts.held += 1
    }
    if (request.state === 'parked' && how === 'held') this.#world.checks.unparked(request, this)
    request.state = how
    this.waiting.add(request)
  }

  #hold(request: SimRequest, ms: number): void {
    if (request.overdue) return this.ended(request, 'refused: hold-timeout')
    request.holdTimer ??= this.#world.clock.after(ms, this, () => {
      request.overdue = true
      if (request.state === 'held') this.ended(request, 'refused: hold-timeout')
    })
  }

  #unwait(request: SimRequest): void {
    if (!this.waiting.delete(request)) return
    if (request.state === 'parked') this.#world.checks.unparked(request, this)
  }

  #wake(): void {
    for (const request of [...this.waiting]) {
      if (!this.waiting.has(request)) continue
      // What failed did so by an earlier table, or some time ago.
      request.failed = null
      this.pick(request)
    }
  }

  #uncount(request: SimRequest, release: ReleaseId): void {
    const counted = this.inFlight.get(release)
    if (counted?.delete(request) === true && counted.size === 0) this.#checkQuiet(release)
  }

  /** The order's number stands behind the release's name; the answer repeats both. */
  #drain(order: ReleaseId, ms: number): void {
    const release = order.replace(/#.*/, '') as ReleaseId
    this.#world.clock.cancel(this.#drains.get(release)?.timer ?? null)
    const timer = this.#world.clock.after(ms, this, () => {
      for (const request of [...(this.inFlight.get(release) ?? [])]) {
        request.backend?.inFlight.delete(request)
        this.#world.counts.cut += 1
        this.ended(request, 'cut')
      }
    })
    this.#drains.set(release, { order, quiet: false, timer })
    this.#checkQuiet(release)
  }

  #checkQuiet(release: ReleaseId): void {
    const drain = this.#drains.get(release)
    if (drain === undefined || drain.quiet || (this.inFlight.get(release)?.size ?? 0) > 0) return
    drain.quiet = true
    this.#world.clock.cancel(drain.timer)
    this.toMaster.send({ type: 'quiet', release: drain.order, order: drain.order })
  }

  #tableChanged(): void {
    this.listening = true
    this.#world.checks.workerTable(this)
    for (const release of this.routes.table.routes.flatMap(servedBy)) {
      const drain = this.#drains.get(release)
      if (drain === undefined) continue
      this.#world.clock.cancel(drain.timer)
      this.#drains.delete(release)
    }
    this.#world.workerListens()
  }

  #leaveIfIdle(): void {
    if (this.leaving && this.alive && this.idle) this.#world.clock.after(0, this, () => this.idle && this.die())
  }

  #died(): void {
    this.#world.workers.delete(this)
    for (const requests of this.inFlight.values()) {
      for (const request of requests) {
        request.backend?.inFlight.delete(request)
        request.state = 'ended'
        request.end = `lost with ${this.name}`
        this.#world.counts.lostWithWorker += 1
      }
    }
    for (const request of this.waiting) {
      request.state = 'ended'
      request.end = `gone with ${this.name}`
    }
    this.inFlight.clear()
    this.waiting.clear()
  }
}

function replyMs(random: Random): number {
  const kind = random.next()
  if (kind < 0.5) return random.between(0.05, 1)
  return kind < 0.88 ? random.between(1, 25) : random.between(100, 3_000)
}
