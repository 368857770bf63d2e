import { mkdirSync } from 'node:fs'
import type { Log } from '../../proxy/log.ts'
import type { ServiceConfig } from '../config/types.ts'
import { Journal } from '../journal.ts'
import { releaseFigures, type ServiceLink, type ServiceMessage } from '../service-link.ts'
import type { SwapEffect, SwapEvent } from '../swap/events.ts'
import { failureAt } from '../swap/ends.ts'
import { recover } from '../swap/recover.ts'
import { step } from '../swap/swap.ts'
import { findRelease, type ReleaseRecord, type ServiceState } from '../swap/state.ts'
import { bakeRule } from '../canary/bake-rule.ts'
import { BakeWatch } from './bake-watch.ts'
import { Boots } from './boots.ts'
import { CanaryWatch } from './canary-watch.ts'
import { DrainOrders } from './drain-orders.ts'
import { releaseKey, type ReleaseId } from '../../proxy/release-key.ts'
import { HookRuns } from './hook-runs.ts'
import { OomTrial } from './oom-trial.ts'
import { prune } from './prune-state.ts'
import { Routing } from './routing.ts'
import { Stops } from './stops.ts'
import { Teller } from './teller.ts'

/** A release that takes no connection has this long to turn out to be one that has ended; the fallback serves meanwhile. */
const exitPatienceMs = 200
/** What may end a canary: what its judge knows by then is kept first. */
const mayEndCanary: ReadonlySet<SwapEvent['type']> = new Set(['deploy', 'undo', 'rollback', 'exited', 'sick', 'close', 'canary-promote', 'canary-end'])

export interface RunnerOptions {
  readonly service: string
  /** The service's part of the state folder. */
  readonly folder: string
  /** Where `gracer up` was started, where that is what is deployed. */
  readonly workingFolder: string | null
  readonly link: ServiceLink
  readonly log: Log
  readonly logFile: (release: string) => string
  /** Reads the config again; throws GracerError where it is not valid. */
  readonly config: () => ServiceConfig
  /** The last config that was valid: for what must go on whatever the file says now. */
  readonly lastConfig: () => ServiceConfig
  /** Something of the release is about to run in its folder, or has ended. */
  readonly running: (record: ReleaseRecord, running: boolean) => void
  /** Its swap has an outcome. */
  readonly ended: (record: ReleaseRecord) => void
}

/**
 * Drives one service: turns what happens into events, writes the journal, and does what the reducer says.
 * All decisions are in agent/swap; here is only their carrying out.
 */
export class ServiceRunner {
  readonly boots: Boots
  readonly teller: Teller
  readonly canary: CanaryWatch
  readonly #bake: BakeWatch
  readonly #hooks: HookRuns
  readonly #options: RunnerOptions
  readonly #journal: Journal
  readonly #routing: Routing
  readonly #drains: DrainOrders
  readonly #stops: Stops
  readonly #oomTrial: OomTrial
  #state: ServiceState
  #queue: SwapEvent[] = []
  #busy = false
  #recovered = false
  /** Nothing was ever deployed, and it is not known yet whether there is something: requests are held meanwhile. */
  #awaitsFirst = false
  #settled: (() => void) | null = null

  constructor(options: RunnerOptions) {
    this.#options = options
    mkdirSync(options.folder, { recursive: true, mode: 0o700 })
    this.#journal = new Journal(options.folder, options.service, options.log)
    this.#state = this.#journal.read()
    this.teller = new Teller({ service: options.service, folder: options.folder, workingFolder: options.workingFolder, link: options.link, log: options.log, state: () => this.#state })
    this.#hooks = new HookRuns({ link: options.link, logFile: options.logFile, state: () => this.#state, dispatch: (event) => this.dispatch(event) })
    this.boots = new Boots({
      folder: options.folder, link: options.link, log: options.log, logFile: options.logFile, config: options.config, lastConfig: options.lastConfig,
      earlier: (record) => this.#state.releases.filter((other) => other.source === record.source && other.number < record.number).map((other) => other.id),
      dispatch: (event) => {
        if (event.type === 'sick') this.canary.faulted(event.release, event.failure.message)
        this.dispatch(event)
      },
      warn: (release, what) => {
        this.teller.note(release, what)
        this.teller.progress(release, 'booting', what, true)
      },
      beside: (release) => {
        const live = findRelease(this.#state, this.#state.committed.live)
        return live === undefined || live.id === release || live.boot?.overlap === false ? null : (live.process?.pid ?? null)
      },
      portsTaken: () => new Set(this.#state.releases.filter((record) => record.process !== null || record.id === this.#state.confirmed).flatMap((record) => Object.values(record.boot?.ports ?? {}))),
      taking: (release, detail, repeated) => this.teller.progress(release, 'taking-in', detail, repeated),
      detail: (release, detail, repeated) => this.teller.progress(release, 'checking', detail, repeated),
    })
    const { link } = options
    this.#bake = new BakeWatch({
      service: options.service, tentative: () => this.#state.tentative, rule: (release) => this.boots.configOf(release).bakeRule ?? bakeRule, figures: () => link.figures(),
      crossed: (release, message) => this.dispatch({ type: 'sick', release, failure: failureAt('bake', message) }),
    })
    this.canary = new CanaryWatch({
      service: options.service, folder: options.folder, log: options.log, state: () => this.#state,
      config: (release) => this.boots.configOf(release).canary ?? null,
      figures: () => link.figures(),
      releaseFigures: (figures, release) => releaseFigures(figures, options.service, release),
      goSafe: () => link.goSafe(),
      dispatch: (event) => this.dispatch(event),
      tell: (release, detail) => this.teller.progress(release, 'canary', detail),
    })
    const state = (): Readonly<ServiceState> => this.#state
    this.#routing = new Routing({ link, state, lastConfig: options.lastConfig, canary: this.canary, teller: this.teller, dispatch: (event) => this.dispatch(event) })
    this.#drains = new DrainOrders({ link, state, config: (release) => this.boots.configOf(release) })
    this.#stops = new Stops({ link, killed: (release, what) => this.teller.story.add(release, what) })
    this.#oomTrial = new OomTrial({ service: options.service, state, log: options.log, trouble: (release, what) => this.teller.story.add(release, what) })
  }

  get state(): Readonly<ServiceState> {
    return this.#state
  }

  /** The releases of this service that have a process, by the keys of the data plane. */
  keysOfProcesses(): ReleaseId[] {
    return this.#state.releases.filter((record) => record.process !== null).map((record) => releaseKey(this.#options.service, record.id))
  }

  /** Compares the journal with the table and with what runs; resolves when the table says what follows from it. */
  async recover(): Promise<void> {
    const { link } = this.#options
    const hooks = new Map([...link.hooks()].map(([run, result]) => [run, result === null ? ('running' as const) : this.#hooks.outcome(run, result)]))
    const settled = new Promise<void>((resolve) => {
      this.#settled = resolve
    })
    this.teller.resume(link.masterIsNew)
    // Where the canary ends here, its receipt is to say what had been seen of it.
    const left = this.canary.left()
    const record = left === null ? undefined : findRelease(this.#state, left.release)
    if (left !== null && record !== undefined) record.canary = left.report
    const effects = recover(this.#state, { committed: link.committed(), committedNumber: link.tableNumber, running: link.running(), hooks, masterIsNew: link.masterIsNew, awaitsFirst: true })
    this.#awaitsFirst = this.#state.resting
    this.#write()
    this.#carryOut(effects)
    this.#recovered = true
    this.#work()
    if (this.#state.pending === null) return
    await settled
  }

  /** What happened. Events are taken one after the other; each is journaled before anything is done about it. */
  dispatch(event: SwapEvent): void {
    // After the close the master ends everything; what ends then has not failed, and the next agent takes stock anew.
    if (this.#recovered && this.#state.closing) return
    const report = mayEndCanary.has(event.type) ? this.canary.report() : null
    if (report !== null) this.#queue.push({ type: 'canary-report', release: report.release, report: report.report })
    this.#queue.push(event)
    if (event.type === 'deploy' || event.type === 'rollback') this.#firstIsKnown()
    this.#work()
  }

  /** There is nothing to deploy: requests are told so instead of being held. */
  nothingToDeploy(): void {
    this.#firstIsKnown()
    this.#work()
  }

  #firstIsKnown(): void {
    if (this.#awaitsFirst) this.#queue.push({ type: 'rested' })
    this.#awaitsFirst = false
  }

  #work(): void {
    // What is said before this agent has taken stock is newer than what it takes stock of: it waits.
    if (this.#busy || !this.#recovered) return
    this.#busy = true
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) this.#take(next)
    } finally {
      this.#busy = false
    }
  }

  /** Undoes what is before its flip, and looks at nothing any more: what ends from here on is meant to. */
  close(): void {
    this.dispatch({ type: 'close' })
    for (const record of this.#state.releases) this.boots.unwatch(record.id)
  }

  fromMaster(message: ServiceMessage): void {
    switch (message.type) {
      case 'spawned':
        this.#oomTrial.begin(message.release, message.pid)
        this.dispatch({ type: 'spawned', release: message.release, pid: message.pid, port: message.port })
        break
      case 'spawn-failed': {
        const text = message.hint === null ? message.message : `${message.message}. ${message.hint}`
        this.dispatch({ type: 'spawn-failed', release: message.release, failure: failureAt('boot', text) })
        break
      }
      case 'notify':
        if (message.key === 'READY' && message.value === '1') this.boots.saidReady(message.release)
        break
      case 'exited':
        this.#exited(message)
        break
      case 'hook-ended':
        this.#hooks.ended(message.run, message.result)
        break
      case 'quiet':
        if (this.#drains.isNewest(message.release, message.order)) this.dispatch({ type: 'quiet', release: message.release })
        break
      case 'fell-back':
        void this.#fellBack(message)
        break
      case 'evidence':
        this.canary.take(message.release, message.events, message.dropped)
        break
      case 'shadow':
        this.canary.takeCopies(message.release, message.copies, message.skipped)
        break
      default:
        break
    }
  }

  #take(event: SwapEvent): void {
    const before = structuredClone(this.#state)
    const effects = step(this.#state, event)
    try {
      this.#write(!isOfCanaryOnly(event, before, this.#state))
    } catch (error) {
      const message = `the journal cannot be written (${(error as Error).message})`
      this.#options.log.error('journal.not-written', { error: message })
      // Nothing new is begun without a journal; what is under way goes on, because stopping half-way is worse.
      if (event.type === 'deploy' || event.type === 'rollback') {
        this.#state = before
        const command = event.type === 'deploy' ? event.request.command : event.command
        if (command !== null) this.teller.answer(command, 'refused', `${message}; nothing was changed. Make room on the disk and try again`, null)
        return
      }
    }
    this.#carryOut(effects)
  }

  #write(synced = true): void {
    prune(this.#state)
    this.#journal.write(this.#state, synced)
  }

  #carryOut(effects: readonly SwapEffect[]): void {
    for (const effect of effects) this.#do(effect)
    this.canary.follow(this.#state)
    if (this.#state.pending === null) {
      this.#settled?.()
      this.#settled = null
    }
  }

  #do(effect: SwapEffect): void {
    const { log } = this.#options
    const record = 'release' in effect && effect.release !== null ? findRelease(this.#state, effect.release) : undefined
    switch (effect.do) {
      case 'take-in':
        if (record === undefined) break
        this.#options.running(record, true)
        void this.boots.takeIn(record)
        break
      case 'spawn':
        if (record === undefined) break
        if (this.#state.restarting !== null && this.#state.confirmed === record.id) this.teller.totals.restarted()
        this.boots.spawn(record)
        break
      case 'check':
        if (record !== undefined) void this.boots.check(record)
        break
      case 'watch':
        if (record !== undefined) this.boots.watch(record, effect.baking)
        // Without a warm release behind it there is none to compare with, and to go back costs an outage.
        if (effect.baking && record !== undefined && this.#state.tentative?.fallback !== null) this.#bake.begin(record.id)
        break
      case 'unwatch':
        this.boots.unwatch(effect.release)
        break
      case 'probe-fallback':
        if (record !== undefined) void this.boots.probeFallback(record)
        break
      case 'commit':
        this.#routing.commit(effect.route)
        break
      case 'judge':
        void this.canary.begin(effect.release)
        break
      case 'drain':
        this.#drains.give(effect.release)
        break
      case 'stop':
        this.#stops.begin(effect.release, record?.boot?.stopMs ?? this.#options.lastConfig().drain.stopMs)
        break
      case 'stop-stray':
        log.warn('backend.stray', { release: effect.release })
        this.#stops.begin(effect.release, this.#options.lastConfig().drain.stopMs)
        break
      case 'run-hook':
        this.#hooks.start(effect.run)
        break
      case 'end-hook':
        this.#hooks.end(effect.run)
        break
      case 'hooks-over':
        this.teller.hooksOver(effect.release)
        break
      case 'pause-limit':
        setTimeout(() => this.dispatch({ type: 'pause-over', until: effect.until }), Math.max(0, effect.until - Date.now()))
        break
      case 'after':
        setTimeout(() => this.dispatch(effect.event), effect.ms)
        break
      case 'progress':
        this.teller.progress(effect.release, effect.phase, effect.detail)
        break
      case 'outcome':
        this.#outcome(effect.release)
        break
      case 'answer':
        this.teller.answer(effect.command, effect.outcome, effect.message, effect.release)
        break
      case 'follow':
        this.teller.audience.follow(effect.command, effect.release)
        break
      case 'note':
        this.teller.note(effect.release, effect.what)
        break
    }
  }

  #outcome(release: string): void {
    const record = findRelease(this.#state, release)
    this.boots.endTakeIn(release)
    if (record?.outcome?.name === 'confirmed') this.#oomTrial.end(record)
    if (record !== undefined) this.#options.ended(record)
    void this.teller.outcome(release)
  }

  #exited(message: Extract<ServiceMessage, { type: 'exited' }>): void {
    this.#stops.exited(message.release)
    this.#drains.exited(message.release)
    if (message.survivors !== undefined) this.teller.survived(message.release, message.survivors)
    const record = findRelease(this.#state, message.release)
    const { swap } = this.#state
    const stage = swap?.release !== message.release ? 'bake' : swap.step === 'canary' ? 'canary' : 'boot'
    const failure = this.boots.exitFailure(message.release, message.code, message.signal, stage)
    if (record !== undefined) this.#options.running(record, false)
    this.canary.faulted(message.release, failure.message)
    this.dispatch({ type: 'exited', release: message.release, pid: message.pid, failure })
    if (this.#state.confirmed !== message.release && this.#state.swap?.release !== message.release) this.boots.forget(message.release)
  }

  async #fellBack(message: Extract<ServiceMessage, { type: 'fell-back' }>): Promise<void> {
    const live = findRelease(this.#state, this.#state.tentative?.release ?? null)
    // A worker out of descriptors fails to dial too: the release itself is asked before it is blamed.
    if (live === undefined || !(await this.boots.refusesConnections(live))) return
    // A process that ends refuses a moment before its exit is known, which says more about why and goes first then.
    await new Promise((resolve) => setTimeout(resolve, exitPatienceMs))
    this.dispatch({ type: 'fell-back', release: message.release, number: message.number, error: message.error })
  }
}

/**
 * How far a canary is: after the machine's own end none goes on, so it need not outlive that. An agent that waited for the
 * disk at the begin of a step would be deaf just when the evidence against a broken canary comes in.
 */
function isOfCanaryOnly(event: SwapEvent, before: Readonly<ServiceState>, now: Readonly<ServiceState>): boolean {
  return (event.type === 'canary-share' || event.type === 'committed') && before.swap?.step === 'canary' && now.swap?.step === 'canary' && before.confirmed === now.confirmed
}
