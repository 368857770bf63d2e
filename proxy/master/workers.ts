import type { ChildProcess, SendHandle } from 'node:child_process'
import { openSync } from 'node:fs'
import { childEnvironment } from '../../inherit/child-environment.ts'
import { spawnWithSockets } from '../../inherit/hand-down.ts'
import { openHandle } from '../../inherit/socket-handle.ts'
import { GracerError } from '../../inherit/gracer-error.ts'
import { isMessage, sendTo } from '../channel.ts'
import type { Log } from '../log.ts'
import { protocolVersion, type DrainDeadlines, type FromWorker, type SocketForWorker, type ToWorker } from '../messages.ts'
import type { WorkerStart } from '../worker/start.ts'
import type { WorkerId } from './committer.ts'

/** A worker that has said nothing for this long is hung: it is ended and another started. */
const silenceMs = 15_000
/** A worker that ends sooner than this after its start is started again with a growing delay. */
const soonMs = 1_000
const slowestRestartMs = 2_000

interface Worker {
  readonly id: WorkerId
  readonly child: ChildProcess
  readonly pid: number
  readonly startedAt: number
  lastWord: number
  /** Started before there was a public socket. */
  readonly standsBy: boolean
  ready: boolean
  leaving: boolean
  /** It is being brought up beside the others: its end is told to who waits for it, and no other takes its place. */
  trial: Trial | null
}

/** Workers of another version, before they are trusted. */
interface Trial {
  readonly waiting: Set<WorkerId>
  readonly up: () => void
  readonly failed: (why: GracerError) => void
}

export interface WorkersOptions {
  /** The worker program. */
  readonly entry: string
  readonly count: number
  readonly start: Omit<WorkerStart, 'index' | 'standsBy'>
  readonly logFile: string
  readonly log: Log
  readonly started: (worker: WorkerId) => void
  readonly message: (worker: WorkerId, message: FromWorker) => void
  readonly gone: (worker: WorkerId) => void
  readonly changed: () => void
}

const restartHint = 'start gracer again, so that its master is of the installed version as well; with a systemd socket nothing is refused meanwhile'

function notUp(why: string): GracerError {
  return new GracerError(`the new version's workers did not come up: ${why}`, { code: 'workers-not-up', hint: 'The old ones serve on. gracer\'s own log says more.' })
}

/** The workers: started on the public socket, kept at their number, replaced when they hang. */
export class Workers {
  readonly #options: WorkersOptions
  readonly #workers = new Map<WorkerId, Worker>()
  readonly #logFd: number
  #entry: string
  #fd: number | null = null
  #standBy: (() => void) | null = null
  #next = 1
  #quick = 0
  /** Workers that are started again after a delay. */
  #restarting = 0
  /** Workers that ended unasked, and in whose place another was started. */
  restarts = 0
  #closing = false
  readonly #watchdog: NodeJS.Timeout

  constructor(options: WorkersOptions) {
    this.#options = options
    this.#entry = options.entry
    this.#logFd = openSync(options.logFile, 'a', 0o600)
    this.#watchdog = setInterval(() => this.#endSilent(), 1_000)
  }

  /**
   * Starts all of them before there is a public socket, so that they have booted when there is one; resolves when all
   * have. For the take-over of a port, which is refused from its last holder's end to the first listen.
   */
  async standBy(): Promise<void> {
    const ready = new Promise<void>((resolve) => {
      this.#standBy = resolve
    })
    for (let index = 0; index < this.#options.count; index += 1) this.#start()
    await ready
  }

  /** Has them listen on this descriptor, which must stay open: the ones after a crash are started on it too. */
  startOn(fd: number): void {
    this.#fd = fd
    const standing = [...this.#workers.values()].filter((worker) => worker.standsBy)
    if (standing.length > 0) {
      // A second owner of the descriptor; it is never closed, because the first one is.
      const handle = openHandle(fd)
      for (const { child } of standing) child.send({ type: 'socket' } satisfies SocketForWorker, handle as unknown as SendHandle, {}, () => {})
    }
    for (let index = standing.length + this.#restarting; index < this.#options.count; index += 1) this.#start()
  }

  pids(): number[] {
    return [...this.#workers.values()].map((worker) => worker.pid)
  }

  ids(): WorkerId[] {
    return [...this.#workers.keys()]
  }

  /** Those that are there to stay; the others finish what they have. */
  servingPids(): number[] {
    return [...this.#workers.values()].filter((worker) => !worker.leaving).map((worker) => worker.pid)
  }

  /**
   * Starts a full set of this program beside those that run, on the same socket; resolves when all of them listen.
   * Where one of them does not, all are ended again and it rejects. @throws GracerError 'workers-not-up', 'protocol'.
   */
  async bringUp(entry: string, deadlineMs: number): Promise<WorkerId[]> {
    const started: WorkerId[] = []
    let timer: NodeJS.Timeout | undefined
    try {
      await new Promise<void>((resolve, reject) => {
        const trial: Trial = { waiting: new Set(), up: resolve, failed: reject }
        timer = setTimeout(() => reject(notUp(`${trial.waiting.size} of ${this.#options.count} did not listen within ${deadlineMs / 1000} s`)), deadlineMs)
        for (let index = 0; index < this.#options.count; index += 1) {
          const id = this.#start(entry, trial)
          if (id === null) return reject(notUp('one could not be started'))
          trial.waiting.add(id)
          started.push(id)
        }
      })
    } catch (error) {
      for (const id of started) {
        const worker = this.#workers.get(id)
        if (worker === undefined) continue
        worker.trial = null
        worker.leaving = true
        worker.child.kill('SIGKILL')
      }
      throw error
    } finally {
      clearTimeout(timer)
    }
    for (const id of started) {
      const worker = this.#workers.get(id)
      if (worker !== undefined) worker.trial = null
    }
    return started
  }

  /** Workers that are started from now on are of this program. */
  use(entry: string): void {
    this.#entry = entry
  }

  /** These stop accepting, finish and leave; none is started in their place. */
  retire(ids: readonly WorkerId[], deadlines: DrainDeadlines): void {
    for (const id of ids) {
      const worker = this.#workers.get(id)
      if (worker === undefined || worker.leaving) continue
      worker.leaving = true
      this.send(id, { type: 'leave', deadlines, idle: 'in-their-time' })
    }
    // One that crashed on its way, or one more that was started for one of these.
    for (let missing = this.#options.count - this.#staying(); missing > 0; missing -= 1) this.#start()
  }

  send(id: WorkerId, message: ToWorker): void {
    const worker = this.#workers.get(id)
    if (worker !== undefined) sendTo(worker.child, message)
  }

  sendAll(message: ToWorker): void {
    for (const id of this.#workers.keys()) this.send(id, message)
  }

  /** Ends a worker at once; another takes its place. */
  replace(id: WorkerId, why: string): void {
    const worker = this.#workers.get(id)
    if (worker === undefined) return
    this.#options.log.warn('worker.replaced', { worker: id, workerPid: worker.pid, why })
    worker.child.kill('SIGKILL')
  }

  /** All stop accepting, finish and leave; none is started again. Resolves when all have left. */
  async leave(message: Extract<ToWorker, { type: 'leave' }>): Promise<void> {
    this.#closing = true
    clearInterval(this.#watchdog)
    const left = [...this.#workers.values()].map((worker) => {
      worker.leaving = true
      return new Promise<void>((resolve) => worker.child.once('exit', () => resolve()))
    })
    this.sendAll(message)
    await Promise.all(left)
  }

  killAll(): void {
    this.#closing = true
    clearInterval(this.#watchdog)
    for (const worker of this.#workers.values()) worker.child.kill('SIGKILL')
  }

  #staying(): number {
    return [...this.#workers.values()].filter((worker) => !worker.leaving && worker.trial === null).length + this.#restarting
  }

  #start(entry = this.#entry, trial: Trial | null = null): WorkerId | null {
    const { start, log } = this.#options
    const standsBy = this.#fd === null
    if (this.#closing || (standsBy && this.#standBy === null)) return null
    const id = this.#next
    this.#next += 1
    let handed
    try {
      handed = spawnWithSockets({
        command: [process.execPath, entry, JSON.stringify({ ...start, index: id, standsBy } satisfies WorkerStart)],
        cwd: process.cwd(),
        env: childEnvironment(process.env),
        sockets: this.#fd === null ? [] : [{ name: 'public', fd: this.#fd }],
        stdout: this.#logFd,
        stderr: this.#logFd,
        channel: true,
      })
    } catch (error) {
      log.error('worker.spawn-failed', { worker: id, error: (error as Error).message })
      if (trial === null) this.#restartLater()
      return null
    }
    const now = performance.now()
    const worker: Worker = { id, child: handed.child, pid: handed.pid, startedAt: now, lastWord: now, standsBy, ready: false, leaving: false, trial }
    this.#workers.set(id, worker)
    handed.child.on('message', (value) => {
      worker.lastWord = performance.now()
      if (!isMessage(value)) return
      const message = value as FromWorker
      if (message.type === 'ready') this.#ready(worker, message.protocol)
      if (message.type === 'listening') this.#listens(worker)
      this.#options.message(id, message)
    })
    handed.child.once('exit', (code, signal) => this.#exited(worker, code, signal))
    this.#options.started(id)
    this.#options.changed()
    return id
  }

  /** Its installation may have been replaced under a running master: one that speaks otherwise is not used. */
  #ready(worker: Worker, protocol: number): void {
    if (protocol !== protocolVersion) {
      const why = `it speaks version ${protocol} of gracer's own protocol and this master version ${protocolVersion}`
      worker.trial?.failed(new GracerError(`a worker of the new version cannot work with this master: ${why}`, { code: 'protocol', hint: restartHint }))
      return this.replace(worker.id, `${why}: ${restartHint}`)
    }
    worker.ready = true
    if ([...this.#workers.values()].filter((one) => one.ready).length >= this.#options.count) this.#standBy?.()
  }

  #listens({ id, trial }: Worker): void {
    if (trial?.waiting.delete(id) === true && trial.waiting.size === 0) trial.up()
  }

  #exited(worker: Worker, code: number | null, signal: NodeJS.Signals | null): void {
    this.#workers.delete(worker.id)
    this.#options.gone(worker.id)
    this.#options.changed()
    this.#options.log[worker.leaving ? 'info' : 'error']('worker.exited', { worker: worker.id, workerPid: worker.pid, code, signal })
    worker.trial?.failed(notUp(`worker ${worker.pid} ${signal === null ? `exited with code ${code}` : `was ended by ${signal}`}; its last words are in ${this.#options.logFile}`))
    if (this.#closing || worker.leaving || worker.trial !== null) return
    this.restarts += 1
    if (performance.now() - worker.startedAt < soonMs) return this.#restartLater()
    this.#quick = 0
    this.#start()
  }

  #restartLater(): void {
    const delay = Math.min(slowestRestartMs, 50 * 2 ** this.#quick)
    this.#quick += 1
    this.#restarting += 1
    setTimeout(() => {
      this.#restarting -= 1
      if (this.#staying() < this.#options.count) this.#start()
    }, delay)
  }

  #endSilent(): void {
    for (const worker of this.#workers.values()) {
      if (performance.now() - worker.lastWord > silenceMs) this.replace(worker.id, `it has said nothing for ${silenceMs / 1000} s`)
    }
  }
}
