import type { ChildProcess, SendHandle } from 'node:child_process'
import { openSync } from 'node:fs'
import { childEnvironment } from '../../inherit/child-environment.ts'
import { spawnWithSockets } from '../../inherit/hand-down.ts'
import { openHandle } from '../../inherit/socket-handle.ts'
import { isMessage, sendTo } from '../channel.ts'
import type { Log } from '../log.ts'
import type { FromWorker, SocketForWorker, ToWorker } from '../messages.ts'
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

/** The workers: started on the public socket, kept at their number, replaced when they hang. */
export class Workers {
  readonly #options: WorkersOptions
  readonly #workers = new Map<WorkerId, Worker>()
  readonly #logFd: number
  #fd: number | null = null
  #standBy: (() => void) | null = null
  #next = 1
  #quick = 0
  /** Workers that are started again after a delay. */
  #restarting = 0
  #closing = false
  readonly #watchdog: NodeJS.Timeout

  constructor(options: WorkersOptions) {
    this.#options = options
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

  #start(): void {
    const { entry, start, log } = this.#options
    const standsBy = this.#fd === null
    if (this.#closing || (standsBy && this.#standBy === null)) return
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
      this.#restartLater()
      return
    }
    const now = performance.now()
    const worker: Worker = { id, child: handed.child, pid: handed.pid, startedAt: now, lastWord: now, standsBy, ready: false, leaving: false }
    this.#workers.set(id, worker)
    handed.child.on('message', (value) => {
      worker.lastWord = performance.now()
      if (!isMessage(value)) return
      const message = value as FromWorker
      if (message.type === 'ready') this.#ready(worker)
      this.#options.message(id, message)
    })
    handed.child.once('exit', (code, signal) => this.#exited(worker, code, signal))
    this.#options.started(id)
    this.#options.changed()
  }

  #ready(worker: Worker): void {
    worker.ready = true
    if ([...this.#workers.values()].filter((one) => one.ready).length >= this.#options.count) this.#standBy?.()
  }

  #exited(worker: Worker, code: number | null, signal: NodeJS.Signals | null): void {
    this.#workers.delete(worker.id)
    this.#options.gone(worker.id)
    this.#options.changed()
    this.#options.log[worker.leaving ? 'info' : 'error']('worker.exited', { worker: worker.id, workerPid: worker.pid, code, signal })
    if (this.#closing) return
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
      this.#start()
    }, delay)
  }

  #endSilent(): void {
    for (const worker of this.#workers.values()) {
      if (performance.now() - worker.lastWord > silenceMs) this.replace(worker.id, `it has said nothing for ${silenceMs / 1000} s`)
    }
  }
}
