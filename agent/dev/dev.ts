import { relative } from 'node:path'
import { GracerError } from '../../inherit/gracer-error.ts'
import { freePort } from '../../inherit/ephemeral-socket.ts'
import { extraPorts } from '../boot/extra-ports.ts'
import { createFront, type Front } from '../../proxy/forward/front.ts'
import type { Refusal } from '../../proxy/visit.ts'
import { Drains } from '../../proxy/worker/drains.ts'
import { Ledger } from '../../proxy/worker/ledger.ts'
import { App } from './app.ts'
import { Build } from './build.ts'
import { BuildOutput } from './build-output.ts'
import { answerOf, devService, firstApp, firstState, step, type AppId, type CycleEvent, type CycleState, type Effect, type Outcome } from './cycle.ts'
import { bootExit, crashed, describeFailure, type DevFailure } from './failure.ts'
import { renderFailure } from './failure-page.ts'
import type { FirstBoot } from './first-boot.ts'
import { InspectorRelay } from './inspector.ts'
import { LiveStream, type LiveState } from './live-stream.ts'
import type { DevOptions } from './options.ts'
import { OwnWrites } from './own-writes.ts'
import { DevPicker, type DevDecision } from './picker.ts'
import { planDev, withInspector, type DevPlan } from './plan.ts'
import { awaitReady } from './readiness.ts'
import type { Reload } from './report.ts'
import { DevRewriter, scriptTag } from './rewriter.ts'
import { Round } from './round.ts'
import { Stylesheets } from './stylesheets.ts'
import { portsOf } from '../health/port-owner.ts'
import type { Burst, Watch } from './watch/watch.ts'

/** What a terminal, or whoever stands for it, is told. */
export interface DevVoice {
  listening(url: string, plan: DevPlan): void
  /** Something takes its time: 'building', 'booting'. */
  phase(what: string): void
  output(stream: 'stdout' | 'stderr', chunk: Buffer): void
  reload(reload: Reload): void
  failure(failure: DevFailure): void
  notice(text: string): void
}

/** A half-booted app has this long after SIGTERM. */
const dropMs = 500
/** Streams and WebSockets on old code are ended after this: their clients come back, to the new code. */
const momentMs = 200
/** So long at most the requests on old code are waited for where it must end before the new one boots. */
const hurryMs = 5_000
/** An app in dev that takes longer to end on SIGTERM is killed. */
const longestStopMs = 5_000
/** An app that ends so soon after it was ready, for want of a port, may want it from the old code. */
const lateClashMs = 3_000
/** RFC 6455's registry: service restart. */
const serviceRestart = 1012

interface Booting {
  readonly app: AppId
  readonly abort: AbortController
  process: App | null
}

/** `gracer dev`: holds the port, watches, boots the app anew at each save, and sends each request to code that may answer it. */
export class Dev {
  readonly #options: DevOptions
  readonly #voice: DevVoice
  readonly #run = Date.now().toString(36)
  readonly #apps = new Map<AppId, App>()
  /** Where each app's own inspector is. */
  readonly #inspectors = new Map<AppId, number>()
  /** The numbers of "ports" that each app was given. */
  readonly #extraPorts = new Map<AppId, readonly number[]>()
  readonly #ledger = new Ledger((app) => this.#drains.check(app))
  readonly #drains: Drains
  readonly #stylesheets = new Stylesheets()
  readonly #stream = new LiveStream(() => this.#liveState())
  readonly #buildOutput = new BuildOutput()
  readonly #ownWrites = new OwnWrites()
  readonly #since: number
  #early: App | null
  #plan: DevPlan
  #state: CycleState
  #front: Front | null = null
  #picker: DevPicker | null = null
  #watch: Watch | null = null
  #relay: InspectorRelay | null = null
  #build: Build | null = null
  #booting: Booting | null = null
  #round: Round
  #readyAt = 0
  /** Apps that were gone in the last moment. */
  #leftLately = 0
  #styles = 0
  #stylesFrom: string | null = null
  #lastTold = ''
  #ended: (() => void) | null = null
  readonly #allEnded = new Promise<void>((resolve) => { this.#ended = resolve })

  constructor(options: DevOptions, voice: DevVoice, first: FirstBoot) {
    this.#options = options
    this.#early = first.app
    this.#since = first.since
    this.#voice = voice
    this.#plan = first.plan
    this.#round = new Round(0, 'start')
    this.#state = firstState({ build: options.build !== null, keepOld: options.keepOld }, options.overlap && this.#plan.service.overlap)
    this.#drains = new Drains({ ledger: this.#ledger, retire: (app) => this.#front?.retire(app), closeCode: serviceRestart, onQuiet: (app) => this.#quiet(app) })
  }

  /** Takes the port, boots, serves. Resolves when it listens. @throws GracerError 'port-taken', 'inspect-port', … */
  async start(): Promise<void> {
    const { config, inspect } = this.#plan
    this.#picker = new DevPicker(() => this.#decide(), this.#ledger, this.#plan.service.hold.max)
    this.#front = createFront({
      picker: this.#picker,
      serviceFor: () => devService,
      trustProxy: config.front.trustProxy,
      limits: config.front.limits,
      log: () => {},
      rewriter: new DevRewriter({ keyOf: (release) => this.#keyOf(release), stylesheets: this.#stylesheets, inject: this.#options.inject, notice: (text) => this.#voice.notice(text) }),
      own: (path) => this.#stream.answerTo(path),
    })
    if (inspect !== null) {
      this.#relay = new InspectorRelay(inspect)
      await this.#relay.listen()
    }
    const address = await listenOn(this.#front, config.listen)
    this.#voice.listening(address, this.#plan)
    // The app is started first and the files are looked at while it boots; what changes in between is noticed by its time.
    this.#dispatch({ type: 'settled', change: 'code' })
    const [{ Watch }, { watchRules }] = await Promise.all([import('./watch/watch.ts'), import('./watch-rules.ts')])
    const { roots, rules } = watchRules(this.#options, this.#plan)
    this.#watch = new Watch({
      roots, rules, poll: this.#options.poll, since: this.#since,
      changed: (paths) => this.#changed(paths),
      notice: (text) => this.#voice.notice(text),
    })
    await this.#watch.start()
  }

  /** Boots again, as after a save. */
  reload(): void {
    if (this.#state.phase.kind === 'ending') return
    this.#round = new Round(this.#round.number + 1, 'key')
    this.#dispatch({ type: 'reload-asked' })
  }

  /** Ends everything in order; resolves when no process of ours runs any more. */
  async end(): Promise<void> {
    this.#dispatch({ type: 'end' })
    await this.#allEnded
  }

  /** The last lines of the newest app. */
  lastLines(): readonly string[] {
    const app = [...this.#apps.values()].at(-1)
    return app?.tail.lines() ?? []
  }

  get url(): string {
    return urlOf(this.#front)
  }

  #dispatch(event: CycleEvent): void {
    const { state, effects } = step(this.#state, event)
    this.#state = state
    for (const effect of effects) this.#carryOut(effect)
    this.#tellPages()
  }

  #carryOut(effect: Effect): void {
    switch (effect.type) {
      case 'await-quiet':
        this.#watch?.awaitQuiet(this.#round.restarts, (burst) => this.#settled(burst))
        break
      case 'check-styles':
        void this.#checkStyles()
        break
      case 'build':
        void this.#runBuild(effect.build)
        break
      case 'end-build':
        this.#build?.end()
        break
      case 'boot':
        void this.#boot(effect.app)
        break
      case 'drop':
        this.#drop(effect.app)
        break
      case 'retire':
        this.#retire(effect.app, effect.hurry)
        break
      case 'say-no-overlap':
        this.#voice.notice('the new code wanted a port that the old code holds: from now on old code is ended before new code boots (--no-overlap)')
        break
      case 'wake':
        this.#picker?.wake()
        break
      case 'report':
        this.#report(effect.outcome)
        break
      case 'end-all':
        void this.#endAll()
        break
    }
  }

  /** In the same tick as the system's event: from here on new requests wait. */
  #changed(all: readonly string[]): void {
    const paths = all.filter((path) => !this.#isOwnDoing(path))
    if (paths.length === 0) return
    const { kind } = this.#state.phase
    if (kind === 'idle' || kind === 'failed') this.#round = new Round(this.#round.number + 1, 'save')
    else if (kind === 'building' || kind === 'booting') this.#round.restarts += 1
    this.#round.noticed(paths)
    this.#dispatch({ type: 'changed' })
  }

  #isOwnDoing(path: string): boolean {
    if (this.#ownWrites.ignores(path)) return true
    if (this.#state.phase.kind !== 'building') {
      this.#buildOutput.saved(path)
      return false
    }
    const verdict = this.#buildOutput.judge(path, this.#watch?.isNew(path) === true)
    if (verdict === 'learned') this.#voice.notice(`${this.#shown(path)} is written by the build and starts no other (--ignore says so from the start)`)
    return verdict !== 'save'
  }

  #settled(burst: Burst): void {
    const paths = this.#round.settle(burst.paths)
    const given = this.#round.restarts === 0 && paths.length > 0 ? this.#ownWrites.reload(paths, performance.now() - this.#readyAt) : []
    for (const path of given) this.#voice.notice(`${this.#shown(path)} changes at every boot: the app writes it, so it is not watched any more (--ignore says so from the start)`)
    const real = paths.filter((path) => !given.includes(path))
    this.#dispatch({ type: 'settled', change: real.length === 0 ? 'nothing' : this.#round.onlyStyles ? 'styles' : 'code' })
  }

  async #checkStyles(): Promise<void> {
    const { live } = this.#state
    const app = live === null ? undefined : this.#apps.get(live)
    const host = `127.0.0.1:${app?.port ?? 0}`
    const served = app !== undefined && await this.#stylesheets.servedFromDisk(this.#round.paths, app.port, host)
    this.#dispatch({ type: 'styles-checked', served })
  }

  async #runBuild(number: number): Promise<void> {
    this.#watch?.forget()
    const before = this.#build
    // The one before has been told to end; two at once would write the same files.
    if (before !== null) await before.group.gone
    if (this.#state.phase.kind !== 'building' || this.#state.phase.build !== number) return
    this.#voice.phase('building')
    this.#buildOutput.begins()
    const begun = performance.now()
    const build = new Build({
      line: this.#options.build ?? '', cwd: this.#options.cwd, env: this.#plan.env, timeoutMs: this.#options.buildTimeoutMs,
      output: (stream, chunk) => this.#voice.output(stream, chunk),
    })
    this.#build = build
    const failure = await build.result
    if (this.#build === build) this.#build = null
    this.#round.buildMs = performance.now() - begun
    this.#dispatch({ type: 'built', build: number, failure })
  }

  async #boot(id: AppId): Promise<void> {
    if (!this.#plansBuild()) this.#watch?.forget()
    const booting: Booting = { app: id, abort: new AbortController(), process: null }
    this.#booting = booting
    this.#round.bootBegins()
    try {
      await this.#start(booting)
    } catch (error) {
      if (booting.abort.signal.aborted) return
      const known = error instanceof GracerError ? error : null
      const failure = describeFailure({ stage: 'config', title: sentence((error as Error).message), hint: known?.code === 'source-missing' ? 'gracer waits for it to come back, and boots then.' : (known?.hint ?? null), output: [], folder: this.#options.cwd, command: this.#plan.shown })
      this.#dispatch({ type: 'boot-failed', app: id, failure, clash: false })
    }
  }

  #plansBuild(): boolean {
    return this.#state.settings.build
  }

  async #start(booting: Booting): Promise<void> {
    const { app: id, abort } = booting
    // The first boot goes by the plan that the start was announced with.
    if (id !== firstApp) this.#plan = await planDev(this.#options)
    const plan = this.#plan
    const inspectPort = this.#relay === null ? null : await freePort()
    const inspected = plan.inspect === null || inspectPort === null ? null : withInspector(plan.command, plan.inspect, inspectPort)
    if (inspectPort !== null && inspected === null) this.#voice.notice('--inspect needs a command that begins with node, such as gracer dev --inspect -- node server.js')
    const ports = await extraPorts(plan.service.ports, new Set([...this.#extraPorts.values()].flat()))
    const numbers = Object.values(ports)
    if (abort.signal.aborted) return
    const env = numbers.length === 0 ? plan.env : new Map([...plan.env, ...Object.entries(ports).map(([name, port]): [string, string] => [name, String(port)]), ['GRACER_KEEP_PORTS', numbers.join(',')]])
    this.#extraPorts.set(id, numbers)
    const early = this.#early
    this.#early = null
    const app = early ?? await App.start({
      id, cwd: this.#options.cwd, command: inspected ?? plan.command, env, socket: plan.socket,
      output: (stream, chunk) => this.#voice.output(stream, chunk),
    })
    booting.process = app
    this.#apps.set(id, app)
    void app.group.gone.then(() => this.#gone(id))
    void app.exited.then((exit) => {
      if (app.ending) return
      const output = app.tail.lines()
      this.#dispatch({ type: 'exited', app: id, failure: crashed(exit, output, this.#options.cwd, plan.shown), clash: this.#clashedLate(app, output) })
    })
    if (abort.signal.aborted) {
      app.end(dropMs)
      return
    }
    if (inspectPort !== null && inspected !== null) {
      this.#inspectors.set(id, inspectPort)
      this.#relay?.moveTo(inspectPort)
    }
    const health = plan.inspect?.brk === true ? { ...plan.service.health, deadlineMs: 24 * 3_600_000 } : plan.service.health
    const over = new AbortController()
    const either = AbortSignal.any([abort.signal, over.signal])
    const result = await Promise.race([
      awaitReady(app, health, [...(inspectPort === null ? [] : [inspectPort]), ...numbers], either),
      app.exited.then((exit) => ({ kind: 'exited' as const, exit })),
    ])
    over.abort()
    if (abort.signal.aborted) return
    if (result.kind === 'ready' && !app.over) {
      this.#readyAt = performance.now()
      this.#round.bootMs = this.#readyAt - app.spawnedAt
      this.#dispatch({ type: 'booted', app: id })
      return
    }
    app.ending = true
    const exit = result.kind === 'exited' ? result.exit : app.over ? await app.exited : null
    const output = app.tail.lines()
    const failure = exit === null && result.kind === 'failed'
      ? describeFailure({ stage: 'boot', title: result.title, hint: result.hint, output, folder: this.#options.cwd, command: plan.shown })
      : bootExit(exit ?? { code: null, signal: null }, output, this.#options.cwd, plan.shown)
    if (exit === null) app.end(dropMs)
    this.#dispatch({ type: 'boot-failed', app: id, failure, clash: this.#clashes(output) })
  }

  /** Did it want a port that the live app holds? */
  #clashes(output: readonly string[]): boolean {
    const { live } = this.#state
    const old = live === null ? undefined : this.#apps.get(live)
    const text = output.join('\n')
    if (old === undefined || !text.includes('EADDRINUSE')) return false
    return portsOf(old.pid).some((port) => port !== old.port && new RegExp(`\\b${port}\\b`).test(text))
  }

  /** Did it find out only after it had begun to listen? Then the old code is on its way out, and what it held is not known. */
  #clashedLate(app: App, output: readonly string[]): boolean {
    const young = performance.now() - app.spawnedAt < (this.#round.bootMs ?? 0) + lateClashMs
    return young && this.#state.leaving.length + this.#leftLately > 0 && output.some((line) => line.includes('EADDRINUSE'))
  }

  #drop(id: AppId): void {
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

  #retire(id: AppId, hurry: boolean): void {
    const { drain } = this.#plan.service
    const wait = hurry ? Math.min(hurryMs, drain.timeoutMs) : drain.timeoutMs
    this.#drains.start(id, id, { timeoutMs: wait, streamsMs: hurry ? 0 : momentMs, upgradedMs: hurry ? 0 : momentMs, spreadMs: 0 })
  }

  /** Nothing is under way on old code any more. */
  #quiet(id: AppId): void {
    const app = this.#apps.get(id)
    if (app === undefined) return
    app.end(Math.min(longestStopMs, this.#plan.service.drain.stopMs))
  }

  #gone(id: AppId): void {
    this.#apps.delete(id)
    this.#leftLately += 1
    setTimeout(() => { this.#leftLately -= 1 }, lateClashMs).unref()
    this.#inspectors.delete(id)
    this.#extraPorts.delete(id)
    // A boot that failed gives the debugger back to the code that serves.
    this.#relay?.moveTo([...this.#inspectors.values()].at(-1) ?? null)
    this.#front?.retire(id)
    this.#ledger.forget(id)
    this.#drains.forget(id)
    this.#dispatch({ type: 'gone', app: id })
  }

  #decide(): DevDecision {
    const answer = answerOf(this.#state)
    switch (answer.kind) {
      case 'go': {
        const app = this.#apps.get(answer.app)
        if (app === undefined) return { kind: 'wait' }
        return { kind: 'go', target: { release: answer.app, host: '127.0.0.1', port: app.port, healthy: true }, number: this.#state.number }
      }
      case 'wait':
        return { kind: 'wait' }
      case 'fail':
        return { kind: 'refuse', refusal: this.#refusal(answer.failure) }
      case 'ending':
        return { kind: 'refuse', refusal: { status: 503, code: 'no-release', reason: 'gracer dev is ending.', retryAfterSeconds: 1 } }
    }
  }

  #refusal(failure: DevFailure): Refusal {
    return {
      status: 500, code: 'new-code-failed', reason: failure.title, retryAfterSeconds: null,
      render: (accept, method) => renderFailure(failure, accept, scriptTag(this.#liveKey(), method, null)),
    }
  }

  #report(outcome: Outcome): void {
    const round = this.#round
    if (outcome.kind === 'nothing') {
      this.#watch?.forget()
      return
    }
    if (outcome.kind === 'failed' && outcome.failure.stage === 'crash') {
      this.#voice.failure(outcome.failure)
      return
    }
    // Told when the requests that waited are on their way, so that it can say how long they did.
    const stylesFrom = this.#liveKeyBefore
    if (outcome.kind === 'styles') {
      this.#watch?.forget()
      this.#styles += 1
    }
    this.#stylesFrom = outcome.kind !== 'failed' && round.onlyStyles ? stylesFrom : null
    const totalMs = round.totalMs()
    queueMicrotask(() => {
      const { held, longestMs } = this.#picker?.takeFigures() ?? { held: 0, longestMs: 0 }
      const failure = outcome.kind === 'failed' ? outcome.failure : null
      this.#voice.reload({
        number: round.number, outcome: outcome.kind, cause: round.cause, changed: round.paths.map((path) => this.#shown(path)),
        buildMs: round.buildMs, bootMs: outcome.kind === 'live' ? round.bootMs : null, totalMs, restarts: round.restarts,
        held, longestWaitMs: longestMs, noticedUs: round.noticedUs, failure,
      })
      if (failure !== null) this.#voice.failure(failure)
    })
  }

  #keyOf(release: string): string {
    return `${this.#run}.${release}.${this.#styles}`
  }

  /** The key of the page that a request would get now. */
  #liveKey(): string {
    const { phase, live } = this.#state
    if (phase.kind === 'failed' && !(this.#options.keepOld && live !== null)) return `${this.#run}.failed.${this.#round.number}`
    return this.#keyOf(live ?? 'none')
  }

  #liveKeyBefore = ''

  #liveState(): LiveState {
    const { kind } = this.#state.phase
    const busy = kind === 'building' ? 'building …' : kind === 'booting' || kind === 'clearing' ? 'booting …' : kind === 'settling' || kind === 'checking-styles' ? 'saved …' : kind === 'ending' ? 'gracer dev is ending' : null
    return { key: this.#liveKey(), busy, stylesFrom: this.#stylesFrom }
  }

  #tellPages(): void {
    const state = this.#liveState()
    if (state.busy === null) this.#liveKeyBefore = state.key
    const text = JSON.stringify(state)
    if (text === this.#lastTold) return
    this.#lastTold = text
    this.#stream.tell()
  }

  #shown(path: string): string {
    const below = relative(this.#options.cwd, path)
    return below.startsWith('..') ? path : below
  }

  async #endAll(): Promise<void> {
    this.#watch?.close()
    this.#stream.close()
    this.#booting?.abort.abort()
    this.#front?.drain()
    this.#relay?.close()
    const build = this.#build
    build?.end()
    const stopMs = Math.min(longestStopMs, this.#plan.service.drain.stopMs)
    for (const app of this.#apps.values()) app.end(stopMs)
    // What is being started just now is ended by its own boot when it is there.
    await Promise.all([...(build === null ? [] : [build.group.gone]), ...[...this.#apps.values()].map((app) => app.group.gone)])
    this.#front?.destroy()
    this.#ended?.()
  }
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.')
}

function listenOn(front: Front, listen: { readonly host: string; readonly port: number }): Promise<string> {
  return new Promise((resolve, reject) => {
    const failed = (cause: NodeJS.ErrnoException): void => {
      const taken = cause.code === 'EADDRINUSE'
      reject(new GracerError(taken ? `port ${listen.port} on ${listen.host} is taken` : `cannot listen on ${listen.host}:${listen.port} (${cause.code ?? cause.message})`, {
        code: taken ? 'port-taken' : 'bind-failed', exitCode: 2, cause,
        hint: `Stop what listens there ("ss -ltnp"), or choose another: gracer dev --listen ${listen.port === 8080 ? 8081 : 8080} …`,
      }))
    }
    front.server.once('error', failed)
    front.server.listen({ host: listen.host, port: listen.port, exclusive: true }, () => {
      front.server.off('error', failed)
      front.server.on('error', () => {})
      resolve(urlOf(front))
    })
  })
}

function urlOf(front: Front | null): string {
  const address = front?.server.address()
  if (address === null || address === undefined || typeof address === 'string') return ''
  const host = address.address === '0.0.0.0' || address.address === '::' ? 'localhost' : address.address.includes(':') ? `[${address.address}]` : address.address
  return `http://${host}:${address.port}`
}
