import { expect, it } from 'vitest'
import { Canary } from '../../agent/canary/canary.ts'
import { canaryConfigDefault, type CanaryConfig } from '../../agent/config/canary.ts'
import { optionsOf } from '../../agent/service/canary-options.ts'

/** The evidence at which each metric takes the canary back. */
function limits(config: Partial<CanaryConfig>, slowMs: number | null = 50): Record<string, number> {
  const { canary } = Canary.begin(optionsOf({ ...canaryConfigDefault, ...config }, 0.05, slowMs), 0)
  return Object.fromEntries(canary.verdict().numbers.metrics.map(({ metric, limit }) => [metric, Math.round(10 ** limit)]))
}

it('gives each metric its part of alpha by the weights of the config, and all of it to one that is alone', () => {
  expect(limits({})).toEqual({ errors: 200, latency: 200 })
  expect(limits({ weights: { errors: 4, latency: 1 } })).toEqual({ errors: 125, latency: 500 })
  expect(limits({ weights: { errors: 4, latency: 1 } }, null)).toEqual({ errors: 100 })
})

it('begins with the share of the command, and goes on with the steps of the config above it', () => {
  const steps = [{ share: 0.01, minMs: 1, maxMs: 2, minUnits: 3 }, { share: 0.5, minMs: 4, maxMs: 5, minUnits: 6 }]
  expect(optionsOf({ ...canaryConfigDefault, steps }, 0.05, null).steps.map(({ share }) => share)).toEqual([0.05, 0.5])
  expect(optionsOf({ ...canaryConfigDefault, steps }, 0.5, null).steps).toEqual([steps[1]])
  expect(optionsOf(canaryConfigDefault, undefined, null).steps.map(({ share }) => share)).toEqual([0.05])
})
