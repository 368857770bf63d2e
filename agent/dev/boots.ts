import { freePort } from '../../inherit/ephemeral-socket.ts'
import { GracerError } from '../../inherit/gracer-error.ts'
import { extraPorts } from '../boot/extra-ports.ts'
import { portsOf } from '../health/port-owner.ts'
import { App, type AppStart } from './app.ts'
import { firstApp, nextApp, type AppId, type CycleEvent, type CycleState } from './cycle.ts'
import { bootExit, crashed, describeFailure } from './failure.ts'
import type { FirstBoot } from './first-boot.ts'
import type { InspectorRelay } from './inspector.ts'
import type { DevOptions } from './options.ts'
import { planDev, unheededKeys, withInspector, type DevPlan } from './plan.ts'
import { awaitReady } from './readiness.ts'
import type { Round } from './round.ts'
import { Spare } from './spare.ts'
import type { DevVoice } from './voice.ts'

/** A half-booted app has this long after SIGTERM. */
const dropMs = 500
/** An app that ends so soon after it was ready, for want of a port, may want it from the old code. */
const lateClashMs = 3_000

/** Whose boots they are. */
export interface BootHost {
  readonly options: DevOptions
  readonly voice: DevVoice
  readonly relay: InspectorRelay | null
  state(): CycleState
  round(): Round
  dispatch(event: CycleEvent): void
  /** Nothing of it runs any more. */
  gone(app: AppId): void
}

interface Booting {
  readonly app: AppId
  readonly abort: AbortController
  process: App | null
}

/** Every run of the app: begun, waited for until it listens, given up, and known until its last process is gone. */
export class Boots {
  readonly #host: BootHost
  readonly #apps = new Map<AppId, App>()
  /** Where each app's own inspector is. */
  readonly #inspectors = new Map<AppId, number>()
  /** The numbers of "ports" that each app was given. */
  readonly #extraPorts = new Map<AppId, readonly number[]>()
  #early: App | null
  readonly #spare = new Spare()
  readonly #firstPlan: DevPlan
  #plan: DevPlan
  /** Told already. */
  #unheeded = ''
  #booting: Booting | null = null
  #readyAt = 0
  /** Apps that were gone in the last moment. */
  #leftLately = 0

  constructor(host: BootHost, first: Pick<FirstBoot, 'plan' | 'app'>) {
    this.#host = host
    this.#firstPlan = first.plan
    this.#plan = first.plan
    this.#early = first.app
  }

  /** Of the newest boot. */
  get plan(): DevPlan {
    return this.#plan
  }

  /** performance.now() of the last one that came to listen. */
  get readyAt(): number {
    return this.#readyAt
  }

  get all(): readonly App[] {
    return [...this.#apps.values()]
  }

  find(id: AppId | null): App | undefined {
    return id === null ? undefined : this.#apps.get(id)
  }

  /** What comes of it is dispatched. */
  async begin(id: AppId): Promise<void> {
    const booting: Booting = { app: id, abort: new AbortController(), process: null }
    this.#booting = booting
    this.#host.round().bootBegins()
    try {
      await this.#start(booting)
    } catch (error) {
      if (booting.abort.signal.aborted) return
      const known = error instanceof GracerError ? error : null
      const failure = describeFailure({ stage: 'config', title: sentence((error as Error).message), hint: known?.code === 'source-missing' ? 'gracer waits for it to come back, and boots then.' : (known?.hint ?? null), output: [], folder: this.#host.options.cwd, command: this.#plan.shown })
      this.#host.dispatch({ type: 'boot-failed', app: id, failure, clash: false })
    }
  }

  /** Gives up a boot that is under way. */
  drop(id: AppId): void {
    const booting = this.#booting
    if (booting === null || booting.app !== id) return
    booting.abort.abort()
    if (booting.process === null) {
      // Not started yet, or not known yet: it ends as soon as it is. Where nothing came of it nobody must wait for it.
      queueMicrotask(() => { if (booting.process === null) this.#gone(id) })
      return
    }
    booting.process.end(dropMs)
  }

  /** Everything ends: what is being started just now ends as soon as it is there. Resolves when no spare runs. */
  abort(): Promise<void> {
    this.#booting?.abort.abort()
    return this.#spare.close()
  }

  async #start(booting: Booting): Promise<void> {
    const { app: id, abort } = booting
    const { options, voice, relay } = this.#host
    // The first boot goes by the plan that the start was announced with.
    if (id !== firstApp) this.#plan = await planDev(options)
    const plan = this.#plan
    this.#tellUnheeded()
    const inspectPort = relay === null ? null : await freePort()
    const inspected = plan.inspect === null || inspectPort === null ? null : withInspector(plan.command, plan.inspect, inspectPort)
    if (inspectPort !== null && inspected === null) voice.notice('--inspect needs a command that begins with node, such as gracer dev --inspect -- node server.js')
    const ports = await extraPorts(plan.service.ports, new Set([...this.#extraPorts.values()].flat()))
    const numbers = Object.values(ports)
    if (abort.signal.aborted) return
    const env = numbers.length === 0 ? plan.env : new Map([...plan.env, ...Object.entries(ports).map(([name, port]): [string, string] => [name, String(port)]), ['GRACER_KEEP_PORTS', numbers.join(',')]])
    this.#extraPorts.set(id, numbers)
    const early = this.#early
    this.#early = null
    const start: AppStart = {
      id, cwd: options.cwd, command: inspected ?? plan.command, env, socket: plan.socket,
      output: (stream, chunk) => voice.output(stream, chunk),
    }
    const app = early ?? this.#spare.take(start) ?? await App.start(start)
    booting.process = app
    this.#know(app)
    if (abort.signal.aborted) {
      app.end(dropMs)
      return
    }
    if (inspectPort !== null && inspected !== null) {
      this.#inspectors.set(id, inspectPort)
      relay?.moveTo(inspectPort)
    }
    await this.#awaitListening(app, plan, [...(inspectPort === null ? [] : [inspectPort]), ...numbers], abort.signal)
    // Neither a debugger nor a second port can be given to a process beforehand.
    if (!abort.signal.aborted && inspectPort === null && numbers.length === 0) this.#spare.prepare({ ...start, id: nextApp(this.#host.state()) })
  }

  #tellUnheeded(): void {
    const keys = unheededKeys(this.#firstPlan, this.#plan).join(', ')
    if (keys !== '' && keys !== this.#unheeded) this.#host.voice.notice(`${keys} of gracer.json: other values count from the next start of gracer dev on`)
    this.#unheeded = keys
  }

  #know(app: App): void {
    const { id } = app
    this.#apps.set(id, app)
    void app.group.gone.then(() => this.#gone(id))
    const command = this.#plan.shown
    void app.exited.then((exit) => {
      if (app.ending) return
      const output = app.tail.lines()
      this.#host.dispatch({ type: 'exited', app: id, failure: crashed(exit, output, this.#host.options.cwd, command), clash: this.#clashedLate(app, output) })
    })
  }

  /** `ports`: those on which it may listen besides. */
  async #awaitListening(app: App, plan: DevPlan, ports: readonly number[], abort: AbortSignal): Promise<void> {
    const health = plan.inspect?.brk === true ? { ...plan.service.health, deadlineMs: 24 * 3_600_000 } : plan.service.health
    const over = new AbortController()
    const either = AbortSignal.any([abort, over.signal])
    const result = await Promise.race([
      awaitReady(app, health, ports, either),
      app.exited.then((exit) => ({ kind: 'exited' as const, exit })),
    ])
    over.abort()
    if (abort.aborted) return
    if (result.kind === 'ready' && !app.over) {
      this.#readyAt = performance.now()
      this.#host.round().bootMs = this.#readyAt - app.begunAt
      this.#host.dispatch({ type: 'booted', app: app.id })
      return
    }
    app.ending = true
    const folder = this.#host.options.cwd
    const exit = result.kind === 'exited' ? result.exit : app.over ? await app.exited : null
    const output = app.tail.lines()
    const failure = exit === null && result.kind === 'failed'
      ? describeFailure({ stage: 'boot', title: result.title, hint: result.hint, output, folder, command: plan.shown })
      : bootExit(exit ?? { code: null, signal: null }, output, folder, plan.shown)
    if (exit === null) app.end(dropMs)
    this.#host.dispatch({ type: 'boot-failed', app: app.id, failure, clash: this.#clashes(output) })
  }

  /** Did it want a port that the live app holds? */
  #clashes(output: readonly string[]): boolean {
    const old = this.find(this.#host.state().live)
    const text = output.join('\n')
    if (old === undefined || !text.includes('EADDRINUSE')) return false
    return portsOf(old.pid).some((port) => port !== old.port && new RegExp(`\\b${port}\\b`).test(text))
  }

  /** Did it find out only after it had begun to listen? Then the old code is on its way out, and what it held is not known. */
  #clashedLate(app: App, output: readonly string[]): boolean {
    const young = performance.now() - app.begunAt < (this.#host.round().bootMs ?? 0) + lateClashMs
    return young && this.#host.state().leaving.length + this.#leftLately > 0 && output.some((line) => line.includes('EADDRINUSE'))
  }

  #gone(id: AppId): void {
    this.#apps.delete(id)
    this.#leftLately += 1
    setTimeout(() => { this.#leftLately -= 1 }, lateClashMs).unref()
    this.#inspectors.delete(id)
    this.#extraPorts.delete(id)
    // A boot that failed gives the debugger back to the code that serves.
    this.#host.relay?.moveTo([...this.#inspectors.values()].at(-1) ?? null)
    this.#host.gone(id)
  }
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.')
}
