import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { alternatives, excludedRatio, logEvidence } from '../../agent/canary/e-process.ts'
import type { Tally } from '../../agent/canary/tallies.ts'
import { binomialLog } from '../support/binomial.ts'

const share = fc.double({ min: 0.0001, max: 0.9999, noNaN: true })
const tallies = fc.array(fc.record({ share, canary: fc.nat(50), stable: fc.nat(200) }), { maxLength: 4 })

/** The definition in the plainest words there are: multiply and average. */
function plain(all: readonly Tally[], tolerance: number): number {
  const products = alternatives.map((factor) => all.reduce((product, { share: p, canary, stable }) => {
    const p0 = (p * tolerance) / (p * tolerance + 1 - p)
    const q = (p * tolerance * factor) / (p * tolerance * factor + 1 - p)
    return product * (q / p0) ** canary * ((1 - q) / (1 - p0)) ** stable
  }, 1))
  return products.reduce((sum, one) => sum + one, 0) / products.length
}

describe('the evidence', () => {
  it('is the average of the likelihood ratios', () => {
    fc.assert(fc.property(share, fc.nat(8), fc.nat(8), fc.double({ min: 1, max: 5, noNaN: true }), (p, canary, stable, tolerance) => {
      const one = [{ share: p, canary, stable }]
      expect(logEvidence(one, tolerance)).toBeCloseTo(Math.log(plain(one, tolerance)), 6)
    }))
  })

  it('is worth 1 on average after any number of units, at any share and tolerance: it is fair', () => {
    fc.assert(fc.property(share, fc.integer({ min: 1, max: 30 }), fc.double({ min: 1, max: 5, noNaN: true }), (p, units, tolerance) => {
      const p0 = (p * tolerance) / (p * tolerance + 1 - p)
      let mean = 0
      for (let canary = 0; canary <= units; canary += 1) {
        mean += Math.exp(binomialLog(units, canary, p0) + logEvidence([{ share: p, canary, stable: units - canary }], tolerance))
      }
      expect(mean).toBeCloseTo(1, 6)
    }))
  })

  it('does not care for the order in which units were counted, only for how many at which share', () => {
    fc.assert(fc.property(tallies, (all) => {
      expect(logEvidence([...all].reverse(), 1)).toBeCloseTo(logEvidence(all, 1), 6)
    }))
  })

  it('of nothing is 1: no traffic is neither failure nor success', () => {
    expect(logEvidence([], 1)).toBeCloseTo(0, 12)
    expect(excludedRatio([], 0.05)).toBe(Infinity)
  })

  it('stays a number after a million units', () => {
    expect(Number.isFinite(logEvidence([{ share: 0.0001, canary: 1_000_000, stable: 0 }], 1))).toBe(true)
    expect(Number.isFinite(logEvidence([{ share: 0.5, canary: 0, stable: 1_000_000 }], 1))).toBe(true)
  })

  it('rises with every unit of the canary and falls with every one of stable', () => {
    fc.assert(fc.property(share, fc.nat(30), fc.nat(30), (p, canary, stable) => {
      const now = logEvidence([{ share: p, canary, stable }], 1)
      expect(logEvidence([{ share: p, canary: canary + 1, stable }], 1)).toBeGreaterThan(now)
      expect(logEvidence([{ share: p, canary, stable: stable + 1 }], 1)).toBeLessThan(now)
    }))
  })
})

describe('the bound', () => {
  it('is the smallest ratio that is excluded: all above it are, too', () => {
    fc.assert(fc.property(tallies, fc.double({ min: 0.001, max: 0.2, noNaN: true }), (all, error) => {
      const ratio = excludedRatio(all, error)
      if (ratio === Infinity) return
      // A smaller chance of error excludes less.
      expect(excludedRatio(all, error / 10)).toBeGreaterThanOrEqual(ratio)
    }))
  })

  it('comes close to the true ratio with many units, from above', () => {
    const even = excludedRatio([{ share: 0.1, canary: 1_000, stable: 9_000 }], 0.05)
    expect(even).toBeGreaterThan(1)
    expect(even).toBeLessThan(1.25)
    const threefold = excludedRatio([{ share: 0.1, canary: 2_500, stable: 7_500 }], 0.05)
    expect(threefold).toBeGreaterThan(3)
    expect(threefold).toBeLessThan(3.4)
  })

  it('excludes nothing as long as nobody on stable was affected', () => {
    expect(excludedRatio([{ share: 0.05, canary: 0, stable: 0 }, { share: 0.25, canary: 3, stable: 0 }], 0.05)).toBe(Infinity)
  })
})
