import type { MetricName } from '../../proxy/canary/unit-event.ts'
import { excludedShare } from './affected-share.ts'
import { excludedRatio, logEvidence } from './e-process.ts'
import type { Evidence, LeftOut } from './evidence.ts'
import type { Metric } from './metrics.ts'
import type { PhaseFigures } from './phase-count.ts'
import { totals } from './tallies.ts'

export interface VerdictSettings {
  readonly metrics: readonly Metric[]
  /** The chance that a healthy canary is ever aborted, over all metrics. */
  readonly alpha: number
  /** So many times as many units affected are fine; 1: none more. */
  readonly tolerance: number
  /** A step is passed once so many times as many affected can be excluded … */
  readonly withinRatio: number
  /** … or once so large a share of the canary's units affected can be; 0: never by this. */
  readonly withinShare: number
  /** The chance of error of those two. */
  readonly boundError: number
}

export const verdictDefaults = Object.freeze({ alpha: 0.01, tolerance: 1, withinRatio: 3, withinShare: 0.01, boundError: 0.05 })

export interface MetricNumbers {
  readonly metric: MetricName
  /** log10 of the evidence that the canary is worse, and of the limit at which it is aborted. */
  readonly evidence: number
  readonly limit: number
  /** Units counted as evidence on each arm, over all phases. */
  readonly counted: { readonly canary: number; readonly stable: number }
  /** So many times as many units affected, and more, can be excluded so far; null: nothing can. */
  readonly excludedRatio: number | null
  /** This share of the canary's units affected in this phase, and more, can be excluded so far. */
  readonly excludedShare: number
  readonly affected: { readonly canary: number; readonly stable: number }
  /** Not compared at this share: it is in nobody's way, and its numbers are those of the steps before. */
  readonly frozen: boolean
  readonly within: boolean
}

export interface VerdictNumbers {
  readonly metrics: readonly MetricNumbers[]
  readonly phase: PhaseFigures
  /** Units of both arms times the share: how many the canary is to be expected to have. */
  readonly expectedUnits: number
  readonly full: boolean
  readonly leftOut: LeftOut
}

export type Verdict =
  /** A metric's evidence has reached its limit: the canary is worse. */
  | { readonly kind: 'abort'; readonly metric: MetricName; readonly numbers: VerdictNumbers }
  /** Nothing speaks against it, and as much as asked for can be excluded. */
  | { readonly kind: 'within'; readonly numbers: VerdictNumbers }
  | { readonly kind: 'open'; readonly numbers: VerdictNumbers }

/** May be asked at any time and as often as one likes. */
export function verdict(evidence: Evidence, settings: VerdictSettings): Verdict {
  const phase = evidence.figures
  const weights = settings.metrics.reduce((sum, { weight }) => sum + weight, 0)
  const metrics = settings.metrics.map((metric): MetricNumbers => {
    const tallies = evidence.tallies(metric.name)
    const affected = phase.affected.find((one) => one.metric === metric.name) ?? { canary: 0, stable: 0 }
    const ratio = excludedRatio(tallies, settings.boundError)
    const frozen = phase.share > metric.frozenAbove
    const share = excludedShare(phase.units.canary + phase.units.stable, phase.share, affected.canary, settings.boundError)
    return {
      metric: metric.name,
      evidence: logEvidence(tallies, settings.tolerance) / Math.LN10,
      limit: abortLimit(metric, weights, settings.alpha),
      counted: totals(tallies),
      excludedRatio: ratio === Infinity ? null : ratio,
      excludedShare: share,
      affected: { canary: affected.canary, stable: affected.stable },
      frozen,
      within: frozen || ratio <= settings.withinRatio || share <= settings.withinShare,
    }
  })
  const numbers = { metrics, phase, expectedUnits: (phase.units.canary + phase.units.stable) * phase.share, full: evidence.full, leftOut: evidence.leftOut }
  const worst = metrics.reduce<MetricNumbers | undefined>((most, one) => (most === undefined || one.evidence - one.limit > most.evidence - most.limit ? one : most), undefined)
  if (worst !== undefined && worst.evidence >= worst.limit) return { kind: 'abort', metric: worst.metric, numbers }
  return { kind: metrics.every(({ within }) => within) ? 'within' : 'open', numbers }
}

/** The quick question after each batch: has any metric reached its limit? */
export function isWorse(evidence: Evidence, settings: VerdictSettings): boolean {
  const weights = settings.metrics.reduce((sum, { weight }) => sum + weight, 0)
  return settings.metrics.some((metric) => logEvidence(evidence.tallies(metric.name), settings.tolerance) / Math.LN10 >= abortLimit(metric, weights, settings.alpha))
}

/** log10 of (all weights / its weight) / alpha: with k metrics of equal weight, k/alpha. */
function abortLimit(metric: Metric, weights: number, alpha: number): number {
  return Math.log10(weights / metric.weight / alpha)
}
