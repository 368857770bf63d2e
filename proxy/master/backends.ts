import { closeSync, openSync } from 'node:fs'
import type { ChildProcess } from 'node:child_process'
import { childEnvironment } from '../../inherit/child-environment.ts'
import { freePort, listenEphemeral } from '../../inherit/ephemeral-socket.ts'
import { GracerError } from '../../inherit/gracer-error.ts'
import { spawnWithSockets, type HandedDown } from '../../inherit/hand-down.ts'
import type { Log } from '../log.ts'
import type { BackendInfo, SpawnOrder, ToAgent } from '../messages.ts'
import { numberOfKey, type ReleaseId } from '../release-key.ts'
import { entryOf, lives, type BackendEntry } from './process-file.ts'
import { groupRuns, signalGroup, strayProcesses } from './process-group.ts'

const loopback = '127.0.0.1'
/** How often the end of a process is looked for that is not our child, or whose group outlives its leader. */
const pollMs = 50
/** After SIGKILL a group that still shows is waiting for a parent that does not reap: it counts as gone. */
const unreapedMs = 1_000

interface Backend {
  readonly entry: BackendEntry
  readonly adopted: boolean
  readonly child: ChildProcess | null
  /** A stop was ordered: its end is not a crash, and its group is given its time. */
  stopping: boolean
  /** Date.now() of the SIGKILL. */
  killedAt: number | null
  strays: readonly number[]
  ended: boolean
}

export interface BackendsOptions {
  readonly log: Log
  readonly tell: (message: ToAgent) => void
  /** The set of processes has changed: write it down. */
  readonly changed: () => void
}

/** The backends: started, signalled, adopted and reaped here, because their parent must outlive the agent. */
export class Backends {
  readonly #options: BackendsOptions
  readonly #backends = new Map<ReleaseId, Backend>()

  constructor(options: BackendsOptions) {
    this.#options = options
  }

  list(): BackendInfo[] {
    return [...this.#backends.values()].map(({ entry, adopted }) => ({ service: entry.service, release: entry.release, pid: entry.pid, port: entry.port, adopted }))
  }

  entries(): BackendEntry[] {
    return [...this.#backends.values()].map((backend) => backend.entry)
  }

  has(release: ReleaseId): boolean {
    return this.#backends.has(release)
  }

  /** Takes over a process that a dead master left behind. Its end is found by looking. */
  adopt(entry: BackendEntry): void {
    const backend: Backend = { entry, adopted: true, child: null, stopping: false, killedAt: null, strays: [], ended: false }
    this.#backends.set(entry.release, backend)
    const timer = setInterval(() => {
      if (lives(entry)) return
      clearInterval(timer)
      this.#leaderEnded(backend, null, null)
    }, pollMs)
  }

  /** Starts a release and tells the agent 'spawned' or 'spawn-failed'. */
  async spawn(order: SpawnOrder): Promise<void> {
    const { release } = order
    try {
      if (this.#backends.has(release)) throw new GracerError(`a process of release ${release} runs already`, { code: 'already-running' })
      const port = order.socket === 'port' ? await freePort(loopback) : 0
      const started = order.socket === 'port' ? this.#start(order, null, port) : await listenEphemeral(loopback, (fd, bound) => this.#start(order, fd, bound))
      this.#options.tell({ type: 'spawned', release, pid: started.entry.pid, port: started.entry.port })
    } catch (error) {
      const known = error instanceof GracerError ? error : null
      this.#options.tell({
        type: 'spawn-failed', release, code: known?.code ?? 'spawn-failed', message: (error as Error).message, hint: known?.hint ?? null,
      })
    }
  }

  /** To the whole process group, and on SIGKILL also to what left it. */
  signal(release: ReleaseId, signal: 'SIGTERM' | 'SIGKILL'): void {
    const backend = this.#backends.get(release)
    if (backend === undefined) return
    backend.stopping = true
    if (signal === 'SIGKILL') backend.killedAt ??= Date.now()
    backend.strays = this.#strays(backend)
    signalGroup(backend.entry.pid, signal)
    for (const pid of backend.strays) signalOne(pid, signal)
    // A stopped process (SIGSTOP) acts on SIGTERM only once it goes on.
    if (signal === 'SIGTERM') signalGroup(backend.entry.pid, 'SIGCONT')
  }

  #start(order: SpawnOrder, fd: number | null, port: number): Backend {
    const logFd = openSync(order.logFile, 'a', 0o600)
    let handed: HandedDown
    try {
      handed = spawnWithSockets({
        command: [order.command, ...order.args],
        cwd: order.cwd,
        env: childEnvironment(process.env, { ...order.env, PORT: String(port), HOST: loopback, GRACER_SERVICE: order.service, GRACER_RELEASE: numberOfKey(order.release) }),
        sockets: fd === null ? [] : [{ name: order.service, fd }],
        stdout: logFd,
        stderr: logFd,
      })
    } finally {
      closeSync(logFd)
    }
    const entry: BackendEntry = { ...entryOf(handed.pid), service: order.service, release: order.release, port }
    const backend: Backend = { entry, adopted: false, child: handed.child, stopping: false, killedAt: null, strays: [], ended: false }
    this.#backends.set(order.release, backend)
    handed.events.on('notify', (key, value) => this.#options.tell({ type: 'notify', release: order.release, key, value }))
    handed.child.once('exit', (code, signal) => this.#leaderEnded(backend, code, signal))
    this.#options.changed()
    this.#options.log.info('backend.spawned', { service: order.service, release: numberOfKey(order.release), pid: entry.pid, port, cwd: order.cwd, socket: order.socket })
    return backend
  }

  /** The leader is gone; the release has ended once its group has too, so that nothing of it holds a port or a file. */
  #leaderEnded(backend: Backend, code: number | null, signal: NodeJS.Signals | null): void {
    const { pid } = backend.entry
    // In a stop what left the group is part of it; the agent's SIGKILL comes at its deadline.
    const left = (): boolean => groupRuns(pid) || (backend.strays.length > 0 && this.#strays(backend).length > 0)
    if (!left()) return this.#ended(backend, code, signal)
    // A crash: what is left of the group is of no use.
    if (!backend.stopping) {
      signalGroup(pid, 'SIGKILL')
      backend.killedAt ??= Date.now()
    }
    const timer = setInterval(() => {
      if (left() && (backend.killedAt === null || Date.now() - backend.killedAt < unreapedMs)) return
      clearInterval(timer)
      this.#ended(backend, code, signal)
    }, pollMs)
  }

  /** Processes of the release that left its group. */
  #strays({ entry }: Backend): number[] {
    return strayProcesses(entry.release, entry.port).filter((pid) => pid !== entry.pid)
  }

  #ended(backend: Backend, code: number | null, signal: NodeJS.Signals | null): void {
    if (backend.ended) return
    backend.ended = true
    const { service, release, pid } = backend.entry
    if (this.#backends.get(release) === backend) this.#backends.delete(release)
    this.#options.changed()
    const survivors = backend.killedAt === null || backend.strays.length === 0 ? [] : this.#strays(backend)
    this.#options.log.info('backend.exited', { service, release: numberOfKey(release), pid, code, signal, ordered: backend.stopping, ...(survivors.length === 0 ? {} : { survivors }) })
    this.#options.tell({ type: 'exited', release, pid, code, signal, ...(survivors.length === 0 ? {} : { survivors }) })
  }
}

function signalOne(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended meanwhile.
  }
}
