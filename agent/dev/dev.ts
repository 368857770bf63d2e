import { relative } from 'node:path'
import { createFront, type Front } from '../../proxy/forward/front.ts'
import type { Refusal } from '../../proxy/visit.ts'
import { Drains } from '../../proxy/worker/drains.ts'
import { Ledger } from '../../proxy/worker/ledger.ts'
import { listenOn, urlOf } from './address.ts'
import { Boots } from './boots.ts'
import { Build } from './build.ts'
import { BuildOutput } from './build-output.ts'
import { answerOf, devService, firstState, step, type AppId, type CycleEvent, type CycleState, type Effect, type Outcome } from './cycle.ts'
import type { DevFailure } from './failure.ts'
import { renderFailure } from './failure-page.ts'
import type { FirstBoot } from './first-boot.ts'
import { InspectorRelay } from './inspector.ts'
import { LiveStream } from './live-stream.ts'
import type { DevOptions } from './options.ts'
import { OwnWrites } from './own-writes.ts'
import { PageKeys } from './page-keys.ts'
import { DevPicker, type DevDecision } from './picker.ts'
import { DevRewriter, scriptTag } from './rewriter.ts'
import { Round } from './round.ts'
import { Stylesheets } from './stylesheets.ts'
import type { DevVoice } from './voice.ts'
import type { Burst, Watch } from './watch/watch.ts'

/** Streams and WebSockets on old code are ended after this: their clients come back, to the new code. */
const momentMs = 200
/** So long at most the requests on old code are waited for where it must end before the new one boots. */
const hurryMs = 5_000
/** An app in dev that takes longer to end on SIGTERM is killed. */
const longestStopMs = 5_000
/** RFC 6455's registry: service restart. */
const serviceRestart = 1012

/** `gracer dev`: holds the port, watches, boots the app anew at each save, and sends each request to code that may answer it. */
export class Dev {
  readonly #options: DevOptions
  readonly #voice: DevVoice
  readonly #ledger = new Ledger((app) => this.#drains.check(app))
  readonly #drains: Drains
  readonly #stylesheets = new Stylesheets()
  readonly #stream = new LiveStream(() => this.#keys.told(this.#state, this.#round.number))
  readonly #keys: PageKeys
  readonly #buildOutput = new BuildOutput()
  readonly #ownWrites = new OwnWrites()
  readonly #first: Pick<FirstBoot, 'since' | 'files'>
  readonly #boots: Boots
  #state: CycleState
  #front: Front | null = null
  #picker: DevPicker | null = null
  #watch: Watch | null = null
  readonly #relay: InspectorRelay | null
  #build: Build | null = null
  #round: Round
  #lastTold = ''
  #ended: (() => void) | null = null
  readonly #allEnded = new Promise<void>((resolve) => { this.#ended = resolve })

  constructor(options: DevOptions, voice: DevVoice, first: FirstBoot) {
    this.#options = options
    this.#first = first
    this.#voice = voice
    this.#keys = new PageKeys(options.keepOld)
    this.#relay = first.plan.inspect === null ? null : new InspectorRelay(first.plan.inspect)
    this.#boots = new Boots({
      options, voice, relay: this.#relay, state: () => this.#state, round: () => this.#round,
      dispatch: (event) => this.#dispatch(event), gone: (app) => this.#gone(app),
    }, first)
    this.#round = new Round(0, 'start')
    this.#state = firstState({ build: options.build !== null, keepOld: options.keepOld }, options.overlap && first.plan.service.overlap)
    this.#drains = new Drains({ ledger: this.#ledger, retire: (app) => this.#front?.retire(app), closeCode: serviceRestart, onQuiet: (app) => this.#quiet(app) })
  }

  /** Takes the port, boots, serves. Resolves when it listens. @throws GracerError 'port-taken', 'inspect-port', … */
  async start(): Promise<void> {
    const { plan } = this.#boots
    const { config } = plan
    this.#picker = new DevPicker(() => this.#decide(), this.#ledger, plan.service.hold.max)
    this.#front = createFront({
      picker: this.#picker,
      serviceFor: () => devService,
      trustProxy: config.front.trustProxy,
      limits: config.front.limits,
      log: () => {},
      rewriter: new DevRewriter({ keyOf: (release) => this.#keys.of(release), stylesheets: this.#stylesheets, inject: this.#options.inject, notice: (text) => this.#voice.notice(text) }),
      own: (path) => this.#stream.answerTo(path),
    })
    await this.#relay?.listen()
    const address = await listenOn(this.#front, config.listen)
    this.#voice.listening(address, plan)
    // The app is started first and the files are looked at while it boots; what changes in between is noticed by its time.
    this.#dispatch({ type: 'settled', change: 'code' })
    const [{ Watch }, { watchRules }] = await Promise.all([import('./watch/watch.ts'), import('./watch-rules.ts')])
    const { roots, rules } = watchRules(this.#options, plan)
    this.#watch = new Watch({
      roots, rules, poll: this.#options.poll, since: this.#first.since, were: roots.includes(this.#options.cwd) ? this.#first.files : [],
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
    return this.#boots.all.at(-1)?.tail.lines() ?? []
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
        // What is built is read when the build begins, anything else now.
        if (!this.#state.settings.build) this.#watch?.forget()
        void this.#boots.begin(effect.app)
        break
      case 'drop':
        this.#boots.drop(effect.app)
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
    const given = this.#round.restarts === 0 && paths.length > 0 ? this.#ownWrites.reload(paths, performance.now() - this.#boots.readyAt) : []
    for (const path of given) this.#voice.notice(`${this.#shown(path)} changes at every boot: the app writes it, so it is not watched any more (--ignore says so from the start)`)
    const real = paths.filter((path) => !given.includes(path))
    this.#dispatch({ type: 'settled', change: real.length === 0 ? 'nothing' : this.#round.onlyStyles ? 'styles' : 'code' })
  }

  async #checkStyles(): Promise<void> {
    const { live } = this.#state
    const app = this.#boots.find(live)
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
      line: this.#options.build ?? '', cwd: this.#options.cwd, env: this.#boots.plan.env, timeoutMs: this.#options.buildTimeoutMs,
      output: (stream, chunk) => this.#voice.output(stream, chunk),
    })
    this.#build = build
    const failure = await build.result
    if (this.#build === build) this.#build = null
    this.#round.buildMs = performance.now() - begun
    this.#dispatch({ type: 'built', build: number, failure })
  }

  #retire(id: AppId, hurry: boolean): void {
    const { drain } = this.#boots.plan.service
    const wait = hurry ? Math.min(hurryMs, drain.timeoutMs) : drain.timeoutMs
    this.#drains.start(id, id, { timeoutMs: wait, streamsMs: hurry ? 0 : momentMs, upgradedMs: hurry ? 0 : momentMs, spreadMs: 0 })
  }

  /** Nothing is under way on old code any more. */
  #quiet(id: AppId): void {
    this.#boots.find(id)?.end(this.#stopMs())
  }

  #stopMs(): number {
    return Math.min(longestStopMs, this.#boots.plan.service.drain.stopMs)
  }

  #gone(id: AppId): void {
    this.#front?.retire(id)
    this.#ledger.forget(id)
    this.#drains.forget(id)
    this.#dispatch({ type: 'gone', app: id })
  }

  #decide(): DevDecision {
    const answer = answerOf(this.#state)
    switch (answer.kind) {
      case 'go': {
        const app = this.#boots.find(answer.app)
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
      render: (accept, method) => renderFailure(failure, accept, scriptTag(this.#keys.now(this.#state, this.#round.number), method, null)),
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
    if (outcome.kind === 'styles') this.#watch?.forget()
    this.#keys.answered(outcome.kind, round.onlyStyles)
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

  #tellPages(): void {
    const state = this.#keys.told(this.#state, this.#round.number)
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
    const spare = this.#boots.abort()
    this.#front?.drain()
    this.#relay?.close()
    const build = this.#build
    build?.end()
    const apps = this.#boots.all
    for (const app of apps) app.end(this.#stopMs())
    // What is being started just now is ended by its own boot when it is there.
    await Promise.all([spare, ...(build === null ? [] : [build.group.gone]), ...apps.map((app) => app.group.gone)])
    this.#front?.destroy()
    this.#ended?.()
  }
}
