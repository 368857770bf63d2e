import { canaryDefaults, type CanaryOptions } from '../canary/canary.ts'
import { errorsMetric, latencyMetric, type Metric } from '../canary/metrics.ts'
import type { Step } from '../canary/step-text.ts'
import { stepAt, type CanaryConfig } from '../config/canary.ts'
import type { CanaryWish } from '../swap/state.ts'

/** Where neither the config nor the command names a share: 5%. */
const firstShare = 0.05

/** How a canary is judged, by the config and by what the command wishes. `slowMs` null: latency cannot be. */
export function optionsOf(config: CanaryConfig, wish: CanaryWish | undefined, slowMs: number | null): CanaryOptions {
  const { alpha, tolerance, withinRatio, withinShare, onInconclusive, perAddress, weights = { errors: 1, latency: 1 } } = config
  const metrics: Metric[] = config.metrics.includes('errors') ? [{ ...errorsMetric, weight: weights.errors }] : []
  if (slowMs !== null) metrics.push({ ...latencyMetric, weight: weights.latency, warmUpMs: config.latency.warmUpMs })
  // With latency alone asked for and no limit for it, errors are better than nothing.
  if (metrics.length === 0) metrics.push(errorsMetric)
  return { ...canaryDefaults, alpha, tolerance, withinRatio, withinShare, metrics, onInconclusive, steps: stepsOf(config, wish), limits: { ...canaryDefaults.limits, perAddress } }
}

/** A command that names a percentage begins with that, and goes on with those of the config's steps that are above it. */
function stepsOf(config: CanaryConfig, wish: CanaryWish | undefined): readonly Step[] {
  if (typeof wish === 'number' && wish > 0) {
    const same = config.steps.find((step) => step.share === wish)
    return [same ?? stepAt(wish, config), ...config.steps.filter((step) => step.share > wish)]
  }
  return config.steps.length > 0 ? config.steps : [stepAt(firstShare, config)]
}
