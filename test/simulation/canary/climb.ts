import { Canary, canaryDefaults, type CanaryOptions } from '../../../agent/canary/canary.ts'
import { errorsMetric } from '../../../agent/canary/metrics.ts'
import { parseSteps } from '../../../agent/canary/step-text.ts'
import { exactLimits } from '../../support/binomial.ts'
import { armOf } from '../../../proxy/canary/split.ts'
import { Random, scheduleSeed } from '../random.ts'
import { limitError } from './trials.ts'
import type { Harm } from './world.ts'

/** Whole canaries: the shipped reducer raises the share by what the evidence says, and promotes or aborts by itself. */
export interface Climb {
  readonly name: string
  readonly harm: Harm
  readonly options?: Partial<CanaryOptions>
  /** Visits of each user, spread over the whole climb. */
  readonly visits?: number
  /** The visitor comes back so often that the whole crowd is this large. */
  readonly users: number
}

export interface Climbed {
  readonly runs: number
  readonly aborted: number
  readonly promoted: number
  readonly open: number
  /** Exact limits for the chance of an abort and of a promotion. */
  readonly abortLimits: { readonly low: number; readonly high: number }
  readonly promoteLimits: { readonly low: number; readonly high: number }
}

const everyMs = 100

export function climbs({ harm, options, users, visits = 1 }: Climb, runs: number, seed: number): Climbed {
  const counts = { aborted: 0, promoted: 0, open: 0 }
  const given: CanaryOptions = { ...canaryDefaults, metrics: [errorsMetric], steps: parseSteps(['5% 10s 20 users', '25% 10s 20 users', '50% 10s 20 users']), ...options }
  for (let run = 0; run < runs; run += 1) {
    const random = new Random(scheduleSeed(seed, run))
    const { canary } = Canary.begin(given, 0)
    const buckets = Array.from({ length: users }, () => random.next())
    for (let request = 0; request < users * visits && !canary.over; request += 1) {
      const user = visits === 1 ? request : random.int(0, users - 1)
      const { step, phase } = canary.steps
      const arm = armOf(buckets[user] ?? 0, step.share)
      const bad = random.chance(harm[arm]) ? ['errors'] : []
      canary.take([{ unit: String(user), arm, share: step.share, phase, atMs: request * everyMs, bad, good: [] }], request * everyMs)
      if (request % 20 === 19) canary.look(request * everyMs)
    }
    const { kind } = canary.steps.mode
    counts[kind === 'aborted' || kind === 'promoted' ? kind : 'open'] += 1
  }
  return { runs, ...counts, abortLimits: exactLimits(runs, counts.aborted, limitError), promoteLimits: exactLimits(runs, counts.promoted, limitError) }
}

/** What must hold of whole canaries: who may be aborted how often, and who may be promoted how often. */
export function climbScenarios(users: number): readonly (Climb & { readonly most: 'aborts' | 'promotions' })[] {
  const one = parseSteps(['25% 10s 20 users'])
  const ratio = { withinShare: 0, steps: one }
  const share = { withinRatio: 0, steps: one }
  return [
    { name: 'healthy, 5%', harm: { stable: 0.05, canary: 0.05 }, users, most: 'aborts' },
    { name: 'healthy, 20%', harm: { stable: 0.2, canary: 0.2 }, users, most: 'aborts' },
    { name: 'three times as bad, 3 asked for', harm: { stable: 0.03, canary: 0.09 }, users, options: { ...ratio, alpha: 1e-300 }, most: 'promotions' },
    { name: 'three times as bad, regulars', harm: { stable: 0.01, canary: 0.03 }, users: users / 10, visits: 10, options: { ...ratio, alpha: 1e-300 }, most: 'promotions' },
    { name: 'harms 2%, below 2% asked for', harm: { stable: 0, canary: 0.02 }, users, options: { ...share, withinShare: 0.02, alpha: 1e-300 }, most: 'promotions' },
  ]
}
