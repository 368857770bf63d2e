import type { CommitterEffect, CommitterInput } from '../../proxy/master/committer.ts'
import { noRequest } from '../../proxy/master/committer.ts'
import { QuietWatch } from '../../proxy/master/quiet-watch.ts'
import { protocolVersion, type DrainDeadlines, type FromAgent, type FromWorker, type ToAgent, type ToWorker } from '../../proxy/messages.ts'
import type { ReleaseId } from '../../proxy/release-key.ts'
import { Backends } from './backends.ts'
import { Hooks } from './hooks.ts'
import { Channel, latency } from './network.ts'
import type { CommitterPart } from './parts.ts'
import { SimProcess } from './process.ts'
import { SimAgent } from './sim-agent.ts'
import type { SimBackend } from './sim-backend.ts'
import { SimWorker } from './sim-worker.ts'
import type { World } from './world.ts'

/** The agent has settled what was left, or the old workers are told to go all the same. */
const takeOverMs = 5_000

/** The master's shell around the production committer and quiet watch: starts, reaps and relays. */
export class SimMaster extends SimProcess {
  readonly committer: CommitterPart
  agent: SimAgent | null = null
  readonly #world: World
  readonly #toWorkers = new Map<number, { readonly worker: SimWorker; readonly channel: Channel<ToWorker> }>()
  #toAgent: Channel<ToAgent> | null = null
  readonly #backends: Backends
  readonly #hooks: Hooks
  readonly #quiet: QuietWatch
  #orphans: SimWorker[]
  /** An agent has settled what the last master left: until then each is told that the master is new. */
  #settled: boolean
  #onReady: (() => void) | null = null
  #onQuiesced: (() => void) | null = null
  #stopping = false
  #nextWorker = 1
  #newestEpoch = 0

  /** @param inherited backends that a dead master left */
  constructor(world: World, committer: CommitterPart, inherited: readonly SimBackend[], settled: boolean) {
    super('master')
    this.#world = world
    this.committer = committer
    this.#settled = settled
    this.#orphans = [...world.workers]
    this.#quiet = new QuietWatch((order) => this.#tell({ type: 'quiet', release: order as ReleaseId, order }))
    if (world.parts.countsOrphans) this.#quiet.setOrphans(this.#orphans.length)
    this.onDeath(() => {
      for (const worker of this.workers) worker.lastOfMaster = this.committer.table.number
      world.checks.canaries.masterGone()
    })
    this.#hooks = new Hooks(world, this, (message) => this.#tell(message))
    this.#backends = new Backends(world, this, inherited, (message) => this.#tell(message))
    for (const orphan of this.#orphans) {
      orphan.onDeath(() => world.clock.after(latency(world.random), this, () => {
        this.#orphans = this.#orphans.filter((one) => one !== orphan)
        if (world.parts.countsOrphans) this.#quiet.setOrphans(this.#orphans.length)
      }))
    }
  }

  get workers(): SimWorker[] {
    return [...this.#toWorkers.values()].map((one) => one.worker)
  }

  run(): void {
    this.#world.disk.table = this.committer.table
    if (this.#orphans.length === 0) {
      this.startAgent()
      this.#startWorkers()
      return
    }
    // The old workers serve until the agent has settled what they would serve next; then the port changes hands.
    let begun = false
    const takeOver = (): void => {
      if (begun) return
      begun = true
      for (const orphan of this.#orphans) this.#world.clock.after(latency(this.#world.random), orphan, () => orphan.leave())
      this.#bindWhenFree()
    }
    this.#onReady = takeOver
    this.startAgent()
    this.#world.clock.after(takeOverMs, this, takeOver)
  }

  startAgent(): void {
    if (this.#stopping) return
    const world = this.#world
    const epoch = this.committer.epoch + 1
    this.#newestEpoch = epoch
    this.handle({ type: 'agent-started', epoch })
    if (!this.alive) return
    const agent = new SimAgent(world, this, epoch)
    this.agent = agent
    world.agents.add(agent)
    this.#toAgent = new Channel(world.clock, world.random, { from: this, to: agent, deliver: (message) => agent.receive(message), broken: () => agent.die() })
    agent.onDeath(() => world.clock.after(latency(world.random), this, () => this.agentGone(agent)))
    const backends = this.#backends.list()
    const hooks = this.#hooks.list()
    world.note(`master starts agent of epoch ${epoch}${this.#settled ? '' : ', the master is new'}; running: ${backends.map((one) => one.release).join(' ') || 'none'}`)
    this.#tell({ type: 'hello', protocol: protocolVersion, epoch, table: this.committer.table, backends, hooks, listen: [], masterPid: 1, masterIsNew: !this.#settled, masterVersion: '0', upgrade: { state: 'none' } })
  }

  /** Its exit was reaped, or it has been silent for so long that it counts as dead. */
  agentGone(agent: SimAgent): void {
    if (this.agent !== agent) return
    this.agent = null
    this.handle({ type: 'agent-gone' })
    if (!this.committer.flipping) this.#world.checks.canaries.none(this.committer.table, 'when its agent is gone')
    this.#onQuiesced?.()
    const world = this.#world
    world.clock.after(world.random.between(0, world.random.chance(0.3) ? 200 : 3), this, () => this.startAgent())
  }

  fromAgent(agent: SimAgent, message: FromAgent): void {
    const world = this.#world
    // Its exit was reaped, and no other is there yet: what is left in the pipe is nobody's word.
    if (this.agent === null) return
    const obeys = 'epoch' in message && (message.epoch === this.committer.epoch || !world.parts.checksEpochs)
    if ('epoch' in message && message.epoch !== this.#newestEpoch) {
      world.counts.staleMessages += 1
      world.note(`master gets ${message.type} of the old epoch ${message.epoch}`)
    }
    if (obeys && message.type !== 'route' && message.type !== 'services' && message.type !== 'go-safe') world.checks.obeys(message.type, message.epoch, this.#newestEpoch)
    switch (message.type) {
      // Composed of what is simulated already: an agent's end, workers that come and go.
      case 'loaded':
      case 'upgrade':
        break
      case 'ready':
        if (agent !== this.agent) break
        this.#settled = true
        this.#onReady?.()
        break
      case 'route':
        this.handle({ type: 'route', epoch: message.epoch, request: message.request, route: message.route, safe: message.safe ?? null })
        break
      case 'services':
        this.handle({ type: 'services', epoch: message.epoch, request: message.request, places: message.places })
        break
      case 'go-safe':
        this.handle({ type: 'go-safe', epoch: message.epoch, service: message.service })
        break
      case 'spawn':
        if (obeys && !this.#stopping) this.#backends.spawn(message.order.service, message.order.release)
        break
      case 'signal':
        if (obeys) this.#backends.signal(message.release, message.signal, message.epoch)
        break
      case 'drain':
        if (obeys) this.#drain(message.release, message.deadlines)
        break
      case 'run-hook':
        if (obeys && !this.#stopping) this.#hooks.run(message.order)
        break
      case 'end-hook':
        if (obeys) this.#hooks.end(message.service, message.run)
        break
      case 'quiesced':
        this.#onQuiesced?.()
        break
      case 'alive':
      case 'report':
      case 'down':
        break
    }
  }

  fromWorker(worker: SimWorker, message: FromWorker): void {
    switch (message.type) {
      case 'prepared':
        this.handle({ type: 'prepared', worker: worker.id, flip: message.flip })
        break
      case 'committed':
        this.handle({ type: 'committed', worker: worker.id, flip: message.flip, longestParkMs: 0 })
        break
      case 'quiet':
        this.#quiet.said(worker.id, message.order)
        break
      case 'fell-back':
        this.#tell(message)
        break
      case 'ready':
      case 'listening':
      case 'listen-failed':
      case 'ledger':
      case 'forgotten':
      case 'evidence':
      case 'users':
      case 'shadow':
      case 'alive':
        break
    }
  }

  handle(input: CommitterInput): void {
    const effects = this.committer.handle(input)
    this.#world.checks.handled(input, effects, this.#newestEpoch)
    for (const effect of effects) {
      this.#world.moment('master')
      if (!this.alive) return
      this.#carryOut(effect)
    }
  }

  /** SIGTERM to the master: undo what is before its flip, drain, stop the backends, end. */
  stop(ended: () => void): void {
    if (this.#stopping) return
    const world = this.#world
    const leave = (): void => {
      this.#onQuiesced = null
      for (const worker of this.workers) this.#sendTo(worker.id, { type: 'leave', idle: 'soon', deadlines: deadlines(world) })
      this.#whenGone(() => {
        for (const { release } of this.#backends.list()) this.#backends.signal(release, 'SIGKILL', null)
        ended()
      })
    }
    this.#stopping = true
    this.#onQuiesced = leave
    if (this.agent === null) leave()
    else this.#tell({ type: 'quiesce' })
    world.clock.after(3_000, this, () => {
      if (this.#onQuiesced !== null) leave()
    })
  }

  #whenGone(then: () => void): void {
    if (this.#toWorkers.size === 0 && this.#orphans.length === 0) then()
    else this.#world.clock.after(10, this, () => this.#whenGone(then))
  }

  #bindWhenFree(): void {
    // The port is free when the last listening socket of the old ones is closed.
    if (this.#orphans.every((orphan) => !orphan.alive || orphan.leaving)) this.#startWorkers()
    else this.#world.clock.after(5, this, () => this.#bindWhenFree())
  }

  #startWorkers(): void {
    for (let index = this.#toWorkers.size; index < this.#world.plan.workers; index += 1) this.#startWorker()
  }

  #startWorker(): void {
    if (this.#stopping) return
    const world = this.#world
    const worker = new SimWorker(world, this, this.#nextWorker)
    this.#nextWorker += 1
    world.workers.add(worker)
    const channel = new Channel<ToWorker>(world.clock, world.random, { from: this, to: worker, deliver: (message) => worker.receive(message), broken: () => worker.masterVanished() })
    this.#toWorkers.set(worker.id, { worker, channel })
    worker.onDeath(() => world.clock.after(latency(world.random), this, () => this.#workerGone(worker)))
    this.handle({ type: 'worker-started', worker: worker.id })
  }

  #workerGone(worker: SimWorker): void {
    this.#toWorkers.delete(worker.id)
    this.#world.note(`master reaps ${worker.name}`)
    this.handle({ type: 'worker-gone', worker: worker.id })
    if (!this.alive) return
    this.#quiet.workerGone(worker.id)
    this.#world.clock.after(this.#world.random.between(0, 20), this, () => this.#startWorker())
  }

  #carryOut(effect: CommitterEffect): void {
    const world = this.#world
    switch (effect.do) {
      case 'send':
        this.#sendTo(effect.worker, effect.message)
        break
      case 'write-table':
        world.checks.tableWritten(world.disk.table, effect.table, this.committer)
        world.disk.table = effect.table
        for (const route of effect.table.routes) if (route.since === effect.table.number) world.crowd(route.service)
        break
      case 'committed':
        if (effect.epoch === this.committer.epoch && effect.request !== noRequest) this.#tell({ type: 'committed', request: effect.request, number: effect.number })
        break
      case 'refused':
        world.counts.refused += 1
        world.note(`master refuses: ${effect.message}`)
        if (effect.epoch === this.committer.epoch) this.#tell({ type: 'refused', request: effect.request, code: effect.code, message: effect.message })
        break
      case 'flip-done':
        if (effect.epoch === this.committer.epoch && effect.request !== noRequest) this.#tell({ type: 'flip-done', request: effect.request, longestParkMs: effect.longestParkMs })
        break
      case 'arm':
        world.clock.after(effect.ms, this, () => this.handle({ type: 'timeout', flip: effect.flip, phase: effect.phase }))
        break
      case 'replace': {
        const worker = this.#toWorkers.get(effect.worker)?.worker
        world.note(`master replaces worker ${effect.worker}: ${effect.why}`)
        world.counts.replaced += 1
        if (worker !== undefined) world.checks.replaced(worker)
        worker?.die()
        break
      }
    }
  }

  /** `release` carries the number of the order: an answer to an earlier order is no answer to this one. */
  #drain(release: ReleaseId, limits: DrainDeadlines): void {
    if (!this.#world.parts.awaitsQuiet) return this.#tell({ type: 'quiet', release, order: release })
    this.#quiet.begin(release, [...this.#toWorkers.keys()])
    for (const id of this.#toWorkers.keys()) this.#sendTo(id, { type: 'drain', release, order: release, deadlines: limits })
  }

  #sendTo(worker: number, message: ToWorker): void {
    this.#toWorkers.get(worker)?.channel.send(message)
  }

  #tell(message: ToAgent): void {
    if (this.agent !== null) this.#toAgent?.send(message)
  }
}

export function deadlines(world: World): DrainDeadlines {
  return { timeoutMs: world.plan.drainMs, streamsMs: world.plan.drainMs, upgradedMs: world.plan.drainMs, spreadMs: 0 }
}
