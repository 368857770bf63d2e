import type { Log } from '../log.ts'
import { lives, type ProcessEntry, type ProcessFile } from './process-file.ts'

const pollMs = 50

/** What a master that died left running. The workers serve on with the table they have. */
export class Orphans {
  readonly #log: Log
  #workers: ProcessEntry[]

  constructor(left: ProcessFile | null, log: Log) {
    this.#log = log
    this.#workers = (left?.workers ?? []).filter(lives)
  }

  get workerPids(): number[] {
    return this.#workers.map((worker) => worker.pid)
  }

  /** They close the public socket at once, finish what they have, and leave. `left` is told whenever one has. */
  takeOver(left: (remaining: number) => void): void {
    for (const worker of this.#workers) {
      this.#log.info('takeover.worker', { workerPid: worker.pid })
      process.kill(worker.pid, 'SIGTERM')
    }
    const timer = setInterval(() => {
      const before = this.#workers.length
      this.#workers = this.#workers.filter(lives)
      if (this.#workers.length !== before) left(this.#workers.length)
      if (this.#workers.length === 0) clearInterval(timer)
    }, pollMs)
  }

  killAll(): void {
    for (const worker of this.#workers) if (lives(worker)) process.kill(worker.pid, 'SIGKILL')
  }
}

/** Ends the last agent, which may be stopped and wake up later, and waits until it is gone; at most 2 s. */
export async function endOldAgent(left: ProcessFile | null): Promise<void> {
  const agent = left?.agent ?? null
  if (agent === null || !lives(agent)) return
  process.kill(agent.pid, 'SIGKILL')
  for (const deadline = Date.now() + 2_000; lives(agent) && Date.now() < deadline; ) {
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
