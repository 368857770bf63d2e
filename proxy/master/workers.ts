import type { ChildProcess } from 'node:child_process'
import { openSync } from 'node:fs'
import { childEnvironment } from '../../inherit/child-environment.ts'
import { spawnWithSockets } from '../../inherit/hand-down.ts'
import { isMessage, sendTo } from '../channel.ts'
import type { Log } from '../log.ts'
import type { FromWorker, ToWorker } from '../messages.ts'
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
  listening: boolean
  leaving: boolean
}

export interface WorkersOptions {
  /** The worker program. */
  readonly entry: string
  readonly count: number
  readonly start: Omit<WorkerStart, 'index'>
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
  #next = 1
  #quick = 0
  #closing = false
  readonly #watchdog: NodeJS.Timeout

  constructor(options: WorkersOptions) {
    this.#options = options
    this.#logFd = openSync(options.logFile, 'a', 0o600)
    this.#watchdog = setInterval(() => this.#endSilent(), 1_000)
  }

  /** Starts all of them on this descriptor, which must stay open: the ones after a crash are started on it too. */
  startOn(fd: number): void {
    this.#fd = fd
    for (let index = 0; index < this.#options.count; index += 1) this.#start()
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
    if (this.#fd === null || this.#closing) return
    const id = this.#next
    this.#next += 1
    let handed
    try {
      handed = spawnWithSockets({
        command: [process.execPath, entry, JSON.stringify({ ...start, index: id } satisfies WorkerStart)],
        cwd: process.cwd(),
        env: childEnvironment(process.env),
        sockets: [{ name: 'public', fd: this.#fd }],
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
    const worker: Worker = { id, child: handed.child, pid: handed.pid, startedAt: now, lastWord: now, listening: false, leaving: false }
    this.#workers.set(id, worker)
    handed.child.on('message', (value) => {
      worker.lastWord = performance.now()
      if (!isMessage(value)) return
      const message = value as FromWorker
      if (message.type === 'listening') worker.listening = true
      this.#options.message(id, message)
    })
    handed.child.once('exit', (code, signal) => this.#exited(worker, code, signal))
    this.#options.started(id)
    this.#options.changed()
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
    setTimeout(() => this.#start(), delay)
  }

  #endSilent(): void {
    for (const worker of this.#workers.values()) {
      if (performance.now() - worker.lastWord > silenceMs) this.replace(worker.id, `it has said nothing for ${silenceMs / 1000} s`)
    }
  }
}
