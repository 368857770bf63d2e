import { releaseKey } from '../../proxy/release-key.ts'
import type { Table } from '../../proxy/table.ts'
import type { DeployRequest, ServiceState } from '../../agent/swap/state.ts'
import { findRelease } from '../../agent/swap/state.ts'
import { Checks } from './checks.ts'
import { Clock } from './clock.ts'
import { noCounts } from './counts.ts'
import { Disk } from './disk.ts'
import { Faults } from './faults.ts'
import type { SimHook } from './hooks.ts'
import { latency } from './network.ts'
import type { KeptJudge } from './judge.ts'
import type { Parts } from './parts.ts'
import type { Build, Command, Place, Plan } from './plan.ts'
import { Random } from './random.ts'
import type { SimAgent } from './sim-agent.ts'
import { SimBackend } from './sim-backend.ts'
import { SimMaster } from './sim-master.ts'
import { SimRequest } from './sim-request.ts'
import type { SimWorker } from './sim-worker.ts'

const mostSteps = 60_000

/** The release that was live at the beginning, and a restart of it. */
const plainBuild: Build = Object.freeze({ key: 'plain', takesIn: true, bootMs: 8, health: 'good', crash: null, sickAfterMs: null, term: 'quick', verdict: 'good' })

/** One machine: its processes, its disk, its clock, and everything that may be asked of it. */
export class World {
  readonly plan: Plan
  readonly parts: Parts
  readonly random: Random
  readonly clock = new Clock()
  readonly disk = new Disk()
  readonly counts = noCounts()
  readonly checks: Checks
  readonly faults: Faults
  readonly trace: string[] | null
  master: SimMaster | null = null
  readonly workers = new Set<SimWorker>()
  readonly agents = new Set<SimAgent>()
  /** Agents that were declared dead and are not. */
  readonly ghosts = new Set<SimAgent>()
  /** Ports are never used twice, but for those that strangers take after a reboot. */
  readonly ports = new Map<number, SimBackend>()
  /** The files of the judges of canaries, by service and release. */
  readonly judges = new Map<string, KeptJudge>()
  readonly strangers = new Set<number>()
  readonly hooks = new Set<SimHook>()
  /** By service and source. */
  readonly #builds = new Map<string, Build>()
  readonly #newestDrop = new Map<string, DeployRequest>()
  readonly #boots = new Map<string, number>()
  /** Connections that wait in the kernel's queue for a worker. */
  readonly #queue: SimRequest[] = []
  #nextNumber = 1
  #nextRequest = 1
  #nextCommand = 1

  constructor(plan: Plan, parts: Parts, trace: string[] | null) {
    this.plan = plan
    this.parts = parts
    this.trace = trace
    this.random = new Random(plan.seed ^ 0x5bd1e995)
    this.checks = new Checks(this)
    this.faults = new Faults(this)
  }

  get tracing(): boolean {
    return this.trace !== null
  }

  note(line: string): void {
    this.trace?.push(`${this.clock.now.toFixed(2).padStart(10)}  ${line}`)
  }

  nextNumber(): number {
    this.#nextNumber += 1
    return this.#nextNumber
  }

  /** Lets all happen that is planned, and then all that follows from it. @throws Violation */
  run(): void {
    this.#begin()
    for (const action of this.plan.actions) {
      if (!('at' in action)) continue
      this.clock.at(action.at, null, () => this.faults.act(action.act))
    }
    this.#exhaust()
    // The watcher looks into the folder again every so often.
    for (const service of this.plan.services) this.clock.after(1, null, () => this.rescan(service))
    this.#exhaust()
    this.checks.atRest()
    this.counts.schedules = 1
    this.counts.steps = this.clock.steps
  }

  /** A place where the fault injector may strike. */
  moment(place: Place, worker: SimWorker | null = null): void {
    this.faults.moment(place, worker)
  }

  // ── Machines going up and down ──────────────────────────────────────────────────────────────────────────────

  startMaster(): void {
    if (this.master?.alive === true) return
    const last = this.disk.table
    const survivors = [...this.ports.values()].filter((backend) => backend.alive)
    const table = this.parts.withoutDeadTargets(last, last.epoch + 1, (target) => this.ports.get(target.port)?.alive === true && !this.strangers.has(target.port))
    this.checks.newMaster(table)
    this.checks.canaries.none(table, 'in the first table of a new master')
    // The old agent may be stopped and wake up later: it is ended first.
    for (const agent of this.agents) agent.die()
    this.counts.takeovers += 1
    this.note(`a new master takes over table ${table.number}; workers left: ${[...this.workers].map((one) => one.name).join(' ') || 'none'}`)
    this.#startMaster(table, survivors, false)
  }

  /** All processes are gone; what is on disk stays. After a reboot strangers take the ports that were free. */
  killEverything(isReboot: boolean): void {
    this.master?.die()
    for (const agent of [...this.agents, ...this.ghosts]) agent.die()
    for (const worker of this.workers) worker.die()
    for (const backend of this.ports.values()) {
      if (!backend.alive) continue
      backend.end('the machine ended')
      if (isReboot && this.random.chance(0.7)) this.strangers.add(backend.port)
    }
    for (const hook of this.hooks) hook.die()
    this.#queue.length = 0
  }

  startBackend(service: string, id: string): SimBackend {
    const build = this.buildOf(service, id)
    const key = `${service} ${build.key}`
    const boots = (this.#boots.get(key) ?? 0) + 1
    this.#boots.set(key, boots)
    const backend = new SimBackend(this, service, id, build, boots)
    this.ports.set(backend.port, backend)
    backend.onDeath(() => this.note(`${backend.name} has ended`))
    this.checks.started(backend)
    return backend
  }

  buildOf(service: string, id: string): Build {
    const state = this.stateOf(service)
    const source = state === null ? undefined : findRelease(state, id)?.source
    return this.#builds.get(`${service} ${source ?? ''}`) ?? plainBuild
  }

  /** The newest agent's view of a service, or what it left in its journal. */
  stateOf(service: string): ServiceState | null {
    return [...this.agents].at(-1)?.states.get(service) ?? this.disk.journal(service)
  }

  // ── Commands ────────────────────────────────────────────────────────────────────────────────────────────────

  command(act: Command): void {
    if (act.do === 'request') return this.request(act.service)
    if (act.do === 'down') return this.#down(act.upAfterMs)
    this.counts.commands += 1
    if (act.do === 'drop') {
      this.#builds.set(`${act.service} /${act.build.key}`, act.build)
      this.#newestDrop.set(act.service, { ...this.#deploy(act.build.key, false), origin: 'drop', dropKey: act.build.key })
      return this.rescan(act.service)
    }
    if (act.do === 'rescan') return this.rescan(act.service)
    const agent = this.#agentToAsk()
    // Without an agent the command says so by itself and ends with 3.
    if (agent === null) return
    this.clock.after(latency(this.random), agent, () => {
      const state = agent.states.get(act.service)
      if (state === undefined || agent.ghost) return
      if (act.do === 'undo') {
        if (state.swap !== null) agent.take(act.service, { type: 'undo', release: state.swap.release, how: act.how, reason: 'as asked' })
        return
      }
      if (act.do === 'canary') {
        if (state.swap !== null) agent.judge.order(act.service, state.swap.release, act.order)
        return
      }
      if (act.do === 'pause' || act.do === 'resume') {
        agent.take(act.service, act.do === 'resume' ? { type: 'resume' } : { type: 'pause', until: this.clock.now + act.ms })
        return
      }
      const command = this.#nextCommand
      this.#nextCommand += 1
      this.checks.asked(command, agent)
      switch (act.do) {
        case 'swap':
          this.#builds.set(`${act.service} /${act.build.key}`, act.build)
          agent.take(act.service, { type: 'deploy', request: { ...this.#deploy(act.build.key, act.supersede), command, ...(act.canary === undefined ? {} : { canary: act.canary }) } })
          break
        case 'restart': {
          const source = findRelease(state, state.committed.live)?.source ?? '/begin'
          agent.take(act.service, { type: 'deploy', request: { ...this.#deploy(source.slice(1), false), origin: 'restart', command } })
          break
        }
        case 'rollback': {
          const to = act.to === 'before' || state.releases.length === 0 ? null : this.random.pick(state.releases).id
          if (to !== null) {
            this.checks.deploys.named(act.service, to)
            this.checks.canaries.promoted(act.service, to)
          }
          agent.take(act.service, { type: 'rollback', to, command })
          break
        }
      }
    })
  }

  /** The watcher offers the newest drop of a service, whether or not it was offered before. */
  rescan(service: string): void {
    const drop = this.#newestDrop.get(service)
    const agent = this.#agentToAsk()
    if (drop === undefined || agent === null) return
    this.clock.after(this.random.between(0, 2), agent, () => {
      if (!agent.ghost) agent.take(service, { type: 'deploy', request: drop })
    })
  }

  newestDrop(service: string): string | null {
    return this.#newestDrop.get(service)?.dropKey ?? null
  }

  #deploy(key: string, supersede: boolean): DeployRequest {
    return { origin: 'swap', source: `/${key}`, name: null, dropKey: null, command: null, supersede, noticedAt: 0 }
  }

  #agentToAsk(): SimAgent | null {
    const agent = this.master?.agent ?? null
    return agent?.alive === true && agent.started && !agent.ghost ? agent : null
  }

  #down(upAfterMs: number): void {
    if (this.master?.alive !== true) return
    this.note('gracer down')
    this.faults.lastAt = this.clock.now
    this.master.stop(() => {
      this.killEverything(false)
      this.clock.after(upAfterMs, null, () => this.startMaster())
    })
  }

  // ── Requests ────────────────────────────────────────────────────────────────────────────────────────────────

  /** A flip draws requests to itself, so that the moments about it are looked at closely. */
  crowd(service: string): void {
    const { random } = this
    if (!random.chance(this.plan.crowding)) return
    for (let left = random.int(2, 8); left > 0; left -= 1) this.clock.after(random.between(0, random.chance(0.7) ? 8 : 80), null, () => this.request(service))
  }

  request(service: string): void {
    const request = new SimRequest(this.#nextRequest, service, this.checks.floorOf(service), this.checks.canaries.downs(service))
    this.#nextRequest += 1
    this.counts.requests += 1
    this.#queue.push(request)
    this.workerListens()
  }

  /** Whoever listens takes what waits in the kernel's queue. */
  workerListens(): void {
    if (this.#queue.length === 0) return
    const accepting = [...this.workers].filter((worker) => worker.listening && !worker.leaving)
    // A request on a connection that was kept alive may still reach a worker that is on its way out.
    const leaving = [...this.workers].filter((worker) => worker.listening && worker.leaving && worker.orphan)
    if (accepting.length === 0) {
      // Nobody holds the port: refused, as the docs say of a dead master without a systemd socket.
      if (this.master?.alive !== true) this.#queue.length = 0
      return
    }
    for (const request of this.#queue.splice(0)) {
      const worker = leaving.length > 0 && this.random.chance(0.3) ? this.random.pick(leaving) : this.random.pick(accepting)
      this.#arrive(request, worker)
    }
  }

  get queued(): number {
    return this.#queue.length
  }

  #arrive(request: SimRequest, worker: SimWorker): void {
    request.worker = worker
    this.clock.after(0, worker, () => worker.pick(request))
  }

  // ── The beginning and the end ───────────────────────────────────────────────────────────────────────────────

  #begin(): void {
    if (!this.plan.beginsLive) return this.#startMaster(this.disk.table, [], false)
    const backends: SimBackend[] = []
    let { table } = this.disk
    for (const service of this.plan.services) {
      const state = this.checks.firstState(service)
      this.disk.writeJournal(state)
      const backend = this.startBackend(service, 'v1')
      backend.hasPassed()
      backends.push(backend)
      Object.assign(state.releases[0] as object, { process: { pid: backend.pid, port: backend.port, healthy: true } })
      const live = { release: releaseKey(service, 'v1'), host: '127.0.0.1', port: backend.port, healthy: true }
      const number = table.number + 1
      const route = { service, since: number, state: 'serving' as const, live, fallback: null, reason: null, settings: { holdTimeoutMs: 1_500, holdMax: 1_000 } }
      table = { epoch: 1, number, routes: [...table.routes, route] }
    }
    this.disk.freezeJournals()
    this.#startMaster(table, backends, true)
  }

  #startMaster(table: Table, survivors: readonly SimBackend[], settled: boolean): void {
    this.master = new SimMaster(this, this.parts.committer(table), survivors, settled)
    this.master.run()
  }

  #exhaust(): void {
    while (this.clock.step()) {
      if (this.clock.steps > mostSteps) this.checks.endless()
    }
  }
}
