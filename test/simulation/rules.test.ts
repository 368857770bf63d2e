import { describe, expect, it } from 'vitest'
import { makePlan } from './plan.ts'
import { scheduleSeed } from './random.ts'
import { removedRules } from './removed-rules.ts'
import { runPlan } from './run.ts'
import { shrink } from './shrink.ts'

const mostSchedules = 5_000

describe('a rule taken away', () => {
  for (const { rule, without, parts, caughtBy } of removedRules) {
    it(`is noticed: ${without} (${rule})`, { timeout: 60_000 }, () => {
      for (let index = 0; index < mostSchedules; index += 1) {
        const { violation } = runPlan(makePlan(scheduleSeed(7, index)), parts)
        if (violation === null) continue
        expect(caughtBy, violation.message).toContain(violation.invariant)
        return
      }
      expect.fail(`${mostSchedules} schedules held all the same`)
    })
  }

  it('leaves a small schedule behind, which breaks the same promise', { timeout: 60_000 }, () => {
    const parts = removedRules.find((one) => one.without === 'quiet is said at once, whatever is in flight')?.parts
    if (parts === undefined) return expect.fail('the rule is gone')
    for (let index = 0; index < mostSchedules; index += 1) {
      const plan = makePlan(scheduleSeed(7, index))
      const { violation } = runPlan(plan, parts)
      if (violation === null) continue
      const small = shrink(plan, parts, violation)
      expect(small.violation.invariant).toBe(violation.invariant)
      expect(small.plan.actions.length).toBeLessThan(5)
      return
    }
    expect.fail('nothing was broken')
  })
})
