import type { ChildProcess } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { childEnvironment } from '../../inherit/child-environment.ts'
import { GracerError } from '../../inherit/gracer-error.ts'
import { spawnWithSockets } from '../../inherit/hand-down.ts'
import type { Log } from '../log.ts'
import type { HookInfo, HookOrder, HookResult, ToAgent } from '../messages.ts'
import { numberOfKey } from '../release-key.ts'
import { entryOf, lives, type HookEntry } from './process-file.ts'
import { groupRuns, signalGroup } from './process-group.ts'

const pollMs = 25
/** So many that have ended are kept, for an agent that was away at the time. */
const endedKept = 32
/** What a dead master left has this long to end itself. */
const leftStopMs = 5_000

interface Hook {
  readonly entry: HookEntry
  readonly stopMs: number
  readonly begunMs: number
  readonly child: ChildProcess
  timedOut: boolean
  ending: boolean
}

export interface HooksOptions {
  readonly log: Log
  readonly tell: (message: ToAgent) => void
  /** The set of processes has changed: write it down. */
  readonly changed: () => void
}

/** The commands of hooks, run here because their parent must outlive the agent: none is ever run twice for want of its exit code. */
export class Hooks {
  readonly #options: HooksOptions
  readonly #running = new Map<string, Hook>()
  readonly #ended = new Map<string, HookInfo>()
  #left: HookEntry[] = []

  constructor(options: HooksOptions) {
    this.#options = options
  }

  list(): HookInfo[] {
    return [...[...this.#running.values()].map(({ entry }) => ({ service: entry.service, run: entry.run, result: null })), ...this.#ended.values()]
  }

  entries(): HookEntry[] {
    return [...this.#left, ...[...this.#running.values()].map((hook) => hook.entry)]
  }

  get busy(): boolean {
    return this.#running.size > 0 || this.#left.length > 0
  }

  /** Ends what a dead master left running: nobody could ever learn how it ended. Nothing is started before it is gone. */
  endLeft(left: readonly HookEntry[]): void {
    this.#left = left.filter(lives)
    for (const entry of this.#left) {
      this.#options.log.warn('hook.left', { service: entry.service, release: entry.release, pid: entry.pid })
      endGroup(entry.pid, leftStopMs, () => {
        this.#left = this.#left.filter((other) => other !== entry)
        this.#options.changed()
      })
    }
  }

  run(order: HookOrder): void {
    const key = keyOf(order.service, order.run)
    if (this.#running.has(key)) return
    if (this.#left.length > 0) {
      setTimeout(() => this.run(order), pollMs)
      return
    }
    this.#ended.delete(key)
    try {
      this.#start(key, order)
    } catch (error) {
      const known = error instanceof GracerError && error.hint !== undefined ? `${error.message}. ${error.hint}` : (error as Error).message
      this.#end(key, order, { code: null, signal: null, timedOut: false, ms: 0, error: known })
    }
  }

  /** SIGTERM to its process group, SIGKILL at its deadline. */
  end(service: string, run: number): void {
    const hook = this.#running.get(keyOf(service, run))
    if (hook !== undefined) this.#stop(hook)
  }

  endAll(): void {
    for (const hook of this.#running.values()) this.#stop(hook)
  }

  killAll(): void {
    for (const { pid } of this.entries()) signalGroup(pid, 'SIGKILL')
  }

  #start(key: string, order: HookOrder): void {
    const logFd = openSync(order.logFile, 'a', 0o600)
    let child: ChildProcess
    let pid: number
    try {
      const handed = spawnWithSockets({
        command: [order.command, ...order.args], cwd: order.cwd, sockets: [], stdout: logFd, stderr: logFd,
        env: childEnvironment(process.env, { ...order.env, GRACER_SERVICE: order.service, GRACER_RELEASE: numberOfKey(order.release), GRACER_HOOK: order.hook }),
      })
      child = handed.child
      pid = handed.pid
    } finally {
      closeSync(logFd)
    }
    const entry: HookEntry = { ...entryOf(pid), service: order.service, release: order.release, run: order.run }
    const hook: Hook = { entry, stopMs: order.stopMs, begunMs: performance.now(), child, timedOut: false, ending: false }
    this.#running.set(key, hook)
    this.#options.changed()
    this.#options.log.info('hook.started', { service: order.service, release: order.release, hook: order.hook, pid, command: order.command })
    const timer = setTimeout(() => {
      hook.timedOut = true
      this.#stop(hook)
    }, order.timeoutMs)
    child.once('exit', (code, signal) => {
      clearTimeout(timer)
      const done = (): void => {
        this.#running.delete(key)
        this.#end(key, order, { code, signal, timedOut: hook.timedOut, ms: Math.round(performance.now() - hook.begunMs), error: null })
        this.#options.changed()
      }
      // What it started and did not wait for would run beside the release, or beside the next hook.
      if (groupRuns(pid)) endGroup(pid, order.stopMs, done)
      else done()
    })
  }

  #stop(hook: Hook): void {
    if (hook.ending) return
    hook.ending = true
    endGroup(hook.entry.pid, hook.stopMs, () => {})
  }

  #end(key: string, order: HookOrder, result: HookResult): void {
    this.#ended.set(key, { service: order.service, run: order.run, result })
    for (const old of this.#ended.keys()) {
      if (this.#ended.size <= endedKept) break
      this.#ended.delete(old)
    }
    this.#options.log.info('hook.ended', { service: order.service, release: order.release, hook: order.hook, ...result })
    this.#options.tell({ type: 'hook-ended', release: order.release, run: order.run, result })
  }
}

/** SIGTERM, SIGKILL after `stopMs`; calls back when nothing of the group runs any more. */
function endGroup(leader: number, stopMs: number, gone: () => void): void {
  signalGroup(leader, 'SIGTERM')
  signalGroup(leader, 'SIGCONT')
  const killAt = performance.now() + stopMs
  const timer = setInterval(() => {
    if (!groupRuns(leader) || performance.now() > killAt + 1_000) {
      clearInterval(timer)
      gone()
    } else if (performance.now() > killAt) signalGroup(leader, 'SIGKILL')
  }, pollMs)
}

function keyOf(service: string, run: number): string {
  return `${service} ${run}`
}
