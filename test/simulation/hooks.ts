import type { HookInfo, HookOrder, HookResult, ToAgent } from '../../proxy/messages.ts'
import { numberOfKey } from '../../proxy/release-key.ts'
import { latency } from './network.ts'
import { SimProcess } from './process.ts'
import { Violation } from './violation.ts'
import type { World } from './world.ts'

/** How long after SIGTERM a hook may still run. */
const endMs = 80

/** A process of a hook. It outlives the agent, and its master where that is killed. */
export class SimHook extends SimProcess {
  readonly order: HookOrder
  code: number | null = null
  ending = false

  constructor(order: HookOrder) {
    super(`hook ${order.release} ${order.hook}`)
    this.order = order
  }
}

/** The master's list of hooks: it starts them, ends them, and keeps how they ended for an agent that was away. */
export class Hooks {
  readonly #world: World
  readonly #master: SimProcess
  readonly #tell: (message: ToAgent) => void
  readonly #running = new Map<string, SimHook>()
  readonly #ended = new Map<string, HookInfo>()

  constructor(world: World, master: SimProcess, tell: (message: ToAgent) => void) {
    this.#world = world
    this.#master = master
    this.#tell = tell
    // What a dead master left is ended before anything else is started.
    for (const hook of world.hooks) this.#end(hook)
  }

  list(): HookInfo[] {
    return [...[...this.#running.values()].map(({ order }) => ({ service: order.service, run: order.run, result: null })), ...this.#ended.values()]
  }

  run(order: HookOrder): void {
    const key = `${order.service} ${order.run}`
    const world = this.#world
    if (this.#running.has(key)) return
    const left = [...world.hooks].filter((hook) => hook.order.service === order.service && !this.#running.has(`${order.service} ${hook.order.run}`))
    if (left.length > 0) return void world.clock.after(5, this.#master, () => this.run(order))
    const beside = [...world.hooks].find((hook) => hook.order.service === order.service && (hook.order.hook === 'confirmed') === (order.hook === 'confirmed'))
    if (beside !== undefined) throw new Violation('I14 hooks', `the hook ${order.hook} of ${order.release} was started beside ${beside.name}`)
    const state = world.stateOf(order.service)
    if (order.hook !== 'confirmed' && state?.swap?.release !== numberOfKey(order.release) && this.#master.alive) world.note(`a late order for a hook of ${order.release}`)
    world.checks.deploys.hookStarts(order.service, numberOfKey(order.release), order.hook)
    world.counts.hooks += 1
    const hook = new SimHook(order)
    world.hooks.add(hook)
    this.#running.set(key, hook)
    world.note(`master starts ${hook.name}`)
    hook.onDeath(() => {
      world.hooks.delete(hook)
      world.note(`${hook.name} has ended: ${hook.code ?? 'by a signal'}`)
      if (hook.code === 0) world.checks.deploys.hookDone(order.service, numberOfKey(order.release), order.hook)
      world.clock.after(latency(world.random), this.#master, () => {
        const result: HookResult = { code: hook.code, signal: hook.code === null ? 'SIGTERM' : null, timedOut: false, ms: 0, error: null }
        this.#running.delete(key)
        this.#ended.set(key, { service: order.service, run: order.run, result })
        this.#tell({ type: 'hook-ended', release: order.release, run: order.run, result })
      })
    })
    const hooks = world.buildOf(order.service, numberOfKey(order.release)).hooks
    world.clock.after(hooks?.[order.hook as 'prepare'] ?? 0, hook, () => {
      hook.code = hooks?.fails === order.hook ? 1 : 0
      hook.die()
    })
  }

  end(service: string, run: number): void {
    const hook = this.#running.get(`${service} ${run}`)
    if (hook?.alive === true) this.#end(hook)
  }

  #end(hook: SimHook): void {
    const world = this.#world
    if (hook.ending) return
    hook.ending = true
    world.counts.hooksEnded += 1
    world.clock.after(world.random.between(0.1, endMs), hook, () => hook.die())
  }
}
