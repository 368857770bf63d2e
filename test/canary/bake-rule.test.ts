import { describe, expect, it } from 'vitest'
import { bakeRule, crossedText, crossesRule } from '../../agent/canary/bake-rule.ts'

describe('the rule of the bake', () => {
  const quiet = { users: 1_000, affected: 5 }

  it.each([
    ['nobody came', { users: 0, affected: 0 }, quiet, false],
    ['fewer users affected than asked for', { users: 9, affected: 9 }, quiet, false],
    ['enough users, a large share, many times the old one', { users: 10, affected: 10 }, quiet, true],
    ['a share below the floor', { users: 201, affected: 10 }, { users: 1_000, affected: 0 }, false],
    ['a share at the floor', { users: 200, affected: 10 }, { users: 1_000, affected: 0 }, true],
    ['not three times as bad as the old one was', { users: 100, affected: 29 }, { users: 100, affected: 10 }, false],
    ['three times as bad as the old one was', { users: 100, affected: 30 }, { users: 100, affected: 10 }, true],
    // Whom nobody used had no errors, and that says nothing.
    ['an old one of which nothing is known, and less than half affected', { users: 100, affected: 49 }, null, false],
    ['an old one of which nothing is known, and half affected', { users: 100, affected: 50 }, null, true],
    ['an old one of which too little is known, and less than half affected', { users: 100, affected: 49 }, { users: 9, affected: 0 }, false],
    ['an old one of which just enough is known', { users: 100, affected: 49 }, { users: 10, affected: 0 }, true],
  ])('%s', (_, fresh, old, crossed) => {
    expect(crossesRule(bakeRule, fresh, old)).toBe(crossed)
  })

  it('says the numbers', () => {
    expect(crossedText(bakeRule, { users: 40, affected: 12 }, quiet)).toBe('12 of its 40 users were affected (the old release in its last ten minutes: 5 of 1000)')
    expect(crossedText(bakeRule, { users: 40, affected: 20 }, null)).toBe('20 of its 40 users were affected (of the old release 0 users are known, too few to compare with)')
  })
})
