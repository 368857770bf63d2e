import { findRelease } from '../../agent/swap/state.ts'
import { isFault, type Command, type Fault, type Place } from './plan.ts'
import type { SimAgent } from './sim-agent.ts'
import type { SimBackend } from './sim-backend.ts'
import type { SimWorker } from './sim-worker.ts'
import type { World } from './world.ts'

/** An agent that has said nothing for this long counts as hung. */
const silenceMs = 900
/** One that was declared dead and is not lives on for this long. */
const ghostMs = 4_000

/** Carries out what the plan says, at a time or in a certain moment of a process. */
export class Faults {
  readonly #world: World
  readonly #reached: Record<Place, number> = { agent: 0, master: 0, flip: 0 }
  readonly #planned: Record<Place, Map<number, (Command | Fault)[]>> = { agent: new Map(), master: new Map(), flip: new Map() }
  #worker: SimWorker | null = null
  /** When the last fault struck, or its consequences were still to come. */
  lastAt = -Infinity

  constructor(world: World) {
    this.#world = world
    for (const action of world.plan.actions) {
      if (!('place' in action)) continue
      const planned = this.#planned[action.place]
      planned.set(action.moment, [...(planned.get(action.moment) ?? []), action.act])
    }
  }

  moment(place: Place, worker: SimWorker | null = null): void {
    this.#worker = worker
    const moment = (this.#reached[place] += 1)
    for (const act of this.#planned[place].get(moment) ?? []) this.act(act)
  }

  act(act: Command | Fault): void {
    const world = this.#world
    if (!isFault(act)) return world.command(act)
    this.lastAt = world.clock.now
    world.counts.faults += 1
    world.note(`FAULT ${JSON.stringify(act)}`)
    switch (act.do) {
      case 'kill-worker':
        [...world.workers][act.index % Math.max(1, world.workers.size)]?.die()
        break
      case 'kill-agent':
        world.master?.agent?.die()
        break
      case 'kill-master':
        if (world.master?.alive !== true) break
        world.master.die()
        this.#up(act.upAfterMs)
        break
      case 'kill-everything':
        world.killEverything(true)
        world.counts.reboots += 1
        this.#up(act.upAfterMs)
        break
      case 'kill-backend':
        this.#backend(act.service, act.which)?.end('kill -9')
        break
      case 'stall-worker':
        this.#stall([...world.workers][act.index % Math.max(1, world.workers.size)], act.ms)
        break
      case 'upset-flip': {
        const others = [...world.workers].filter((worker) => worker !== this.#worker)
        this.#worker?.die()
        this.#stall(others[0], act.ms)
        break
      }
      case 'stall-agent': {
        const agent = world.master?.agent ?? null
        if (agent === null || !agent.alive) break
        world.clock.stall(agent)
        world.clock.after(act.ms, null, () => this.#wake(agent))
        if (act.ms > silenceMs) world.clock.after(silenceMs, null, () => this.#declareDead(agent, act.wakesLate))
        break
      }
    }
  }

  #stall(worker: SimWorker | undefined, ms: number): void {
    if (worker === undefined) return
    this.#world.clock.stall(worker)
    this.#world.clock.after(ms, null, () => this.#wake(worker))
  }

  #up(afterMs: number): void {
    const world = this.#world
    world.clock.after(afterMs, null, () => {
      this.lastAt = world.clock.now
      world.startMaster()
    })
  }

  #wake(process: Parameters<World['clock']['resume']>[0]): void {
    this.lastAt = this.#world.clock.now
    this.#world.clock.resume(process)
  }

  /**
   * The master ends a silent agent before it starts another. In one variant the end is believed but did not happen,
   * and the old one wakes up later: its epoch is over, so nothing that it says may change anything.
   */
  #declareDead(agent: SimAgent, wakesLate: boolean): void {
    const world = this.#world
    if (!agent.alive || !agent.stalled || world.master?.agent !== agent) return
    this.lastAt = world.clock.now
    world.note(`${agent.name} is silent${wakesLate ? ', and will wake up when another is there' : ''}`)
    if (!wakesLate) return agent.die()
    world.clock.after(ghostMs, null, () => agent.die())
    world.disk.freezeJournals()
    agent.ghost = true
    world.checks.agentLost()
    world.agents.delete(agent)
    world.ghosts.add(agent)
    world.master.agentGone(agent)
  }

  #backend(service: string, which: 'live' | 'fallback' | 'newest'): SimBackend | undefined {
    const world = this.#world
    const state = world.disk.journal(service)
    const running = [...world.ports.values()].filter((backend) => backend.alive && backend.service === service)
    if (which === 'newest' || state === null) return running.at(-1)
    const id = which === 'live' ? state.committed.live : (state.tentative?.fallback ?? null)
    const port = findRelease(state, id)?.process?.port
    return running.find((backend) => backend.port === port)
  }
}
