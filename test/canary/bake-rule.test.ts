import { describe, expect, it } from 'vitest'
import { bakeRule, crossedText, crossesRule } from '../../agent/canary/bake-rule.ts'
import { RecentUsers } from '../../agent/canary/recent-users.ts'

const minute = 60_000

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
    ['an old one that nobody used', { users: 100, affected: 10 }, { users: 0, affected: 0 }, true],
  ])('%s', (_, fresh, old, crossed) => {
    expect(crossesRule(bakeRule, fresh, old)).toBe(crossed)
  })

  it('says the numbers', () => {
    expect(crossedText({ users: 40, affected: 12 }, quiet)).toBe('12 of its 40 users were affected (the old release in its last ten minutes: 5 of 1000)')
  })
})

describe('the users of the last minutes', () => {
  it('are counted once each, over all slices', () => {
    const recent = new RecentUsers(10 * minute)
    for (let at = 0; at < 5; at += 1) recent.add('one', at === 3, at * minute)
    recent.add('two', false, 4 * minute)
    expect(recent.since(0)).toEqual({ users: 2, affected: 1 })
    expect(recent.since(4 * minute)).toEqual({ users: 2, affected: 0 })
  })

  it('are forgotten after ten minutes', () => {
    const recent = new RecentUsers(10 * minute)
    recent.add('old', true, 0)
    recent.add('new', false, 12 * minute)
    expect(recent.since(0)).toEqual({ users: 1, affected: 0 })
  })

  it('that come late belong to the newest minutes', () => {
    const recent = new RecentUsers(10 * minute)
    recent.add('one', false, 5 * minute)
    recent.add('late', true, 3 * minute)
    expect(recent.since(5 * minute)).toEqual({ users: 2, affected: 1 })
  })

  it('are left out once a slice is full, affected or not', () => {
    const recent = new RecentUsers(10 * minute, 2)
    for (const user of ['a', 'b', 'c']) recent.add(user, true, 0)
    expect(recent.since(0)).toEqual({ users: 2, affected: 2 })
  })
})
