import type { CanaryKey, Sticky } from '../../proxy/canary/route.ts'
import type { OnInconclusive } from '../canary/steps.ts'
import { stepDefaults, type Step } from '../canary/step-text.ts'
import { canaryDefaults } from '../canary/canary.ts'
import { latencyMetric } from '../canary/metrics.ts'
import type { ShadowPlan } from '../canary/shadow-text.ts'

/** How a release is tried on a share of the visitors before everybody gets it; docs/canary.md. */
export interface CanaryConfig {
  /** Without any, only a command (`gracer swap --canary 5`) begins a canary. */
  readonly steps: readonly Step[]
  readonly sticky: Sticky
  /** Where the operator's own key of a visitor stands; null: there is none. */
  readonly key: CanaryKey | null
  readonly metrics: readonly CanaryMetric[]
  /** Each metric's part of alpha, relative to the other; absent in what an older version kept: equal ones. */
  readonly weights?: Readonly<Record<CanaryMetric, number>>
  /** The chance that a healthy canary is ever taken back. */
  readonly alpha: number
  /** So many times as many visitors affected are fine. */
  readonly tolerance: number
  /** A step is passed once so many times as many affected can be excluded, or so large a share of the canary's visitors. */
  readonly withinRatio: number
  readonly withinShare: number
  readonly latency: { readonly limitMs: number | null; readonly warmUpMs: number }
  readonly minUnits: number
  /** The longest time of a step that does not say; null: `stepDefaults`. */
  readonly maxTimeMs?: number | null
  readonly onInconclusive: OnInconclusive
  /** Networks from which an override needs no signature. */
  readonly override: { readonly allow: readonly string[] }
  /** Visitors of one client address that count as evidence. */
  readonly perAddress: number
  /** What is copied to it before it gets any visitor; null: nothing. */
  readonly shadow: ShadowPlan | null
}

export const canaryMetrics = ['errors', 'latency'] as const
export type CanaryMetric = (typeof canaryMetrics)[number]

/** What `gracer swap --canary` goes by where the config says nothing. */
export const canaryConfigDefault: CanaryConfig = Object.freeze({
  steps: [],
  sticky: 'cookie',
  key: null,
  metrics: canaryMetrics,
  weights: Object.freeze({ errors: 1, latency: 1 }),
  alpha: canaryDefaults.alpha,
  tolerance: canaryDefaults.tolerance,
  withinRatio: canaryDefaults.withinRatio,
  withinShare: canaryDefaults.withinShare,
  latency: Object.freeze({ limitMs: null, warmUpMs: latencyMetric.warmUpMs }),
  minUnits: stepDefaults.minUnits,
  maxTimeMs: null,
  onInconclusive: canaryDefaults.onInconclusive,
  override: Object.freeze({ allow: [] }),
  perAddress: canaryDefaults.limits.perAddress,
  shadow: null,
})

const fiveMinutes = 5 * 60_000

/** The step that a command asks for, where the config has none like it. */
export function stepAt(share: number, config: CanaryConfig): Step {
  const { minUnits, maxTimeMs } = config
  return { share, minMs: fiveMinutes, maxMs: Math.max(fiveMinutes, maxTimeMs ?? fiveMinutes * stepDefaults.maxFactor), minUnits }
}
