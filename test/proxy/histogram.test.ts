import fc from 'fast-check'
import { expect, it } from 'vitest'
import { addHistogram, countOf, countUpTo, edgesUs, emptyHistogram, observe, quantileUs } from '../../proxy/histogram.ts'

const latencies = fc.array(fc.double({ min: 0, max: 9e7, noNaN: true }), { minLength: 1, maxLength: 200 })

function of(values: readonly number[]) {
  const histogram = emptyHistogram()
  for (const us of values) observe(histogram, us)
  return histogram
}

it('has edges that rise by at most 28%, with 1, 2.5 and 5 of every decade among them', () => {
  for (const [index, edge] of edgesUs.entries()) {
    if (index === 0) continue
    const before = edgesUs[index - 1] as number
    expect(edge).toBeGreaterThan(before)
    expect(edge / before).toBeLessThan(1.281)
  }
  for (const decade of [100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000]) for (const step of [1, 2.5, 5]) expect(edgesUs).toContain(decade * step)
})

it('counts what is exactly an edge in the bucket that ends with it', () => {
  for (const edge of edgesUs) {
    const histogram = of([edge, edge + 0.5])
    expect([edge, countUpTo(histogram, edge)]).toEqual([edge, 1])
  }
})

it('reads every quantile within one bucket of the true one, whatever was counted', () => {
  fc.assert(fc.property(latencies, fc.double({ min: 0.01, max: 0.999, noNaN: true }), (values, q) => {
    const sorted = [...values].sort((a, b) => a - b)
    const exact = sorted[Math.ceil(q * sorted.length) - 1] as number
    const upper = edgesUs.find((edge) => edge >= exact) as number
    const lower = edgesUs[edgesUs.indexOf(upper) - 1] ?? 0
    const read = quantileUs(of(values), q) as number
    expect(read).toBeGreaterThanOrEqual(lower)
    expect(read).toBeLessThanOrEqual(upper + 1e-6)
  }))
})

it('adds up to what one histogram of all would have been', () => {
  fc.assert(fc.property(latencies, latencies, (some, others) => {
    const sum = of(some)
    addHistogram(sum, of(others))
    const all = of([...some, ...others])
    expect(sum.counts).toEqual(all.counts)
    expect(countOf(sum)).toBe(some.length + others.length)
    expect(sum.sumUs).toBeCloseTo(all.sumUs, 0)
  }))
})

it('has no quantile of nothing, and tells what is beyond its last edge as that edge', () => {
  expect(quantileUs(emptyHistogram(), 0.5)).toBeNull()
  expect(quantileUs(of([2e8]), 0.5)).toBe(1e8)
})
