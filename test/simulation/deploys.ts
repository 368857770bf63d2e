import type { SwapEffect } from '../../agent/swap/events.ts'
import { findRelease, release as recordOf, type ReleaseRecord, type ServiceState } from '../../agent/swap/state.ts'
import type { Build } from './plan.ts'
import type { SimAgent } from './sim-agent.ts'
import type { SimMaster } from './sim-master.ts'
import { Violation } from './violation.ts'
import type { World } from './world.ts'

interface Deploy {
  /** Hooks that were started, by name. */
  readonly hooks: Map<string, number>
  attempts: number
  outcomes: number
  flips: number
  begunAt: number
}

interface Asked {
  readonly agent: SimAgent
  answers: number
  follows: Deploy | null
  outcomesBefore: number
}

/** Follows each deploy from its begin to its outcome, independently of the journal. */
export class Deploys {
  agentsLost = 0
  readonly #world: World
  readonly #deploys = new Map<string, Deploy>()
  readonly #asked = new Map<number, Asked>()
  /** Drops whose outcome was told. */
  readonly #judged = new Set<string>()
  /** Hooks that came to a good end, by build. */
  readonly #hooked = new Set<string>()
  readonly #toldConfirmed = new Map<string, Set<string>>()
  /** Found sick in its bake: the port of the release behind it. */
  readonly #sick = new Map<string, { readonly port: number; readonly agentsLost: number }>()
  /** What the journal said when the newest master began; what a command has named since. */
  readonly #marks = new Map<string, { readonly master: SimMaster | null; readonly next: number; readonly confirmed: string | null; readonly named: Set<string> }>()

  constructor(world: World) {
    this.#world = world
  }

  begins(service: string, state: ServiceState, masterIsNew: boolean): void {
    for (const told of this.#toldConfirmed.get(service) ?? []) {
      if (findRelease(state, told)?.everConfirmed !== true) throw new Violation('I6 confirmed only', `${service}.${told} was said to be confirmed, and the journal does not know it`)
    }
    if (!masterIsNew || this.#marks.get(service)?.master === this.#world.master) return
    this.#marks.set(service, { master: this.#world.master, next: state.nextNumber, confirmed: state.confirmed, named: new Set() })
  }

  stepped(state: ServiceState, effects: readonly SwapEffect[]): void {
    for (const effect of effects) {
      if (effect.do === 'progress' && effect.phase === 'queued') this.#begun(state, recordOf(state, effect.release))
      if (effect.do === 'spawn' && state.restarting !== null && effect.release === state.confirmed) this.#world.counts.restarted += 1
      if (effect.do === 'progress' && effect.phase === 'emptying') this.#world.counts.emptied += 1
      if (effect.do === 'progress' && effect.phase === 'returning') this.#world.counts.returned += 1
      if (effect.do === 'spawn') this.#mayCome(state, effect.release, 'booted')
      if (effect.do === 'commit' && effect.route.live !== null) this.#mayCome(state, effect.route.live, 'put live')
    }
  }

  /** A process of a hook is started. */
  hookStarts(service: string, id: string, hook: string): void {
    const deploy = this.#deployOf(service, id)
    const starts = (deploy.hooks.get(hook) ?? 0) + 1
    deploy.hooks.set(hook, starts)
    if (starts > deploy.attempts) throw new Violation('I14 hooks', `the hook ${hook} of ${service}.${id} was started ${starts} times in ${deploy.attempts} deploys`)
    const state = this.#world.stateOf(service)
    if (hook !== 'confirmed' && state !== null && findRelease(state, id)?.everConfirmed === true) throw new Violation('I14 hooks', `the hook ${hook} of ${service}.${id} was started, which was confirmed before`)
  }

  boots(service: string, id: string): void {
    const { hooks } = this.#world.buildOf(service, id)
    const fails = hooks?.fails ?? null
    if (fails !== null && fails !== 'confirmed' && hooks?.[fails] !== null) throw new Violation('I14 hooks', `${service}.${id} was booted, and its hook ${fails} failed`)
    for (const hook of ['prepare', 'release'] as const) {
      const ran = this.#hooked.has(`${service} ${hook} ${this.#world.buildOf(service, id).key}`)
      if (typeof hooks?.[hook] === 'number' && !ran) throw new Violation('I14 hooks', `${service}.${id} was booted before its hook ${hook} had done its work`)
    }
  }

  hookDone(service: string, id: string, hook: string): void {
    this.#hooked.add(`${service} ${hook} ${this.#world.buildOf(service, id).key}`)
  }

  foundSick(service: string, id: string, fallbackPort: number): void {
    if (this.#world.ports.get(fallbackPort)?.isHealthy() === true) this.#sick.set(`${service}.${id}`, { port: fallbackPort, agentsLost: this.agentsLost })
  }

  /** The table says so. */
  wentLive(service: string, id: string): void {
    const { counts } = this.#world
    counts.flips += 1
    this.#world.checks.canaries.wentLive(service, id)
    if (this.#world.stateOf(service)?.confirmed === id) return
    const deploy = this.#deployOf(service, id)
    deploy.flips += 1
    if (deploy.flips > deploy.attempts) throw new Violation('I7 once', `${service}.${id} was flipped to ${deploy.flips} times in ${deploy.attempts} deploys`)
  }

  outcome(state: ServiceState, id: string): void {
    const { service } = state
    const record = recordOf(state, id)
    const deploy = this.#deployOf(service, id)
    deploy.outcomes += 1
    if (record.outcome === null) throw new Violation('I8 answers', `${service}.${id} has ended without an outcome`)
    if (deploy.outcomes > deploy.attempts) throw new Violation('I8 answers', `${service}.${id} has had ${deploy.outcomes} outcomes in ${deploy.attempts} deploys`)
    const { name, reason } = record.outcome
    const judged = reason !== 'gracer ended before its flip'
    if (record.dropKey !== null && judged) this.#judged.add(`${service} ${record.dropKey}`)
    if (name === 'confirmed') {
      const told = this.#toldConfirmed.get(service) ?? new Set()
      this.#toldConfirmed.set(service, told.add(id))
      const sick = this.#sick.get(`${service}.${id}`)
      const old = this.#world.ports.get(sick?.port ?? 0)
      // An agent that is lost takes the word of the probes with it: the next one bakes afresh.
      if (sick?.agentsLost === this.agentsLost && old?.isHealthy() === true) {
        throw new Violation('I12 bake', `${service}.${id} was found sick in its bake, ${old.name} was well, and yet it was confirmed`)
      }
    }
    this.#count(name)
    this.#world.note(`OUTCOME ${service}.${id}: ${name}${reason === null ? '' : `, ${reason}`}`)
    const undisturbed = this.#world.faults.lastAt < deploy.begunAt - 5_000
    if ((name === 'failed' || name === 'flipped-back') && undisturbed && isGood(this.#world.buildOf(service, id))) {
      throw new Violation('L liveness', `${service}.${id} is good, no fault was near, and yet it ${name}: ${reason ?? ''}`)
    }
  }

  asked(command: number, agent: SimAgent): void {
    this.#asked.set(command, { agent, answers: 0, follows: null, outcomesBefore: 0 })
  }

  answered(command: number): void {
    const asked = this.#asked.get(command)
    if (asked === undefined) return
    asked.answers += 1
    if (asked.answers > 1) throw new Violation('I8 answers', `command ${command} was answered twice`)
  }

  /** Somebody has asked for this very release. */
  named(service: string, id: string): void {
    this.#marks.get(service)?.named.add(id)
  }

  follows(command: number, service: string, id: string): void {
    this.answered(command)
    this.named(service, id)
    const asked = this.#asked.get(command)
    if (asked === undefined) return
    asked.follows = this.#deployOf(service, id)
    asked.outcomesBefore = asked.follows.outcomes
  }

  /** When all has come to rest. */
  check(): void {
    for (const [command, asked] of this.#asked) {
      if (!asked.agent.alive || asked.agent.ghost) continue
      if (asked.answers !== 1) throw new Violation('I8 answers', `command ${command} had ${asked.answers} answers`)
      if (asked.follows !== null && asked.follows.outcomes <= asked.outcomesBefore) throw new Violation('I8 answers', `command ${command} waits for an outcome that never came`)
    }
    if (this.agentsLost > 0) return
    for (const [key, deploy] of this.#deploys) {
      if (deploy.outcomes !== deploy.attempts) throw new Violation('I8 answers', `${key} had ${deploy.outcomes} outcomes in ${deploy.attempts} deploys`)
    }
  }

  #begun(state: ServiceState, record: ReleaseRecord): void {
    const deploy = this.#deployOf(state.service, record.id)
    deploy.attempts += 1
    this.#sick.delete(`${state.service}.${record.id}`)
    deploy.begunAt = this.#world.clock.now
    const isFirst = deploy.attempts === 1
    if (isGood(this.#world.buildOf(state.service, record.id))) this.#world.counts.goodBuilds += 1
    if (isFirst && record.origin === 'drop' && this.#judged.has(`${state.service} ${record.dropKey ?? ''}`)) {
      throw new Violation('I7 once', `the drop ${record.dropKey ?? ''} is deployed by itself again, as ${record.id}`)
    }
  }

  /** After a new master: of the releases from before only the confirmed one comes by itself. */
  #mayCome(state: ServiceState, id: string, how: string): void {
    const mark = this.#marks.get(state.service)
    const record = recordOf(state, id)
    if (mark === undefined || record.number >= mark.next || id === mark.confirmed || mark.named.has(id)) return
    if (!this.#toldConfirmed.get(state.service)?.has(id) && !record.everConfirmed) {
      throw new Violation('I6 confirmed only', `${state.service}.${id} is ${how} after the master was killed; the confirmed release was ${mark.confirmed ?? 'none'}`)
    }
  }

  #deployOf(service: string, id: string): Deploy {
    const key = `${service}.${id}`
    let deploy = this.#deploys.get(key)
    if (deploy === undefined) this.#deploys.set(key, (deploy = { hooks: new Map(), attempts: 0, outcomes: 0, flips: 0, begunAt: 0 }))
    return deploy
  }

  #count(name: string): void {
    const { counts } = this.#world
    if (name === 'confirmed') counts.confirmed += 1
    if (name === 'failed') counts.failed += 1
    if (name === 'flipped-back') counts.flippedBack += 1
    if (name === 'rolled-back') counts.rolledBack += 1
    if (name === 'superseded') counts.superseded += 1
    if (name === 'aborted' || name === 'timed-out') counts.aborted += 1
  }
}

/** Nothing in the build itself stands against its being confirmed. */
export function isGood(build: Build): boolean {
  if (build.hooks?.fails === 'prepare' || build.hooks?.fails === 'release') return false
  return build.verdict === 'good' && build.takesIn && build.health === 'good' && build.crash === null && build.sickAfterMs === null
}
