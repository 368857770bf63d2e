import { expect, it } from 'vitest'
import { soak } from '../bench/soak-run.ts'

// A shortened form of `npm run soak`, which does a thousand.
it('sixteen swaps by drop and by command leave descriptors, processes, memory and disk as they were', async () => {
  const result = await soak(16, () => {})
  expect(result.requests).toBeGreaterThan(100)
  expect({ problems: result.problems, failed: result.failed, lost: result.lost, violations: result.violations }).toEqual({ problems: [], failed: 0, lost: 0, violations: 0 })
}, 60_000)
