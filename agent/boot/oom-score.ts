import { readFileSync, writeFileSync } from 'node:fs'

/** So much more likely than the rest to be taken when memory runs out: half of all memory in the kernel's reckoning. */
const more = 500

/** proc_pid_oom_score_adj(5) of this process, which everything that the master starts begins with; null where there is none. */
export function ownOomScore(): number | null {
  try {
    return Number(readFileSync('/proc/self/oom_score_adj', 'utf8'))
  } catch {
    return null
  }
}

/** While a release is on trial, the kernel should rather take it than the old one. What it starts later inherits the score. */
export function raiseOomScore(pids: readonly number[]): string | null {
  const own = ownOomScore()
  return own === null ? null : write(pids, raised(own), () => true)
}

/** Confirmed: it counts as the old one did. What has a score of its own choosing by now keeps it. */
export function restoreOomScore(pids: readonly number[]): string | null {
  const own = ownOomScore()
  return own === null ? null : write(pids, own, (score) => score === raised(own))
}

function raised(own: number): number {
  return Math.min(1_000, own + more)
}

/** Why one of them could not be written; null: all were, or have ended meanwhile. */
function write(pids: readonly number[], score: number, which: (now: number) => boolean): string | null {
  let failed: string | null = null
  for (const pid of pids) {
    try {
      const file = `/proc/${pid}/oom_score_adj`
      if (which(Number(readFileSync(file, 'utf8')))) writeFileSync(file, String(score))
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code !== 'ENOENT' && code !== 'ESRCH') failed = `the oom_score_adj of pid ${pid} could not be set to ${score} (${code ?? 'unknown error'})`
    }
  }
  return failed
}
