import { failureAt } from '../../agent/swap/ends.ts'
import { findRelease, type ServiceState } from '../../agent/swap/state.ts'
import type { SimAgent } from './sim-agent.ts'

const firstRetryMs = 5
const slowestRetryMs = 200
export const checkDeadlineMs = 900
/** Three probes in a row. */
const sickAfterMs = 90

/** The agent's probes: the check of a booted release, the watch on a live one, the one look at the fallback. */
export class Probes {
  readonly #agent: SimAgent
  /** A newer check or watch of a release ends the one before. */
  readonly #turns = new Map<string, number>()
  #next = 1

  constructor(agent: SimAgent) {
    this.#agent = agent
  }

  end(service: string, release: string): void {
    this.#turns.delete(`check ${service} ${release}`)
    this.#turns.delete(`watch ${service} ${release}`)
  }

  check(service: string, release: string): void {
    const found = this.#find(service, release)
    if (found === null) return
    const { world } = this.#agent
    const key = `check ${service} ${release}`
    const turn = this.#turn(key)
    const begun = world.clock.now
    const probe = (waitMs: number): void => {
      if (this.#turns.get(key) !== turn) return
      const backend = world.ports.get(found.port)
      if (!world.parts.probesHealth || (backend?.pid === found.pid && backend.isHealthy())) {
        this.#turns.delete(key)
        if (world.parts.probesHealth) backend?.hasPassed()
        return this.#agent.take(service, { type: 'healthy', release, pid: found.pid })
      }
      if (world.clock.now - begun >= checkDeadlineMs) {
        this.#turns.delete(key)
        return this.#agent.take(service, { type: 'unhealthy', release, pid: found.pid, failure: failureAt('health', 'not healthy in time') })
      }
      world.clock.after(waitMs, this.#agent, () => probe(Math.min(waitMs * 3, slowestRetryMs)))
    }
    world.clock.after(world.random.between(0.1, 2), this.#agent, () => probe(firstRetryMs))
  }

  watch(service: string, release: string, baking: boolean): void {
    const found = this.#find(service, release)
    const { world } = this.#agent
    const backend = found === null ? undefined : world.ports.get(found.port)
    if (backend === undefined) return
    const key = `watch ${service} ${release}`
    const turn = this.#turn(key)
    const look = (): void => {
      if (backend.sickFrom === Infinity) return
      world.clock.after(Math.max(0, backend.sickFrom - world.clock.now) + sickAfterMs, this.#agent, () => {
        if (this.#turns.get(key) !== turn || !backend.accepts) return
        this.#agent.take(service, { type: 'sick', release, failure: failureAt('bake', '3 health probes in a row failed') })
        // Once confirmed, sickness changes nothing: one word about it is enough here.
        if (baking) look()
      })
    }
    look()
  }

  once(service: string, release: string): void {
    const found = this.#find(service, release)
    if (found === null) return
    const { world } = this.#agent
    world.clock.after(world.random.between(0.5, 20), this.#agent, () => {
      const backend = world.ports.get(found.port)
      this.#agent.take(service, { type: 'fallback-probed', release, healthy: backend?.pid === found.pid && backend.isHealthy() })
    })
  }

  #turn(key: string): number {
    const turn = this.#next
    this.#next += 1
    this.#turns.set(key, turn)
    return turn
  }

  #find(service: string, release: string): { pid: number; port: number } | null {
    return findRelease(this.#agent.states.get(service) as ServiceState, release)?.process ?? null
  }
}
