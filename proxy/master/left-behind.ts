import { signalGroup } from './process-group.ts'
import { lives, readProcessFile, type BackendEntry, type ProcessEntry } from './process-file.ts'

const pollMs = 50

/** What goes on running after its master was killed. */
export interface LeftBehind {
  readonly masterPid: number
  readonly workers: readonly ProcessEntry[]
  readonly backends: readonly BackendEntry[]
}

/** What a dead master of this process file left running; null: the master lives, or nothing else does. */
export function leftBehind(processFile: string): LeftBehind | null {
  const file = readProcessFile(processFile)
  if (file === null || lives(file.master)) return null
  const workers = file.workers.filter(lives)
  const backends = file.backends.filter(lives)
  return workers.length + backends.length === 0 ? null : { masterPid: file.master.pid, workers, backends }
}

/**
 * Ends it in order: the workers stop accepting and finish what they have, then the backends get SIGTERM, and SIGKILL
 * after `stopMs` milliseconds.
 */
export async function endLeftBehind(left: LeftBehind, stopMs: number): Promise<void> {
  for (const worker of left.workers) if (lives(worker)) process.kill(worker.pid, 'SIGTERM')
  // Workers without a master end by themselves: their own deadlines bound this.
  await gone(left.workers, Infinity)
  for (const backend of left.backends) if (lives(backend)) signalGroup(backend.pid, 'SIGTERM')
  await gone(left.backends, stopMs)
  for (const backend of left.backends) if (lives(backend)) signalGroup(backend.pid, 'SIGKILL')
  await gone(left.backends, stopMs)
}

async function gone(entries: readonly ProcessEntry[], patienceMs: number): Promise<void> {
  for (const deadline = performance.now() + patienceMs; entries.some(lives) && performance.now() < deadline; ) {
    await new Promise((resolve) => setTimeout(resolve, pollMs))
  }
}
