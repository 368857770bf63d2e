import { GracerError } from '../../inherit/gracer-error.ts'
import { bindWithoutAccepting, type BareSocket } from '../../inherit/bare-socket.ts'
import type { ServiceFigures } from '../figures.ts'
import type { FrontSettings } from '../front-settings.ts'
import type { Log, LogLevel } from '../log.ts'
import { protocolVersion, type DrainOrder, type FromAgent, type FromWorker, type ToAgent } from '../messages.ts'
import { readTableOrEmpty, writeTable } from '../table-file.ts'
import { withoutDeadTargets, type ReleaseId } from '../table.ts'
import { AgentProcess } from './agent-process.ts'
import { Backends } from './backends.ts'
import { Committer, noRequest, type CommitterEffect, type CommitterInput, type WorkerId } from './committer.ts'
import { FiguresSum } from './figures-sum.ts'
import { Hooks } from './hooks.ts'
import type { Installation } from './installation.ts'
import { endOldAgent, Orphans } from './orphans.ts'
import { entryOf, lives, readProcessFile, writeProcessFile } from './process-file.ts'
import { QuietWatch } from './quiet-watch.ts'
import { Reports } from './reports.ts'
import { Shutdown } from './shutdown.ts'
import { takePortOver } from './take-over.ts'
import { Upgrade } from './upgrade.ts'
import { UsersSum } from './users-sum.ts'
import { Workers } from './workers.ts'

export interface MasterOptions {
  readonly listen: { readonly host: string; readonly port: number }
  /** A socket that systemd passed down; null: bind. */
  readonly passed: BareSocket | null
  readonly workers: number
  readonly front: FrontSettings
  /** What workers and agent are started from. */
  readonly installation: Installation
  readonly agentArgs: readonly string[]
  readonly tableFile: string
  readonly processFile: string
  readonly logFile: string
  readonly logLevel: LogLevel
  readonly log: Log
  /** Called once: the first worker accepts. */
  readonly onListening: (address: { host: string; port: number }) => void
  /** Called once: every service serves, or has nothing to serve yet. What is ordered after gracer may come. */
  readonly onReady: () => void
}

/**
 * The master: holds the public port without accepting, is the parent of everything, and keeps the committed table.
 * It decides nothing but commits. No HTTP, no watching, no config beyond its start.
 */
export class Master {
  readonly #options: MasterOptions
  readonly #committer: Committer
  readonly #workers: Workers
  readonly #agent: AgentProcess
  readonly #backends: Backends
  readonly #hooks: Hooks
  readonly #figures = new FiguresSum()
  readonly #users = new UsersSum(() => Number(process.hrtime.bigint() / 1_000n) / 1_000)
  readonly #startedAt = Date.now()
  readonly #quiet: QuietWatch
  /** Which release an order that is not quiet yet is about. */
  readonly #drained = new Map<DrainOrder, ReleaseId>()
  readonly #reports: Reports
  readonly #orphans: Orphans
  readonly #upgrade: Upgrade
  readonly #shutdown: Shutdown
  readonly #left
  #socket: BareSocket | null = null
  /** An agent has settled what the last master left. Until then every agent is told that this master is new. */
  #settled = false
  #agentReady: (() => void) | null = null
  #exit: (code: number) => void = () => {}
  #fail: (error: Error) => void = () => {}
  /** A worker has listened on the public port: it is ours. */
  #listened = false
  #ready = false
  readonly #exited: Promise<number>

  constructor(options: MasterOptions) {
    this.#options = options
    const { log } = options
    this.#exited = new Promise((resolve, reject) => {
      this.#exit = resolve
      this.#fail = reject
    })
    this.#left = readProcessFile(options.processFile)
    this.#orphans = new Orphans(this.#left, log)
    const survivors = (this.#left?.backends ?? []).filter(lives)
    const last = readTableOrEmpty(options.tableFile)
    const table = withoutDeadTargets(last, last.epoch + 1, (target) => survivors.some((entry) => entry.release === target.release && entry.port === target.port))
    this.#committer = new Committer(table)
    this.#users.follow(table)
    const tell = (message: ToAgent): void => {
      if (message.type === 'exited') {
        this.#users.forget(message.release)
        this.#workers.sendAll({ type: 'forget', release: message.release })
      }
      this.#agent.send(message)
    }
    const changed = (): void => this.#writeProcesses()
    this.#backends = new Backends({ log, tell, changed })
    for (const survivor of survivors) this.#backends.adopt(survivor)
    this.#hooks = new Hooks({ log, tell, changed })
    this.#quiet = new QuietWatch((order) => {
      const release = this.#drained.get(order)
      this.#drained.delete(order)
      if (release !== undefined) tell({ type: 'quiet', release, order })
    })
    this.#quiet.setOrphans(this.#orphans.workerPids.length)
    this.#workers = new Workers({
      entry: options.installation.workerEntry,
      count: options.workers,
      start: { workers: options.workers, ...options.front, tableFile: options.tableFile, logFile: options.logFile, logLevel: options.logLevel },
      logFile: options.logFile,
      log,
      started: (worker) => this.#commit({ type: 'worker-started', worker }),
      message: (worker, message) => this.#fromWorker(worker, message),
      gone: (worker) => {
        this.#figures.workerGone(worker)
        this.#commit({ type: 'worker-gone', worker })
        this.#quiet.workerGone(worker)
        this.#reports.workerGone(worker)
      },
      changed,
    })
    this.#reports = new Reports({
      ask: (worker, report) => this.#workers.send(worker, { type: 'report', report }),
      workers: () => this.#workers.ids(),
      answer: (request) => tell({ type: 'figures', request, figures: this.#summed(), workers: this.#workers.servingPids(), startedAt: this.#startedAt, restarts: { workers: this.#workers.restarts, agent: this.#agent.restarts } }),
    })
    this.#agent = new AgentProcess({
      isJudging: () => this.#committer.hasSafeRoute,
      entry: options.installation.agentEntry,
      args: options.agentArgs,
      logFile: options.logFile,
      log,
      hello: () => this.#hello(),
      message: (message) => this.#fromAgent(message),
      gone: () => {
        this.#commit({ type: 'agent-gone' })
        this.#shutdown.agentGone()
      },
      changed,
    })
    this.#upgrade = new Upgrade(options.installation, {
      log, workers: this.#workers, agent: this.#agent,
      tell: (report) => this.#agent.send({ type: 'upgrade', report }),
      shuttingDown: () => this.#shutdown.begun,
    })
    this.#shutdown = new Shutdown({
      log, workers: this.#workers, agent: this.#agent, backends: this.#backends, hooks: this.#hooks, orphans: this.#orphans,
      closePort: () => this.#socket?.close(),
      exit: (code) => this.#exit(code),
    })
  }

  /**
   * Holds the port and serves until it is told to end; resolves with the exit code.
   * @throws GracerError where the port cannot be had: 'port-taken', 'port-forbidden', …
   */
  async run(): Promise<number> {
    await endOldAgent(this.#left)
    this.#hooks.endLeft(this.#left?.hooks ?? [])
    writeTable(this.#options.tableFile, this.#committer.table)
    const { listen, passed, log } = this.#options
    const bind = (): BareSocket => passed ?? bindWithoutAccepting(listen.host, listen.port)
    if (this.#orphans.workerPids.length === 0) this.#socket = bind()
    const ready = new Promise<void>((resolve) => {
      this.#agentReady = resolve
    })
    this.#agent.start()
    const socket = this.#socket ?? (await this.#takePortOver(ready, bind))
    this.#socket = socket
    log.info('proxy.bound', { host: socket.host, port: socket.port, masterPid: process.pid })
    this.#workers.startOn(socket.fd)
    return this.#exited
  }

  /** @throws what `bind` throws, where the port is somebody else's; nothing of ours runs then. */
  async #takePortOver(ready: Promise<void>, bind: () => BareSocket): Promise<BareSocket> {
    this.#options.log.warn('takeover.begun', { workers: this.#orphans.workerPids })
    try {
      return await takePortOver({
        prepared: Promise.all([ready, this.#workers.standBy()]),
        letGo: () => this.#orphans.takeOver((remaining) => this.#quiet.setOrphans(remaining)),
        bind,
      })
    } catch (error) {
      this.#shutdown.killAll()
      throw error
    }
  }

  /** Ends all in its order, with 0; a second call ends at once. */
  stop(): Promise<void> {
    return this.#shutdown.begin()
  }

  #hello(): ToAgent {
    const epoch = this.#committer.epoch + 1
    this.#commit({ type: 'agent-started', epoch })
    const { listen } = this.#options
    const at = this.#socket ?? listen
    return {
      type: 'hello', protocol: protocolVersion, epoch, table: this.#committer.table, backends: this.#backends.list(), hooks: this.#hooks.list(),
      listen: [at.host.includes(':') ? `[${at.host}]:${at.port}` : `${at.host}:${at.port}`], masterPid: process.pid,
      masterIsNew: !this.#settled, masterVersion: this.#options.installation.version, upgrade: this.#upgrade.report,
    }
  }

  #fromAgent(message: FromAgent): void {
    switch (message.type) {
      case 'alive':
      case 'loaded':
        break
      case 'ready':
        this.#settled = true
        this.#checkReady()
        this.#agentReady?.()
        this.#agent.hasSettled()
        break
      case 'route':
        this.#commit({ type: 'route', epoch: message.epoch, request: message.request, route: message.route, safe: message.safe ?? null })
        break
      case 'go-safe':
        this.#commit({ type: 'go-safe', epoch: message.epoch, service: message.service })
        break
      case 'services':
        this.#commit({ type: 'services', epoch: message.epoch, request: message.request, places: message.places, front: message.front })
        break
      case 'spawn':
        if (message.epoch !== this.#committer.epoch || this.#shutdown.begun) break
        void this.#backends.spawn(message.order)
        break
      case 'signal':
        if (message.epoch === this.#committer.epoch) this.#backends.signal(message.release, message.signal)
        break
      case 'drain':
        if (message.epoch !== this.#committer.epoch) break
        this.#drained.set(message.order, message.release)
        this.#quiet.begin(message.order, this.#workers.ids())
        this.#workers.sendAll({ type: 'drain', release: message.release, order: message.order, deadlines: message.deadlines })
        break
      case 'run-hook':
        if (message.epoch === this.#committer.epoch && !this.#shutdown.begun) this.#hooks.run(message.order)
        break
      case 'end-hook':
        if (message.epoch === this.#committer.epoch) this.#hooks.end(message.service, message.run)
        break
      case 'report':
        this.#reports.begin(message.request)
        break
      case 'quiesced':
        this.#shutdown.agentQuiesced(message)
        break
      case 'down':
        void this.stop()
        break
      case 'upgrade':
        void this.#upgrade.begin(message.root, message.deadlines)
        break
    }
  }

  #fromWorker(worker: WorkerId, message: FromWorker): void {
    switch (message.type) {
      case 'ready':
      case 'alive':
        break
      case 'listening':
        if (!this.#listened && this.#socket !== null) this.#options.onListening({ host: this.#socket.host, port: this.#socket.port })
        this.#listened = true
        this.#checkReady()
        this.#options.log.info('worker.listening', { worker })
        break
      case 'listen-failed':
        this.#listenFailed(worker, message)
        break
      case 'prepared':
        this.#commit({ type: 'prepared', worker, flip: message.flip })
        break
      case 'committed':
        this.#commit({ type: 'committed', worker, flip: message.flip, longestParkMs: message.longestParkMs })
        break
      case 'forgotten':
        this.#figures.forgotten(worker, message.figures)
        break
      case 'quiet':
        this.#quiet.said(worker, message.order)
        break
      case 'ledger':
        this.#figures.set(worker, message.ledger)
        if (message.report !== null) this.#reports.said(worker, message.report)
        break
      case 'users':
        this.#users.take(message)
        break
      case 'evidence':
      case 'shadow':
        this.#agent.send(message)
        break
      case 'fell-back':
        this.#agent.send({ type: 'fell-back', service: message.service, release: message.release, number: message.number, error: message.error })
        break
    }
  }

  /** The first worker's listen is where a port shows that it is taken by one that was bound before it listened. */
  #listenFailed(worker: WorkerId, message: Extract<FromWorker, { type: 'listen-failed' }>): void {
    this.#options.log.error('worker.listen-failed', { worker, code: message.code, error: message.message })
    if (this.#listened || this.#shutdown.begun) return
    const { host, port } = this.#options.listen
    this.#shutdown.killAll()
    this.#fail(new GracerError(`cannot listen on ${host}:${port}: ${message.message}`, { code: message.code === 'EADDRINUSE' ? 'port-taken' : 'listen-failed', exitCode: 2 }))
  }

  #commit(input: CommitterInput): void {
    for (const effect of this.#committer.handle(input)) this.#carryOut(effect)
  }

  #carryOut(effect: CommitterEffect): void {
    switch (effect.do) {
      case 'send':
        this.#workers.send(effect.worker, effect.message)
        break
      case 'write-table':
        this.#users.follow(this.#committer.table)
        this.#writeTable()
        this.#checkReady()
        break
      case 'committed':
        if (effect.epoch === this.#committer.epoch && effect.request !== noRequest) this.#agent.send({ type: 'committed', request: effect.request, number: effect.number })
        break
      case 'refused':
        this.#agent.send({ type: 'refused', request: effect.request, code: effect.code, message: effect.message })
        break
      case 'flip-done':
        if (effect.epoch === this.#committer.epoch && effect.request !== noRequest) this.#agent.send({ type: 'flip-done', request: effect.request, longestParkMs: effect.longestParkMs })
        break
      case 'arm':
        setTimeout(() => this.#commit({ type: 'timeout', flip: effect.flip, phase: effect.phase }), effect.ms)
        break
      case 'replace':
        this.#workers.replace(effect.worker, effect.why)
        break
    }
  }

  #summed(): ServiceFigures[] {
    return this.#figures.sum().map((one) => {
      const users = this.#users.of(one.service)
      return users === undefined ? one : { ...one, users }
    })
  }

  /** Where the disk is full the table holds in memory, and is written as soon as there is room. */
  #writeTable(): void {
    try {
      writeTable(this.#options.tableFile, this.#committer.table)
    } catch (error) {
      this.#options.log.error('master.table-not-written', { error: (error as Error).message })
      setTimeout(() => this.#writeTable(), 1_000)
    }
  }

  #checkReady(): void {
    if (this.#ready || !this.#settled || !this.#listened || this.#committer.table.routes.some((route) => route.state === 'holding')) return
    this.#ready = true
    this.#options.log.info('gracer.ready')
    this.#options.onReady()
  }

  #writeProcesses(): void {
    try {
      const agentPid = this.#agent.pid
      writeProcessFile(this.#options.processFile, {
        schema: 1, master: entryOf(process.pid), agent: agentPid === null ? null : entryOf(agentPid),
        workers: this.#workers.pids().map(entryOf), backends: this.#backends.entries(), hooks: this.#hooks.entries(),
      })
    } catch (error) {
      // A full disk: the next master could not adopt, but this one serves on.
      this.#options.log.error('master.processes-not-written', { error: (error as Error).message })
    }
  }
}
