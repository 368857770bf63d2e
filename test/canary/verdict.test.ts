import { describe, expect, it } from 'vitest'
import { Evidence, evidenceLimits } from '../../agent/canary/evidence.ts'
import { excludedShare } from '../../agent/canary/affected-share.ts'
import { errorsMetric, latencyMetric, reportedMetric, type Metric } from '../../agent/canary/metrics.ts'
import { evidenceText, verdictText } from '../../agent/canary/verdict-text.ts'
import { isWorse, verdict, verdictDefaults, type VerdictSettings } from '../../agent/canary/verdict.ts'
import { binomialLog } from '../support/binomial.ts'
import { event } from './support.ts'

function settings(metrics: readonly Metric[]): VerdictSettings {
  return { ...verdictDefaults, metrics }
}

function evidence(metrics: readonly Metric[], share = 0.05): Evidence {
  const one = new Evidence(metrics, evidenceLimits, 0)
  one.beginPhase(1, share)
  return one
}

describe('the verdict', () => {
  it('aborts a metric at its part of alpha: all weights by its weight, by alpha', () => {
    const metrics = [reportedMetric('heavy', 3), reportedMetric('light', 1)]
    const one = evidence(metrics)
    const limits = verdict(one, settings(metrics)).numbers.metrics.map(({ limit }) => 10 ** limit)
    expect(limits[0]).toBeCloseTo(4 / 3 / 0.01, 6)
    expect(limits[1]).toBeCloseTo(4 / 0.01, 6)
    for (let unit = 0; unit < 3; unit += 1) one.add(event(`u${unit}`, 'canary', { bad: ['light'] }))
    expect(isWorse(one, settings(metrics))).toBe(true)
    expect(verdict(one, settings(metrics))).toMatchObject({ kind: 'abort', metric: 'light' })
  })

  it('never aborts by a metric without weight, which is only shown', () => {
    const metrics = [errorsMetric, reportedMetric('shown', 0)]
    const one = evidence(metrics)
    for (let unit = 0; unit < 100; unit += 1) one.add(event(`u${unit}`, 'canary', { bad: ['shown'] }))
    expect(isWorse(one, settings(metrics))).toBe(false)
    expect(verdict(one, settings(metrics)).kind).not.toBe('abort')
  })

  it('tolerates what it is told to: the same evidence aborts without tolerance, not with it', () => {
    const one = evidence([errorsMetric], 0.5)
    for (let unit = 0; unit < 300; unit += 1) one.add(event(`u${unit}`, unit % 3 === 0 ? 'stable' : 'canary', { share: 0.5, bad: ['errors'] }))
    expect(isWorse(one, settings([errorsMetric]))).toBe(true)
    expect(isWorse(one, { ...settings([errorsMetric]), tolerance: 2 })).toBe(false)
  })

  it('does not wait for the bound of a metric that is frozen at this share', () => {
    const metrics = [latencyMetric]
    expect(verdict(evidence(metrics, 0.6), settings(metrics)).kind).toBe('within')
    expect(verdict(evidence(metrics, 0.5), settings(metrics)).kind).toBe('open')
    expect(verdictText(verdict(evidence(metrics, 0.6), settings(metrics)))).toBe('as good as asked for: 0 canary users, latency is not compared at this share')
  })

  it('says which metric is open, and how much evidence there is against its limit', () => {
    const metrics = [errorsMetric, { ...latencyMetric, warmUpMs: 0 }]
    const one = evidence(metrics, 0.25)
    for (let unit = 0; unit < 3_000; unit += 1) one.add(event(`u${unit}`, unit % 4 === 0 ? 'canary' : 'stable', { share: 0.25 }))
    const now = verdict(one, settings(metrics))
    expect(now.numbers.metrics.map(({ within }) => within)).toEqual([true, true])
    expect(verdictText(now)).toMatch(/^as good as asked for: 750 canary users, 0\.\d+% of its users affected and more are excluded; 0\.\d+% of its users affected in latency/)
    expect(now.numbers.metrics.map(evidenceText)).toEqual(['evidence 1 of 200', 'evidence 1 of 200'])
  })
})

describe('the share of users that can be excluded', () => {
  it('falls with the users and rises with those affected', () => {
    expect(excludedShare(0, 0.25, 0, 0.05)).toBe(1)
    expect(excludedShare(1_000, 0, 0, 0.05)).toBe(1)
    const none = excludedShare(4_000, 0.25, 0, 0.05)
    expect(none).toBeGreaterThan(Math.log(20) / 1_000)
    expect(none).toBeLessThan(0.005)
    expect(excludedShare(4_000, 0.25, 5, 0.05)).toBeGreaterThan(none)
    expect(excludedShare(8_000, 0.25, 0, 0.05)).toBeLessThan(none)
  })

  it('is wrong in fewer than one of twenty cases, at any fixed number of users', () => {
    for (const [units, share, rate] of [[2_000, 0.05, 0.05], [4_000, 0.25, 0.02], [500, 0.5, 0.1]] as const) {
      let wrong = 0
      for (let affected = 0; affected <= 200; affected += 1) {
        if (excludedShare(units, share, affected, 0.05) <= rate) wrong += Math.exp(binomialLog(units, affected, share * rate))
      }
      expect(wrong).toBeLessThan(0.05)
      expect(wrong).toBeGreaterThan(0)
    }
  })
})
