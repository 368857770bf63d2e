import { describe, expect, it } from 'vitest'
import { climbs, climbScenarios } from './climb.ts'
import { alpha } from './judges.ts'
import { detections, scenarios } from './scenarios.ts'
import { trials } from './trials.ts'

// The short form, seeded; `npm run bench -- canary` is the long one, with ten times the users in each canary and the table.
const seed = 20_261_125
const runs = 2_000
const users = 2_000

describe('of 2,000 healthy canaries at most alpha are aborted', { timeout: 120_000 }, () => {
  it.each(scenarios(users))('$name', ({ world, judge }) => {
    const { aborted, low, high } = trials(world, judge, runs, seed)
    expect(low, `${aborted} of ${runs}`).toBeLessThanOrEqual(alpha)
    expect(high, `${aborted} of ${runs}`).toBeLessThan(2.5 * alpha)
  })
})

describe('more than alpha are aborted', { timeout: 120_000 }, () => {
  it.each(scenarios(users).flatMap(({ name, world, without }) => (without?.strong === true ? [{ name, world, ...without }] : [])))('$name: $rule', ({ world, judge }) => {
    expect(trials(world, judge, 600, seed).low).toBeGreaterThan(alpha)
  })
})

describe('a harmful canary', () => {
  it.each(detections().filter(({ name }) => /^(fails|slower by half; 1 )/.test(name) && !name.includes('2%; stable 1%')))('$name: is stopped', ({ world, judge }) => {
    const { aborted, units } = trials(world, judge, 40, seed)
    expect(aborted).toBe(40)
    expect(units?.median).toBeLessThan(10_000)
  })

  it('that fails every request is stopped after two or three of its users', () => {
    const [all] = detections()
    if (all === undefined) throw new Error('no detections')
    expect(trials(all.world, all.judge, 400, seed).canaryUnits?.most).toBeLessThanOrEqual(3)
  })
})

describe('whole canaries that climb by themselves', { timeout: 120_000 }, () => {
  it.each(climbScenarios(users))('$name', (climb) => {
    const { abortLimits, promoteLimits, aborted, promoted } = climbs(climb, 150, seed)
    if (climb.most === 'aborts') {
      expect(abortLimits.low, `${aborted} aborted`).toBeLessThanOrEqual(alpha)
      expect(promoted).toBeGreaterThan(50)
    } else expect(promoteLimits.low, `${promoted} promoted`).toBeLessThanOrEqual(0.05)
  })
})

it('the same seed gives the same canaries', () => {
  const [first] = scenarios(users)
  if (first === undefined) throw new Error('no scenarios')
  expect(trials(first.world, first.judge, 50, 7)).toEqual(trials(first.world, first.judge, 50, 7))
})
