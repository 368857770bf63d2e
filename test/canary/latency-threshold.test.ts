import { expect, it } from 'vitest'
import { latencyThreshold } from '../../agent/canary/latency-threshold.ts'

it('the latency threshold is the edge below which 95% of the replies of stable lie', () => {
  const buckets = [{ upToMs: 10, count: 900 }, { upToMs: 20, count: 49 }, { upToMs: 40, count: 1 }, { upToMs: 80, count: 50 }]
  expect(latencyThreshold(buckets)).toBe(40)
  expect(latencyThreshold(buckets, 0.9)).toBe(10)
})

it('there is no latency threshold with too few replies, or beyond the histogram', () => {
  expect(latencyThreshold([])).toBeNull()
  expect(latencyThreshold([{ upToMs: 10, count: 199 }])).toBeNull()
  expect(latencyThreshold([{ upToMs: 10, count: 900 }, { upToMs: Infinity, count: 100 }])).toBeNull()
})
