import { describe, expect, it } from 'vitest'
import { stallFirstWorker, swapsUnderLoad, type Result } from '../bench/swaps-under-load.ts'

// A shortened form of `npm run prove`, which does 20 and 20 with the shipped drain. Named here: a shorter bake, and
// shorter graces for WebSockets, which otherwise decide how long each swap takes to be confirmed.
const config = { bake: '200ms', drain: { upgraded: '500ms', spread: '200ms' } }

function expectNothingLost(result: Result, swaps: number): void {
  expect(result.report.failures).toEqual([])
  expect(result.report.failed).toBe(0)
  expect(result.report.refused).toBe(0)
  expect(result.stale).toEqual([])
  expect(result.report.releasesSeen).toHaveLength(swaps + 1)
  expect(result.receipts).toHaveLength(swaps)
  expect(result.receipts.map(({ outcome, lost, cut, violations }) => ({ outcome, lost, cut, violations }))).toEqual(Array(swaps).fill({ outcome: 'confirmed', lost: 0, cut: 0, violations: 0 }))
  expect({ lost: result.lost, violations: result.violations }).toEqual({ lost: 0, violations: 0 })
}

describe('swaps under the strict load', () => {
  it('lose nothing and are atomic with one worker', async () => {
    const result = await swapsUnderLoad({ workers: 1, drops: 4, swaps: 4, connections: 210, rate: 400, config })
    expectNothingLost(result, 8)
  }, 90_000)

  it('lose nothing and are atomic with four workers, one of which stalls for 50 ms at every flip', async () => {
    const result = await swapsUnderLoad({ workers: 4, drops: 3, swaps: 3, connections: 210, rate: 400, config, env: stallFirstWorker })
    expectNothingLost(result, 6)
    expect(Math.min(...result.workerCpuMs)).toBeGreaterThan(50)
    // The stall was really there: requests were parked for as long.
    expect(Math.max(...result.receipts.map((receipt) => receipt.longestParkMs))).toBeGreaterThan(45)
  }, 90_000)
})
