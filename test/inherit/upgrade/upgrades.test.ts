import { expect, test } from 'vitest'

import { inPlaceUpgrades } from '../../bench/in-place-upgrades.ts'

// The short form of `npm run prove -- upgrades`, which does fifty.
test('four upgrades in a row under the strict load: nothing failed, two generations at most, no descriptor and no process gained', async () => {
  const result = await inPlaceUpgrades({ upgrades: 4, connections: 60, rate: 250 })
  const { report } = result
  expect({ failed: report.failed, failures: report.failures, cut: result.cut }).toEqual({ failed: 0, failures: [], cut: 0 })
  expect(report.requests).toBeGreaterThan(500)
  expect(report.releasesSeen).toEqual(['r2', 'r3', 'r4', 'r5'])
  expect(result.generations).toBe(5)
  expect(result.mostAtOnce).toBe(2)
  expect(result.descriptors[1]).toBeLessThanOrEqual(result.descriptors[0])
  expect(result.processes).toEqual([1, 1])
}, 120_000)
