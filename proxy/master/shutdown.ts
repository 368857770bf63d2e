import type { Log } from '../log.ts'
import type { DrainDeadlines } from '../messages.ts'
import type { ReleaseId } from '../table.ts'
import type { AgentProcess } from './agent-process.ts'
import type { Backends } from './backends.ts'
import type { Hooks } from './hooks.ts'
import type { Orphans } from './orphans.ts'
import type { Workers } from './workers.ts'

export interface ShutdownParts {
  readonly log: Log
  readonly workers: Workers
  readonly agent: AgentProcess
  readonly backends: Backends
  readonly hooks: Hooks
  readonly orphans: Orphans
  /** Closes the master's copy of the listening socket. */
  readonly closePort: () => void
  readonly exit: (code: number) => void
}

interface Deadlines {
  readonly deadlines: DrainDeadlines
  readonly stopMs: number
}

/** Used where the agent cannot say: it is gone at the moment of the shutdown. */
const defaults: Deadlines = Object.freeze({
  deadlines: Object.freeze({ timeoutMs: 30_000, streamsMs: 30_000, upgradedMs: 30_000, spreadMs: 5_000 }),
  stopMs: 10_000,
})
/** How long the agent may take to undo what is before its flip. */
const quiesceMs = 3_000
/** How long the agent may take to end once it is told to: nothing is left for it to do. */
const agentEndMs = 1_000
/** How long after SIGKILL a process is waited for. */
const afterKillMs = 3_000

/** The end of a gracer: undo what is before its flip, stop accepting, drain, stop the backends. */
export class Shutdown {
  readonly #parts: ShutdownParts
  #deadlines: Deadlines | null = null
  #quiesced: (() => void) | null = null

  constructor(parts: ShutdownParts) {
    this.#parts = parts
  }

  get begun(): boolean {
    return this.#deadlines !== null
  }

  /** Resolves once all has ended and `exit` was called with 0. A second call ends everything at once, with 130. */
  async begin(): Promise<void> {
    const { log, workers, agent, hooks, closePort, exit } = this.#parts
    if (this.#deadlines !== null) {
      this.killAll()
      return exit(130)
    }
    this.#deadlines = defaults
    log.info('gracer.stopping')
    await this.#quiesceAgent()
    // From here on the kernel refuses: nobody holds the listening socket once the workers have closed theirs.
    closePort()
    hooks.endAll()
    const { deadlines, stopMs } = this.#deadlines
    await workers.leave({ type: 'leave', deadlines, idle: 'soon' })
    agent.close()
    await this.#stopBackends(stopMs)
    await agent.end(agentEndMs)
    log.info('gracer.stopped')
    exit(0)
  }

  /** The agent has undone what could be undone, and says what its config allows for the rest. */
  agentQuiesced(said: Deadlines): void {
    if (this.#deadlines !== null) this.#deadlines = { deadlines: said.deadlines, stopMs: said.stopMs }
    this.#quiesced?.()
  }

  /** There is nobody left to wait for. */
  agentGone(): void {
    this.#quiesced?.()
  }

  killAll(): void {
    const { log, workers, agent, orphans, hooks, backends } = this.#parts
    log.warn('gracer.killed')
    workers.killAll()
    agent.kill()
    orphans.killAll()
    hooks.killAll()
    for (const { release } of backends.list()) backends.signal(release, 'SIGKILL')
  }

  async #quiesceAgent(): Promise<void> {
    const { agent } = this.#parts
    if (agent.pid === null) return
    const answered = new Promise<void>((resolve) => {
      this.#quiesced = resolve
    })
    agent.send({ type: 'quiesce' })
    await Promise.race([answered, new Promise((resolve) => setTimeout(resolve, quiesceMs))])
  }

  async #stopBackends(stopMs: number): Promise<void> {
    const { backends, hooks } = this.#parts
    const running = (): ReleaseId[] => backends.list().map((backend) => backend.release)
    for (const release of running()) backends.signal(release, 'SIGTERM')
    const killAt = performance.now() + stopMs
    let killed = false
    while (running().length > 0 || hooks.busy) {
      if (!killed && performance.now() > killAt) {
        killed = true
        for (const release of running()) backends.signal(release, 'SIGKILL')
        hooks.killAll()
      }
      if (performance.now() > killAt + afterKillMs) break
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
}
