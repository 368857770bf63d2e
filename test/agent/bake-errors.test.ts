import { expect, it } from 'vitest'
import { bakeLimit, crossesLimit, since } from '../../agent/service/bake-errors.ts'

const many = { requests: 10_000, errors: 10 }

it('crosses the limit by number, share and factor together, and not by two of them', () => {
  expect(crossesLimit({ requests: 100, errors: 20 }, many)).toBe(true)
  expect(crossesLimit({ requests: 20, errors: bakeLimit.errors - 1 }, many)).toBe(false)
  expect(crossesLimit({ requests: 1_000, errors: 20 }, many)).toBe(false)
  expect(crossesLimit({ requests: 100, errors: 20 }, { requests: 100, errors: 10 })).toBe(false)
  expect(crossesLimit({ requests: 0, errors: 0 }, many)).toBe(false)
})

it('counts from the flip: what a canary answered before is left out', () => {
  const asCanary = { requests: 500, errors: 60 }
  expect(crossesLimit({ requests: 600, errors: 60 }, many)).toBe(true)
  expect(crossesLimit(since(asCanary, { requests: 600, errors: 60 }), many)).toBe(false)
  expect(since(asCanary, { requests: 3, errors: 1 })).toEqual({ requests: 3, errors: 1 })
})
