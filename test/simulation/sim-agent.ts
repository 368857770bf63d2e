import type { FromAgent, HookOrder, HookResult, ToAgent } from '../../proxy/messages.ts'
import { numberOfKey, releaseKey, serviceOfKey, type ReleaseId } from '../../proxy/release-key.ts'
import { routeOf, type ProposedRoute, type Route, type Target } from '../../proxy/table.ts'
import type { SwapEffect, SwapEvent } from '../../agent/swap/events.ts'
import { failureAt } from '../../agent/swap/ends.ts'
import { commandOf } from '../../agent/swap/hooks.ts'
import type { HookEnd } from '../../agent/swap/recover.ts'
import { findRelease, newServiceState, nothingLive, type BootPlan, type RouteIntent, type ServiceState } from '../../agent/swap/state.ts'
import { Judge } from './judge.ts'
import { Channel } from './network.ts'
import { Probes } from './probes.ts'
import { SimProcess } from './process.ts'
import { deadlines, type SimMaster } from './sim-master.ts'
import type { World } from './world.ts'
import type { Timed } from './clock.ts'

export const stopMs = 60
const holdMs = 1_500

/** The agent's shell around the production reducers: each step is journaled, then its effects are carried out in order. */
export class SimAgent extends SimProcess {
  readonly epoch: number
  readonly world: World
  readonly states = new Map<string, ServiceState>()
  readonly #toMaster: Channel<FromAgent>
  readonly #probes: Probes
  readonly judge: Judge
  /** It was declared dead and another was started: what it writes is nobody's journal. */
  ghost = false
  started = false
  #quiescing = false
  /** Changes of the table are sent one at a time, whatever the service. */
  #routes: { readonly service: string; readonly route: ProposedRoute }[] = []
  #changing: { readonly request: number; readonly service: string } | null = null
  #nextRequest = 1
  readonly #stops = new Map<string, Timed>()
  /** The newest drain order of each release. */
  readonly #drains = new Map<string, string>()

  constructor(world: World, master: SimMaster, epoch: number) {
    super(`agent ${epoch}`)
    this.world = world
    this.epoch = epoch
    this.#toMaster = new Channel(world.clock, world.random, { from: this, to: master, deliver: (message) => master.fromAgent(this, message), broken: () => {} })
    this.#probes = new Probes(this)
    this.judge = new Judge(this)
    this.onDeath(() => {
      world.agents.delete(this)
      if (this.ghost) return
      world.disk.freezeJournals()
      world.checks.agentLost()
    })
  }

  receive(message: ToAgent): void {
    switch (message.type) {
      case 'upgrade':
      case 'shadow':
        break
      case 'hello':
        this.#begin(message)
        break
      case 'committed':
        if (this.#changing?.request === message.request) this.take(this.#changing.service, { type: 'committed', number: message.number })
        break
      case 'refused':
      case 'flip-done': {
        const changing = this.#changing
        if (changing?.request !== message.request) break
        this.#changing = null
        if (message.type === 'refused') this.take(changing.service, { type: 'refused', message: message.message })
        this.#nextRoute()
        break
      }
      case 'spawned': {
        const { service, release } = split(message.release)
        this.take(service, { type: 'spawned', release, pid: message.pid, port: message.port })
        break
      }
      case 'spawn-failed': {
        const { service, release } = split(message.release)
        this.take(service, { type: 'spawn-failed', release, failure: failureAt('boot', message.message) })
        break
      }
      case 'exited': {
        const { service, release } = split(message.release)
        this.world.clock.cancel(this.#stops.get(message.release) ?? null)
        this.#stops.delete(message.release)
        this.take(service, { type: 'exited', release, pid: message.pid, failure: failureAt('boot', 'its process ended') })
        break
      }
      case 'quiet': {
        const order = message.release.replace(/#.*/, '') as ReleaseId
        const { service, release } = split(order)
        // The answer to an earlier order says nothing about what was picked since.
        if (this.#drains.get(order) === message.release) this.take(service, { type: 'quiet', release })
        break
      }
      case 'hook-ended':
        this.take(serviceOfKey(message.release), { type: 'hook-ended', run: message.run, ...hookEnd(message.result) })
        break
      case 'fell-back':
        this.#fellBack(message)
        break
      case 'quiesce':
        this.#quiescing = true
        for (const service of this.states.keys()) this.take(service, { type: 'close' })
        this.#saysQuiesced()
        break
      case 'notify':
      case 'figures':
      case 'evidence':
      case 'exit':
        break
    }
  }

  /** Something has happened. It is journaled with what follows from it before anything is done about it. */
  take(service: string, event: SwapEvent): void {
    const state = this.states.get(service)
    if (!this.alive || state === undefined) return
    if (this.world.tracing) this.world.note(`${this.name} ${service}: ${JSON.stringify(event, (key, value: unknown) => (key === 'failure' ? '…' : value))}`)
    if (!this.world.parts.journalsFirst && !this.ghost) this.world.disk.freezeJournals()
    this.world.moment('agent')
    if (!this.alive) return
    const effects = this.world.parts.step(state, event)
    this.#carryOut(service, state, event, effects)
    this.#saysQuiesced()
  }

  #begin(hello: Extract<ToAgent, { type: 'hello' }>): void {
    const { world } = this
    world.counts.recoveries += 1
    for (const service of world.plan.services) {
      const state = world.disk.readJournal(service) ?? newServiceState(service)
      this.states.set(service, state)
      const running = new Map(hello.backends.filter((one) => one.service === service).map((one) => [numberOfKey(one.release), { pid: one.pid, port: one.port }]))
      const hooks = new Map(hello.hooks.filter((one) => one.service === service).map((one) => [one.run, one.result === null ? ('running' as const) : hookEnd(one.result)]))
      const committed = intentOf(routeOf(hello.table, service))
      world.checks.begins(service, state, hello.masterIsNew, [...running.keys()])
      if (world.tracing) world.note(`${this.name} ${service}: recovers, confirmed ${state.confirmed ?? '-'}, swap ${state.swap?.release ?? '-'} ${state.swap?.step ?? ''}, tentative ${state.tentative?.release ?? '-'}; table says ${committed.live ?? '-'}`)
      const effects = world.parts.recover(state, { committed, committedNumber: hello.table.number, running, hooks, masterIsNew: hello.masterIsNew })
      this.#carryOut(service, state, null, effects)
      if (!this.alive) return
    }
    this.started = true
    this.#saysReady()
    for (const service of world.plan.services) world.clock.after(world.random.between(1, 50), this, () => world.rescan(service))
  }

  /** When the table says what follows from what was found. */
  #saysReady(): void {
    if ([...this.states.values()].every((state) => state.pending === null)) this.#toMaster.send({ type: 'ready' })
    else if (!this.ghost) this.world.clock.after(5, this, () => this.#saysReady())
  }

  #saysQuiesced(): void {
    if (!this.#quiescing || ![...this.states.values()].every((state) => state.closing && state.swap === null && state.pending === null)) return
    this.#quiescing = false
    this.#toMaster.send({ type: 'quiesced', deadlines: deadlines(this.world), stopMs })
  }

  #carryOut(service: string, state: ServiceState, event: SwapEvent | null, effects: readonly SwapEffect[]): void {
    const { world } = this
    if (world.parts.journalsFirst && !this.ghost) world.disk.writeJournal(state)
    world.checks.stepped(this, state, event, effects)
    for (const effect of effects) {
      world.moment('agent')
      if (!this.alive) return
      if (world.tracing && effect.do !== 'progress') world.note(`${this.name} ${service}:   -> ${JSON.stringify(effect, (key, value: unknown) => (key === 'failure' ? '…' : value))}`)
      this.#do(service, state, effect)
    }
    if (!world.parts.journalsFirst && !this.ghost) world.disk.writeJournal(state)
  }

  #do(service: string, state: ServiceState, effect: SwapEffect): void {
    const { world } = this
    switch (effect.do) {
      case 'take-in':
        world.clock.after(world.random.between(0.2, 20), this, () => this.#takeIn(service, effect.release))
        break
      case 'spawn': {
        const release = releaseKey(service, effect.release)
        this.#toMaster.send({ type: 'spawn', epoch: this.epoch, order: { service, release, command: '', args: [], cwd: '', env: {}, socket: 'inherit', logFile: '' } })
        break
      }
      case 'check':
        this.#probes.check(service, effect.release)
        break
      case 'watch':
        this.#probes.watch(service, effect.release, effect.baking)
        break
      case 'unwatch':
        this.#probes.end(service, effect.release)
        break
      case 'probe-fallback':
        this.#probes.once(service, effect.release)
        break
      case 'commit':
        this.#routes.push({ service, route: this.#proposed(state, effect.route) })
        this.#nextRoute()
        break
      case 'drain':
        this.#drain(releaseKey(service, effect.release))
        break
      case 'stop':
      case 'stop-stray':
        this.#stop(releaseKey(service, effect.release))
        break
      case 'pause-limit':
        world.clock.after(Math.max(0, effect.until - world.clock.now), this, () => this.take(service, { type: 'pause-over', until: effect.until }))
        break
      case 'after':
        world.clock.after(effect.ms, this, () => this.take(service, effect.event))
        break
      case 'outcome':
        if (!this.ghost) world.checks.outcome(state, effect.release)
        break
      case 'answer':
        if (!this.ghost) world.checks.answered(effect.command)
        break
      case 'follow':
        if (!this.ghost) world.checks.follows(effect.command, service, effect.release)
        break
      case 'judge':
        this.judge.begin(service, effect.release)
        break
      case 'run-hook': {
        const found = commandOf(state, effect.run)
        if (found === null) break
        const order: HookOrder = { service, run: effect.run, release: releaseKey(service, effect.release), hook: found.hook.hook, command: '', args: [], cwd: '', env: {}, logFile: '', timeoutMs: 0, stopMs: 0 }
        this.#toMaster.send({ type: 'run-hook', epoch: this.epoch, order })
        break
      }
      case 'end-hook':
        this.#toMaster.send({ type: 'end-hook', epoch: this.epoch, service, run: effect.run })
        break
      case 'progress':
      case 'note':
      case 'hooks-over':
        break
    }
  }

  #takeIn(service: string, release: string): void {
    const build = this.world.buildOf(service, release)
    if (!build.takesIn) return this.take(service, { type: 'take-in-failed', release, failure: failureAt('take-in', 'it is not whole') })
    const { bakeMs, onCrashLoop, overlap, canary } = this.world.plan
    const commands = (ms: number | null | undefined): string[][] => (typeof ms === 'number' ? [['hook']] : [])
    const hooks = { prepare: commands(build.hooks?.prepare), release: commands(build.hooks?.release), confirmed: commands(build.hooks?.confirmed), timeoutMs: 0 }
    const plan: BootPlan = { command: ['app'], socket: 'inherit', env: {}, bakeMs, onCrashLoop, stopMs, overlap, hooks, canary: { always: canary, salt: `${service} ${release}` } }
    this.take(service, { type: 'taken-in', release, plan })
  }

  #drain(release: ReleaseId): void {
    const order: ReleaseId = this.world.parts.numbersDrains ? `${release}#${this.epoch}-${this.#nextRequest}` : release
    this.#nextRequest += 1
    this.#drains.set(release, order)
    this.#toMaster.send({ type: 'drain', epoch: this.epoch, release: order, order, deadlines: deadlines(this.world) })
  }

  #stop(release: ReleaseId): void {
    if (this.#stops.has(release)) return
    this.#toMaster.send({ type: 'signal', epoch: this.epoch, release, signal: 'SIGTERM' })
    this.#stops.set(release, this.world.clock.after(stopMs, this, () => {
      this.#toMaster.send({ type: 'signal', epoch: this.epoch, release, signal: 'SIGKILL' })
    }))
  }

  #nextRoute(): void {
    const next = this.#changing === null ? this.#routes.shift() : undefined
    if (next === undefined) return
    const request = this.#nextRequest
    this.#nextRequest += 1
    this.#changing = { request, service: next.service }
    const { canary, ...safe } = next.route
    this.#toMaster.send({ type: 'route', epoch: this.epoch, request, route: next.route, safe: canary === null || canary === undefined ? null : safe })
  }

  /** A canary is taken back before that is written down; what waits here and would send more to it is overtaken. */
  goSafe(service: string): void {
    this.#toMaster.send({ type: 'go-safe', epoch: this.epoch, service })
    const overtaken = this.#routes.filter((one) => one.service === service && (one.route.canary ?? null) !== null)
    if (overtaken.length === 0) return
    this.#routes = this.#routes.filter((one) => !overtaken.includes(one))
    this.world.clock.after(0, this, () => this.take(service, { type: 'refused', message: 'the canary is being taken back' }))
  }

  #proposed(state: ServiceState, intent: RouteIntent): ProposedRoute {
    const target = (id: string | null, port: number | null): Target | null => {
      if (id === null) return null
      this.world.checks.proposes(state, id, port)
      const record = findRelease(state, id)
      return { release: releaseKey(state.service, id), host: '127.0.0.1', port: port ?? 0, healthy: record?.process?.healthy ?? record?.everConfirmed ?? false }
    }
    const { canary } = intent
    const trial = canary === null || canary === undefined ? null : target(canary.release, canary.port)
    return {
      ...(trial === null || canary === null || canary === undefined ? {} : { canary: {
        target: trial, share: canary.share, phase: canary.phase, salt: state.swap?.canary?.salt ?? '', secret: '', key: { from: 'header', name: 'x-user' },
        sticky: 'none', names: { canary: [], stable: [] }, allow: [], slowMs: null, timedFromMs: 0,
      } }),
      service: state.service, state: intent.state, reason: intent.reason, paused: intent.paused ?? null, settings: { holdTimeoutMs: holdMs, holdMax: 1_000 },
      live: target(intent.live, intent.port), fallback: target(intent.fallback, findRelease(state, intent.fallback)?.process?.port ?? null),
    }
  }

  /** The release itself is asked before a worker's word is believed. */
  #fellBack(message: Extract<ToAgent, { type: 'fell-back' }>): void {
    const { service, release } = split(message.release)
    this.world.clock.after(this.world.random.between(0.1, 5), this, () => {
      const state = this.states.get(service)
      const port = findRelease(state as ServiceState, state?.tentative?.release ?? null)?.process?.port
      if (port === undefined || this.world.ports.get(port)?.accepts === true) return
      this.take(service, { type: 'fell-back', release, number: message.number, error: message.error })
    })
  }
}

function hookEnd({ code }: HookResult): HookEnd {
  return { failure: code === 0 ? null : failureAt('hook', 'its hook failed'), detail: '' }
}

function split(key: ReleaseId): { readonly service: string; readonly release: string } {
  return { service: serviceOfKey(key), release: numberOfKey(key) }
}

function intentOf(route: Route | undefined): RouteIntent {
  if (route === undefined) return nothingLive
  const id = (target: Target | null): string | null => (target === null ? null : numberOfKey(target.release))
  const { canary } = route
  return {
    state: route.state, live: id(route.live), port: route.live?.port ?? null, fallback: id(route.fallback), reason: route.reason, paused: route.paused ?? null,
    ...(canary === null || canary === undefined ? {} : { canary: { release: numberOfKey(canary.target.release), port: canary.target.port, share: canary.share, phase: canary.phase } }),
  }
}
