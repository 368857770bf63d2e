import type { CommitterEffect, CommitterInput } from '../../proxy/master/committer.ts'
import { committerTimes } from '../../proxy/master/committer.ts'
import { releaseKey } from '../../proxy/release-key.ts'
import type { Route, Table } from '../../proxy/table.ts'
import type { SwapEffect, SwapEvent } from '../../agent/swap/events.ts'
import { findRelease, mostProcesses, type ServiceState } from '../../agent/swap/state.ts'
import { Canaries } from './canaries.ts'
import { Deploys } from './deploys.ts'
import { checkRest } from './rest.ts'
import { confirmedState } from './first-state.ts'
import type { CommitterPart } from './parts.ts'
import type { SimAgent } from './sim-agent.ts'
import type { SimBackend } from './sim-backend.ts'
import type { SimRequest } from './sim-request.ts'
import type { SimWorker } from './sim-worker.ts'
import { Violation, type Invariant } from './violation.ts'
import type { World } from './world.ts'

/** The longest a request may be parked: the prepare's own limit, and the slowest message each way. */
const longestParkMs = committerTimes.prepareMs + 700

/** Looks at every step of a schedule, and throws a Violation where a promise is broken. */
export class Checks {
  readonly deploys: Deploys
  readonly canaries: Canaries
  readonly #world: World
  readonly #floors = new Map<string, number>()
  readonly #workerTables = new Map<SimWorker, number>()

  constructor(world: World) {
    this.#world = world
    this.deploys = new Deploys(world)
    this.canaries = new Canaries(world)
  }

  fail(invariant: Invariant, what: string): never {
    throw new Violation(invariant, what)
  }

  firstState(service: string): ServiceState {
    return confirmedState(service, this.#world.plan)
  }

  // ── Requests ────────────────────────────────────────────────────────────────────────────────────────────────

  /** The highest `since` by which a release of the service has given a full reply. */
  floorOf(service: string): number {
    return this.#floors.get(service) ?? 0
  }

  picked(request: SimRequest, worker: SimWorker): void {
    const backend = this.#world.ports.get(request.port)
    if (backend?.alive === true && !backend.passed) this.fail('I2 health first', `request ${request.id} was picked for ${backend.name}, which has not passed a check`)
    // The worker of a dead master answers what comes on its open connections while it leaves, by the table it has.
    if (request.viaFallback || isOnCanary(request) || (worker.orphan && worker.leaving)) return
    if (request.since < request.floor) {
      this.fail('I1 atomic flip', `request ${request.id} was picked for ${request.release ?? ''} by the table since ${request.since}, and began after a full reply by that since ${request.floor}`)
    }
  }

  dialled(request: SimRequest, backend: SimBackend | null): void {
    if (this.#world.strangers.has(request.port)) this.fail('I2 health first', `request ${request.id} reached port ${request.port}, which another program has now`)
    if (backend !== null && releaseKey(backend.service, backend.id) !== request.release) this.fail('I2 health first', `request ${request.id} for ${request.release ?? ''} reached ${backend.name}`)
  }

  replied(request: SimRequest): void {
    this.#world.counts.complete += 1
    this.canaries.replied(request)
    // A canary is a named exception of the atomic flip.
    if (isOnCanary(request)) return
    // A worker that was stopped in a flip, and woke up when there was a new master, goes by the newer file, alone among
    // the workers of the old one; they leave before the new master's workers come.
    if (request.since > (request.worker?.lastOfMaster ?? Infinity)) return
    if (!request.viaFallback && request.since > this.floorOf(request.service)) this.#floors.set(request.service, request.since)
  }

  lost(request: SimRequest, how: string, wasSent: boolean): void {
    this.#world.counts.lostWithBackend += 1
    if (!wasSent || /: SIG(TERM|KILL)$/.test(how)) this.fail('I3 nothing lost', `request ${request.id} to ${request.release ?? ''}: ${how}`)
  }

  held(request: SimRequest, route: Route): void {
    const { live } = route
    if (route.state !== 'serving' || live === null || request.failed?.has(live.release) !== true) return
    const state = this.#world.stateOf(request.service)
    const tentative = state?.tentative ?? null
    if (state === null || tentative === null || tentative.ending !== null || releaseKey(state.service, tentative.release) !== live.release) return
    if (tentative.fallback === null || (tentative.bakeOver && tentative.drained)) return
    // An agent that comes back in mid-bake puts the fallback back into the table: not every worker has heard of that.
    if (state.committed.fallback === null || (request.worker?.routes.table.number ?? 0) < state.committedNumber) return
    const warm = this.#world.ports.get(findRelease(state, tentative.fallback)?.process?.port ?? 0)
    if (warm?.accepts !== true || request.failed.has(releaseKey(state.service, tentative.fallback))) return
    this.fail('I10 fallback', `request ${request.id} is held: the dial to ${live.release} failed, and ${warm.name} is warm but not in the table`)
  }

  unparked(request: SimRequest, worker: SimWorker): void {
    const ms = this.#world.clock.now - request.parkedAt - (worker.stalledMs - request.stalledBefore)
    if (ms > longestParkMs) this.fail('I9 no one waits for ever', `request ${request.id} was parked for ${ms.toFixed(0)} ms`)
  }

  // ── Processes ───────────────────────────────────────────────────────────────────────────────────────────────

  started(backend: SimBackend): void {
    const world = this.#world
    const running = [...world.ports.values()].filter((one) => one.alive && one.service === backend.service)
    const twin = running.find((one) => one !== backend && one.id === backend.id)
    if (twin !== undefined) this.fail('I4 one at a time', `${backend.name} was started while ${twin.name} runs`)
    if (!world.plan.overlap && running.length > 1) this.fail('I13 alone', `${running.map((one) => one.name).join(' and ')} run beside each other`)
    this.deploys.boots(backend.service, backend.id)
    if (running.length > mostProcesses) this.fail('I4 one at a time', `${running.length} processes of service ${backend.service} run: ${running.map((one) => one.name).join(', ')}`)
  }

  /** @param epoch null: gracer is going down, and the workers have left */
  signalled(backend: SimBackend, signal: string, epoch: number | null): void {
    if (epoch === null) return
    for (const worker of this.#world.workers) {
      const inFlight = [...(worker.inFlight.get(releaseKey(backend.service, backend.id)) ?? [])].filter((request) => request.port === backend.port)
      if (inFlight.length > 0) this.fail('I3 nothing lost', `${signal} was sent to ${backend.name} with ${inFlight.length} requests in flight at ${worker.name}`)
      const may = worker.routes.table.routes.some((route) => route.live?.port === backend.port || route.fallback?.port === backend.port || route.canary?.target.port === backend.port)
      if (may) this.fail('I3 nothing lost', `${signal} was sent to ${backend.name}, which ${worker.name} may still pick`)
    }
  }

  replaced(worker: SimWorker): void {
    if (this.#world.clock.now - this.#world.faults.lastAt > 2 * committerTimes.commitMs) this.fail('I3 nothing lost', `${worker.name} was replaced though nothing was wrong with it`)
  }

  // ── The table ───────────────────────────────────────────────────────────────────────────────────────────────

  handled(input: CommitterInput, effects: readonly CommitterEffect[], newestEpoch: number): void {
    if (input.type === 'route' && input.epoch !== newestEpoch && effects.some((effect) => effect.do !== 'refused')) {
      this.fail('I5 epochs', `a route by the agent of epoch ${input.epoch} was taken, while the newest is ${newestEpoch}`)
    }
    for (const effect of effects) if (effect.do === 'send' && effect.message.type === 'undo') this.#world.counts.undonePrepares += 1
  }

  /** An order other than a route: only those of the newest agent may be obeyed. */
  obeys(what: string, epoch: number, newestEpoch: number): void {
    if (epoch !== newestEpoch) this.fail('I5 epochs', `a ${what} by the agent of epoch ${epoch} was obeyed, while the newest is ${newestEpoch}`)
  }

  tableWritten(before: Table, after: Table, committer: CommitterPart): void {
    if (after.number <= before.number || after.epoch < before.epoch) this.fail('I5 epochs', `table ${after.epoch}/${after.number} was written over ${before.epoch}/${before.number}`)
    if (committer.violations > 0) this.fail('I4 one at a time', 'two flips were open at a time')
    this.#world.note(`table ${after.number}: ${after.routes.map((route) => `${route.service} ${route.state} ${route.live?.release ?? '-'}${route.fallback === null ? '' : `, fallback ${route.fallback.release}`}${route.canary === null || route.canary === undefined ? '' : `, canary ${route.canary.target.release} at ${route.canary.share}`}`).join('; ')}`)
    this.canaries.tableWritten(before, after)
    for (const route of after.routes) {
      const old = before.routes.find((one) => one.service === route.service)
      if (route.live !== null && old?.live?.release !== route.live.release) this.deploys.wentLive(route.service, route.live.release.slice(route.service.length + 1))
    }
  }

  workerTable(worker: SimWorker): void {
    const { number } = worker.routes.table
    if (number < (this.#workerTables.get(worker) ?? 0)) this.fail('I5 epochs', `${worker.name} went back to table ${number}`)
    this.#workerTables.set(worker, number)
  }

  newMaster(table: Table): void {
    for (const route of table.routes) {
      for (const target of [route.live, route.fallback]) {
        if (target !== null && (this.#world.ports.get(target.port)?.alive !== true || this.#world.strangers.has(target.port))) {
          this.fail('I11 no dead targets', `the first table of the new master sends requests to ${target.release} on port ${target.port}, which does not run`)
        }
      }
    }
  }

  // ── The agent ───────────────────────────────────────────────────────────────────────────────────────────────

  begins(service: string, state: ServiceState, masterIsNew: boolean, running: readonly string[]): void {
    const unknown = running.find((id) => findRelease(state, id) === undefined)
    if (unknown !== undefined) this.fail('I4 one at a time', `${service}.${unknown} runs, and the journal does not know it`)
    this.deploys.begins(service, state, masterIsNew)
  }

  agentLost(): void {
    this.deploys.agentsLost += 1
  }

  /** @param event null: the agent has just begun, and looked at what it found */
  stepped(agent: SimAgent, state: ServiceState, event: SwapEvent | null, effects: readonly SwapEffect[]): void {
    if (agent.ghost) return
    this.deploys.stepped(state, effects)
    if (event === null && state.pending?.state === 'down' && state.committed.live !== null) {
      this.fail('L liveness', `${state.service} is served by ${state.committed.live}, which runs, and an agent that has just begun takes it down`)
    }
    if (event?.type === 'sick' && state.tentative?.release === event.release && state.tentative.ending === null) {
      this.deploys.foundSick(state.service, event.release, findRelease(state, state.tentative.fallback)?.process?.port ?? 0)
    }
  }

  proposes(state: ServiceState, id: string, port: number | null): void {
    if (port === null || findRelease(state, id) === undefined) this.fail('I2 health first', `a route to ${id} was proposed, which has no process`)
  }

  outcome(state: ServiceState, release: string): void {
    this.deploys.outcome(state, release)
  }

  asked(command: number, agent: SimAgent): void {
    this.deploys.asked(command, agent)
  }

  answered(command: number): void {
    this.deploys.answered(command)
  }

  follows(command: number, service: string, release: string): void {
    this.deploys.follows(command, service, release)
  }

  // ── The end ─────────────────────────────────────────────────────────────────────────────────────────────────

  atRest(): void {
    checkRest(this.#world)
  }

  endless(): never {
    this.fail('Q rest', 'it does not come to rest')
  }
}

function isOnCanary(request: SimRequest): boolean {
  return request.assigned !== null && request.release === request.assigned.canary.target.release
}
