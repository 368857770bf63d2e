import type { ChildProcess } from 'node:child_process'
import type { ReleaseId } from '../../proxy/release-key.ts'
import { groupRuns, signalGroup, strayProcesses } from '../../proxy/master/process-group.ts'
import { Guard } from './guard.ts'

const pollMs = 10
/** After SIGKILL what still shows waits for a parent that does not reap it. */
const unreapedMs = 1_000

/** Every process group that was started here and may still run: what the end of this process must not leave behind. */
const groups = new Set<Group>()
/** The same for an end that this process does not live to see. */
const guard = new Guard()

/** From now on no group, those that run already included, outlives this process, however that ends. */
export function guardGroups(): void {
  guard.start()
  for (const { pid } of groups) guard.add(pid)
}

/** SIGKILL to all; for the last moment of this process, synchronous. */
export function killAllGroups(): void {
  for (const group of groups) group.kill()
}

/** A child that leads a process group, and whatever it has started. */
export class Group {
  readonly pid: number
  /** Resolves when no member runs any more. */
  readonly gone: Promise<void>
  readonly #mark: { readonly release: ReleaseId; readonly port: number } | null
  #over = false
  #killedAt: number | null = null
  #timer: NodeJS.Timeout | null = null

  /** `mark`: by which its processes are known that have left the group. A child that could not be started is gone already. */
  constructor(child: ChildProcess, mark: { readonly release: ReleaseId; readonly port: number } | null) {
    const { pid } = child
    this.pid = pid ?? 0
    this.#mark = mark
    if (pid === undefined) {
      this.#over = true
      this.gone = Promise.resolve()
      return
    }
    groups.add(this)
    guard.add(pid)
    this.gone = new Promise((resolve) => {
      child.once('exit', () => {
        // The leader is gone: what is left of its group is of no use.
        if (this.#timer === null && groupRuns(pid)) this.kill()
        const look = (): void => {
          const unreaped = this.#killedAt !== null && performance.now() - this.#killedAt > unreapedMs
          if (groupRuns(pid) && !unreaped) {
            setTimeout(look, pollMs)
            return
          }
          this.#over = true
          if (this.#timer !== null) clearTimeout(this.#timer)
          groups.delete(this)
          guard.remove(pid)
          resolve()
        }
        look()
      })
    })
  }

  /** SIGTERM, and SIGKILL when that has not ended it in `graceMs`. */
  end(graceMs: number): void {
    if (this.#over || this.#timer !== null) return
    for (const pid of this.#strays()) signalOne(pid, 'SIGTERM')
    signalGroup(this.pid, 'SIGTERM')
    // A stopped process acts on SIGTERM only once it goes on.
    signalGroup(this.pid, 'SIGCONT')
    this.#timer = setTimeout(() => this.kill(), graceMs)
  }

  kill(): void {
    if (this.#over) return
    this.#killedAt ??= performance.now()
    for (const pid of this.#strays()) signalOne(pid, 'SIGKILL')
    signalGroup(this.pid, 'SIGKILL')
  }

  #strays(): readonly number[] {
    return this.#mark === null ? [] : strayProcesses(this.#mark.release, this.#mark.port).filter((pid) => pid !== this.pid)
  }
}

function signalOne(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended meanwhile.
  }
}
