import cluster from 'node:cluster'
import { isMainThread } from 'node:worker_threads'

import { ownSockets } from '../inherited-sockets.ts'
import type { ListenAddress } from '../listen.ts'
import type { Notifier } from '../notify.ts'
import type { DrainReport } from '../soft-drain.ts'
import { afterDrain, beginDrain } from './around-drain.ts'
import { attempt, type Successor } from './attempt.ts'
import type { Channel } from './channel.ts'
import { ControlSocket } from './control-socket.ts'
import { setCurrentProgram } from './current.ts'
import { drainText } from './drain-text.ts'
import { askFront } from './front-words.ts'
import type { Launch } from './launch.ts'
import type { Listeners } from './listeners.ts'
import { controlName, protocolVersion } from './mark.ts'
import { refusalOf } from './may-upgrade.ts'
import { PidFile } from './pid-file.ts'
import type { Running } from './serve.ts'
import type { ServeSettings, SignalName } from './serve-options.ts'
import { tellMainPid } from './service-manager.ts'
import { surviveBrokenOutput } from './broken-output.ts'
import { onSignals } from './triggers.ts'
import { untilTaken } from './until-taken.ts'
import { failureText, type Description, type Upgraded, type UpgradeOptions } from './upgradable.ts'
import { UpgradeError } from './upgrade-error.ts'
import { watchedBy } from './watched-by.ts'
import { dismissWitness } from './witness.ts'

export interface ProgramParts {
  readonly listeners: Listeners
  readonly settings: ServeSettings
  /** To the process that started this one, where that was another generation or the front. */
  readonly channel: Channel | undefined
  readonly launch: Launch
  readonly underGracer: boolean
  readonly notifier: Notifier
}

/** One generation of a program: comes up, serves, brings up the next one, drains and leaves. */
export class Program implements Running {
  readonly generation: number
  readonly closed: Promise<DrainReport>
  readonly #parts: ProgramParts
  readonly #control: ControlSocket | undefined
  readonly #pidFile: PidFile | undefined
  readonly #hurry = new AbortController()
  readonly #noMoreUpgrades = new AbortController()
  #state: Description['state'] = 'starting'
  #inherited = false
  #controlTaken = false
  #removeSignals: () => void = () => {}
  #signalled = 0
  #leaving: Promise<DrainReport> | undefined
  /** Names of the sockets that the last successor has said it took up. */
  #taken = new Set<string>()
  #closed!: (report: DrainReport) => void

  constructor(parts: ProgramParts) {
    const { channel, settings } = parts
    this.#parts = parts
    this.generation = channel?.mark.generation ?? 1
    this.closed = new Promise((resolve) => {
      this.#closed = resolve
    })
    // The front has them where there is one.
    const own = channel?.mark.by !== 'front'
    this.#control = own && settings.control !== undefined ? new ControlSocket(settings.control, this) : undefined
    this.#pidFile = own && settings.pidFile !== undefined ? new PidFile(settings.pidFile) : undefined
  }

  get address(): ListenAddress {
    return [...this.#parts.listeners.addresses.values()][0] as ListenAddress
  }

  get addresses(): ReadonlyMap<string, ListenAddress> {
    return this.#parts.listeners.addresses
  }

  get inherited(): boolean {
    return this.#inherited
  }

  describe(): Description {
    return { pid: process.pid, generation: this.generation, state: this.#state, leaving: this.#predecessor, listeners: this.#parts.listeners.describe() }
  }

  /** The generation before, until it has left. */
  get #predecessor(): number | null {
    const { channel } = this.#parts
    return channel !== undefined && channel.mark.by === 'predecessor' && !channel.ended ? channel.mark.pid : null
  }

  async start(): Promise<void> {
    const { listeners, channel, settings } = this.#parts
    setCurrentProgram(this)
    try {
      channel?.stream.write(`UPGRADE_PROTOCOL=${protocolVersion}\n`)
      const sockets = ownSockets()
      const control = this.#control !== undefined && channel?.mark.paths[controlName] === this.#control.path ? sockets.take({ name: controlName, kind: 'unix' }) : undefined
      await listeners.prepare(sockets, channel?.mark, settings.log)
      if (channel !== undefined) await untilTaken(channel)
      // Before anybody can read the pid of this process from the file.
      this.#removeSignals = onSignals(settings.signals, {
        upgrade: () => void this.upgrade().catch(() => {}),
        leave: (signal) => this.#onLeaveSignal(signal),
      })
      this.#pidFile?.write()
      await this.#control?.open(control)
      this.#controlTaken = control !== undefined
      await listeners.accept(channel?.mark)
    } catch (error) {
      setCurrentProgram(undefined)
      this.#removeSignals()
      listeners.abandon()
      await this.#control?.close(channel === undefined)
      this.#pidFile?.remove()
      throw error
    }
    // Nothing is awaited from here on: the first request may be read in the next turn, and finds the caller of serve() done.
    this.#inherited = [...listeners.addresses.values()].some((address) => address.inherited)
    this.#state = 'serving'
    dismissWitness()
    surviveBrokenOutput()
    this.#sayServing()
  }

  #sayServing(): void {
    const { channel, listeners, notifier, settings } = this.#parts
    if (channel === undefined) {
      notifier.ready()
      void this.#tellMain(process.pid)
      return
    }
    channel.events.on('line', (key, value) => this.#onWord(key, value))
    // The empty name: whoever says none of them has taken none.
    for (const name of ['', ...listeners.taken(), ...(this.#controlTaken ? [controlName] : [])]) channel.stream.write(`TAKEN=${name}\n`)
    channel.stream.write('SERVING=1\n')
    if (channel.mark.by !== 'front') return
    const frontGone = (): void => {
      settings.log(`the parent in front is gone; pid ${process.pid} drains and leaves, so that a new one can have the address`)
      void this.#leave('told', true)
    }
    if (channel.ended) frontGone()
    else channel.events.once('end', frontGone)
  }

  #onWord(key: string, value: string): void {
    if (key !== 'STOP') return
    if (value === 'now') this.#hurry.abort()
    void this.#leave('told', true)
  }

  #onLeaveSignal(signal: SignalName): void {
    if (this.#state === 'starting') {
      // Nothing to drain yet: the signal does what it does to any program.
      this.#removeSignals()
      this.#pidFile?.remove()
      return void process.kill(process.pid, signal)
    }
    this.#signalled += 1
    if (this.#signalled > 1) {
      this.#parts.settings.log(`${signal} again: what is left is cut`)
      this.#hurry.abort()
    }
    void this.#leave('told', true)
  }

  async upgrade(options: UpgradeOptions = {}): Promise<Upgraded> {
    const { channel, settings } = this.#parts
    try {
      return await this.#upgrade(options)
    } catch (error) {
      // The front has said it already.
      if (channel?.mark.by !== 'front') settings.log(failureText(error))
      throw error
    }
  }

  async #upgrade(options: UpgradeOptions): Promise<Upgraded> {
    const { channel, launch, underGracer } = this.#parts
    const behindFront = channel?.mark.by === 'front'
    const refusal = refusalOf({
      state: this.#state, generation: this.generation, predecessor: this.#predecessor, underGracer, clusterWorker: cluster.isWorker, mainThread: isMainThread,
      watcher: behindFront ? undefined : watchedBy(launch.env, process.pid, launch.parent),
    })
    if (refusal !== undefined) throw refusal
    if (behindFront) return askFront(channel, options.signal)
    this.#state = 'upgrading'
    try {
      const successor = await this.#bringUp(options.signal)
      const { pid, generation } = successor
      successor.say('COMMIT', '1')
      successor.unref()
      this.#parts.settings.log(`generation ${generation} serves as pid ${pid}; pid ${process.pid} drains`)
      void this.#leave('replaced', this.#parts.settings.exit)
      return { pid, generation }
    } catch (error) {
      // The state may have become another while the attempt was under way.
      if (this.describe().state === 'upgrading') {
        this.#state = 'serving'
        this.#takeBackPidFile()
      }
      throw error
    }
  }

  async #bringUp(signal: AbortSignal | undefined): Promise<Successor> {
    const { listeners, launch, settings } = this.#parts
    this.#taken.clear()
    const successor = await attempt({
      launch: { ...launch, cwd: settings.cwd ?? launch.cwd },
      sockets: [...listeners.passed(), ...(this.#control?.passed() ?? [])],
      mark: { generation: this.generation + 1, by: 'predecessor', pid: process.pid, paths: { ...listeners.paths(), ...(this.#control === undefined ? {} : { [controlName]: this.#control.path }) }, given: listeners.given() },
      limits: { startMs: settings.startTimeoutMs, settleMs: settings.settleMs, confirmMs: settings.confirmMs },
      signal: signal === undefined ? this.#noMoreUpgrades.signal : AbortSignal.any([signal, this.#noMoreUpgrades.signal]),
      onLine: (key, value) => key === 'TAKEN' && this.#taken.add(value),
    })
    // Before this process may end: systemd takes the end of the main process for the end of the service.
    await this.#tellMain(successor.pid)
    if (successor.exit === undefined && !this.#noMoreUpgrades.signal.aborted) return successor
    await this.#tellMain(process.pid)
    successor.kill()
    await successor.exited
    if (this.#noMoreUpgrades.signal.aborted) throw new UpgradeError('aborted', 'this process was told to leave')
    throw new UpgradeError('exited', `the successor (pid ${successor.pid}) ended as it was confirmed`)
  }

  /** The successor that failed may have written its own. */
  #takeBackPidFile(): void {
    try {
      this.#pidFile?.restore()
    } catch (error) {
      this.#parts.settings.log((error as Error).message)
    }
  }

  #tellMain(pid: number): Promise<void> {
    const { env } = this.#parts.launch
    if (this.#parts.channel?.mark.by === 'front' || this.#parts.underGracer) return Promise.resolve()
    return tellMainPid(env['NOTIFY_SOCKET'], pid, env['PATH']).then((problem) => {
      if (problem !== undefined) this.#parts.settings.log(problem)
    })
  }

  close(options: { readonly signal?: AbortSignal } = {}): Promise<DrainReport> {
    if (options.signal?.aborted === true) this.#hurry.abort()
    else options.signal?.addEventListener('abort', () => this.#hurry.abort(), { once: true })
    return this.#leave('told', false)
  }

  #leave(why: 'told' | 'replaced', exit: boolean): Promise<DrainReport> {
    this.#leaving ??= this.#drain(why, exit && this.#parts.settings.exit)
    return this.#leaving
  }

  async #drain(why: 'told' | 'replaced', exit: boolean): Promise<DrainReport> {
    const { listeners, settings, notifier, channel, underGracer } = this.#parts
    this.#state = 'draining'
    this.#noMoreUpgrades.abort('this process was told to leave')
    if (underGracer || channel?.mark.by === 'front') notifier.stopping()
    beginDrain(settings)
    // A successor that has said nothing of the kind may have taken up any.
    const kept = why === 'told' ? new Set<string>() : this.#taken
    const unlinks = (why === 'told' || kept.size > 0) && channel?.mark.by !== 'front'
    if (unlinks) await listeners.unlink(kept)
    const report = await listeners.drain({ timeoutMs: settings.drainTimeoutMs, signal: this.#hurry.signal })
    await this.#control?.close(unlinks && !kept.has(controlName))
    this.#pidFile?.remove()
    await afterDrain(settings, report)
    settings.log(drainText(process.pid, report))
    this.#state = 'closed'
    this.#removeSignals()
    channel?.stream.destroy()
    setCurrentProgram(undefined)
    this.#closed(report)
    if (exit) process.exit(0)
    return report
  }
}
