import { failureAt } from '../../agent/swap/ends.ts'
import type { SimAgent } from './sim-agent.ts'
import type { World } from './world.ts'

/** Shares of the visitors, as the config would have them. */
const steps = [0.3, 0.6, 0.9]
/** Where it cannot be told, the longest time of the step decides. */
const inconclusiveMs = 3_000

/** What the judge of a canary keeps on disk: how far it was. */
export interface KeptJudge {
  at: number
  phase: number
  share: number
}

/**
 * The agent's judge of a canary: what the statistics would say of a build is written in the build. It keeps how far it is
 * before it says so, and a person's order goes by way of it.
 */
export class Judge {
  readonly #agent: SimAgent
  readonly #world: World
  readonly #turns = new Map<string, number>()
  readonly #kept = new Map<string, KeptJudge>()

  constructor(agent: SimAgent) {
    this.#agent = agent
    this.#world = agent.world
  }

  /** The reducer asks for it; the figures of the old release are asked for first. */
  begin(service: string, release: string): void {
    const turn = this.#turn(service, release)
    const key = `${service} ${release}`
    this.#later(service, release, turn, this.#world.random.between(0.2, 4), () => {
      const kept = { ...(this.#world.judges.get(key) ?? { at: 0, phase: 1, share: steps[0] as number }) }
      this.#kept.set(key, kept)
      this.#world.counts.canaries += 1
      this.#share(service, release, kept)
      this.#watch(service, release, turn)
    })
  }

  /** A person's order. */
  order(service: string, release: string, order: 'promote' | 'abort' | number): void {
    const kept = this.#kept.get(`${service} ${release}`)
    if (kept === undefined || !this.#judges(service, release)) return
    if (order === 'promote') return this.#promote(service, release, true)
    if (order === 'abort') return this.#end(service, release, 'aborted')
    // Set by hand: judged all the same, and on from there.
    Object.assign(kept, { share: order, phase: kept.phase + 1 })
    this.#share(service, release, kept)
  }

  #watch(service: string, release: string, turn: number): void {
    const { random } = this.#world
    const build = this.#world.buildOf(service, release)
    const kept = this.#kept.get(`${service} ${release}`) as KeptJudge
    const last = kept.at >= steps.length - 1
    if (build.verdict === 'bad' && (last || random.chance(0.4))) return this.#later(service, release, turn, random.between(1, 200), () => this.#end(service, release, 'failed'))
    if (build.verdict === 'open' && last) {
      return this.#later(service, release, turn, inconclusiveMs, () => (random.chance(0.5) ? this.#promote(service, release, false) : this.#end(service, release, 'failed')))
    }
    this.#later(service, release, turn, random.between(1, 300), () => {
      const next = steps[kept.at + 1]
      if (next === undefined) return this.#promote(service, release, false)
      Object.assign(kept, { at: kept.at + 1, phase: kept.phase + 1, share: next })
      this.#share(service, release, kept)
      this.#watch(service, release, turn)
    })
  }

  #share(service: string, release: string, kept: KeptJudge): void {
    const { share, phase } = kept
    // One that is declared dead is ended before another begins: its file is not the next one's.
    if (!this.#agent.ghost) this.#world.judges.set(`${service} ${release}`, { ...kept })
    this.#agent.take(service, { type: 'canary-share', release, share, phase, why: '' })
  }

  #promote(service: string, release: string, byCommand: boolean): void {
    if (byCommand) this.#world.checks.canaries.promoted(service, release)
    this.#agent.take(service, { type: 'canary-promote', release, why: '' })
  }

  #end(service: string, release: string, how: 'failed' | 'aborted'): void {
    this.#agent.goSafe(service)
    this.#agent.take(service, { type: 'canary-end', release, how, failure: failureAt('canary', 'it is worse') })
  }

  #judges(service: string, release: string): boolean {
    const swap = this.#agent.states.get(service)?.swap
    return swap?.release === release && swap.step === 'canary' && swap.canary?.begun === true
  }

  #later(service: string, release: string, turn: number, ms: number, then: () => void): void {
    this.#world.clock.after(ms, this.#agent, () => {
      if (this.#turns.get(`${service} ${release}`) === turn && this.#judges(service, release)) then()
    })
  }

  #turn(service: string, release: string): number {
    const key = `${service} ${release}`
    const turn = (this.#turns.get(key) ?? 0) + 1
    this.#turns.set(key, turn)
    return turn
  }
}
