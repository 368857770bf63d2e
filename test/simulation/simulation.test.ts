import { describe, expect, it } from 'vitest'
import { addCounts, noCounts, type Counts } from './counts.ts'
import { makePlan } from './plan.ts'
import { scheduleSeed } from './random.ts'
import { runPlan, runSeed } from './run.ts'

interface Run {
  readonly counts: Counts
  /** The first failing seed, and what it broke. */
  readonly failed: string | null
}

function simulate(base: number, schedules: number): Run {
  const counts = noCounts()
  for (let index = 0; index < schedules; index += 1) {
    const seed = scheduleSeed(base, index)
    const result = runPlan(makePlan(seed))
    addCounts(counts, result.counts)
    if (result.violation !== null) return { counts, failed: `seed ${seed}: ${result.violation.message} (npm run simulate -- --replay ${seed})` }
  }
  return { counts, failed: null }
}

describe('the simulated swap', () => {
  it('keeps every promise in 20,000 schedules, and something has happened in them', { timeout: 120_000 }, () => {
    const { counts, failed } = simulate(20_261_120, 20_000)
    process.stdout.write(`${JSON.stringify(counts)}\n`)
    expect(failed).toBeNull()
    // About half of what such a run counts: a simulation in which nothing happens proves nothing.
    expect(counts.schedules).toBe(20_000)
    const least: Partial<Counts> = {
      requests: 400_000, complete: 400_000, parked: 100_000, held: 50_000, fallbackPicks: 4_000, cut: 10_000, flips: 25_000, confirmed: 12_000,
      failed: 2_500, flippedBack: 2_500, rolledBack: 800, superseded: 3_500, aborted: 2_500, undonePrepares: 1_000, replaced: 60, restarted: 3_000,
      recoveries: 15_000, takeovers: 3_000, reboots: 800, staleMessages: 150, faults: 14_000, lostWithWorker: 2_500, lostWithBackend: 4_500,
      canaries: 4_500, canaryPicks: 35_000, canaryReplies: 32_000, canaryFlips: 1_500,
      hooks: 9_000, hooksEnded: 350, emptied: 3_500, returned: 800,
    }
    for (const [name, count] of Object.entries(least) as [keyof Counts, number][]) expect(counts[name], name).toBeGreaterThan(count)
  })

  it('keeps every promise in schedules that nobody has seen before', { timeout: 60_000 }, () => {
    const base = Math.floor(Math.random() * 2 ** 31)
    process.stdout.write(`random base seed ${base}\n`)
    expect(simulate(base, 500).failed).toBeNull()
  })

  it('gives the same schedule for the same seed, to the last step', () => {
    const first: string[] = []
    const second: string[] = []
    runSeed(4_711, undefined, first)
    runSeed(4_711, undefined, second)
    expect(first.length).toBeGreaterThan(50)
    expect(second).toEqual(first)
  })
})
