import { describe, expect, it } from 'vitest'
import { UsersSum } from '../../proxy/master/users-sum.ts'
import { emptyTable, withRoute, type Table } from '../../proxy/table.ts'
import { RecentUsers, sliceMs } from '../../proxy/users/recent-users.ts'
import { userByAddress, userNumber } from '../../proxy/users/user-number.ts'
import { countAffected, note, UserSample } from '../../proxy/users/user-sample.ts'
import { UserNotes } from '../../proxy/worker/user-notes.ts'

const named = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, at) => userNumber(`user ${from + at}`))

describe('a sample of users', () => {
  it('is exact while it holds them all, and within a few percent for 100,000 users and those affected among them', () => {
    const sample = new UserSample<boolean>()
    for (const user of named(0, 4_000)) note(sample, user, false)
    expect(countAffected(sample).users).toBe(4_000)
    for (const [at, user] of named(0, 100_000).entries()) note(sample, user, at % 10 === 0)
    const { users, affected } = countAffected(sample)
    expect([...sample.entries()].length).toBeLessThanOrEqual(4_096)
    expect(users / 100_000).toBeCloseTo(1, 1)
    expect(affected / users).toBeCloseTo(0.1, 1)
  })

  it('never makes a user who was affected one who was not', () => {
    const sample = new UserSample<boolean>()
    for (const affected of [false, true, false]) note(sample, 1, affected)
    expect(countAffected(sample)).toEqual({ users: 1, affected: 1 })
  })
})

describe('the users of the last minutes', () => {
  it('are counted once each, over all slices', () => {
    const recent = new RecentUsers()
    for (let slice = 0; slice < 5; slice += 1) recent.add(1, slice === 3, slice)
    recent.add(2, false, 4)
    expect(recent.since(0)).toEqual({ users: 2, affected: 1 })
    expect(recent.since(4 * sliceMs)).toEqual({ users: 2, affected: 0 })
  })

  it('are forgotten after ten minutes, and what comes later still belongs to the newest', () => {
    const recent = new RecentUsers()
    recent.add(1, true, 0)
    recent.add(2, false, 12)
    expect(recent.since(0)).toEqual({ users: 1, affected: 0 })
    recent.add(3, true, 1)
    expect(recent.since(12 * sliceMs)).toEqual({ users: 2, affected: 1 })
  })

  it('are put together from slices that are samples without counting anybody twice', () => {
    const recent = new RecentUsers(256)
    for (const user of named(0, 2_000)) recent.add(user, false, 0)
    for (const user of named(1_000, 3_000)) recent.add(user, false, 1)
    expect(recent.since(0).users / 3_000).toBeGreaterThan(0.75)
    expect(recent.since(0).users / 3_000).toBeLessThan(1.25)
  })
})

it('an IPv6 client is one user whichever address of its network it takes, and a private address tells nobody apart', () => {
  expect(userByAddress('2001:db8::1')).toBe(userByAddress('2001:db8::2'))
  expect(userByAddress('2001:db8:0:1::1')).not.toBe(userByAddress('2001:db8::1'))
  expect(['127.0.0.1', '10.0.0.7', '::1'].map(userByAddress)).toEqual([null, null, null])
})

describe('the users of a service', () => {
  const table = (live: string, before: Table = emptyTable): Table => withRoute(before, 1, {
    service: 'shop', state: 'serving', live: { release: `shop/${live}`, host: '127.0.0.1', port: Number(live.slice(1)), healthy: true }, fallback: null, reason: null, settings: { holdTimeoutMs: 1, holdMax: 1 },
  })

  /** Two workers and a master, on one clock. */
  function parts() {
    let nowMs = 0
    const sum = new UsersSum(() => nowMs)
    const workers = [0, 1].map(() => new UserNotes({ send: (news) => sum.take(news), nowMs: () => nowMs }))
    return {
      sum,
      pass: (ms: number) => { nowMs += ms },
      asks: (worker: number, release: string, since: number, user: number, fails = false) => {
        const noted = workers[worker]?.seen(`shop/${release}`, since, user)
        if (fails) noted?.affected()
        workers[worker]?.flush()
        return noted
      },
    }
  }

  it('are counted from the flip on, once whichever worker they ask, and compared with those of the old release in its last ten minutes', () => {
    const { sum, pass, asks } = parts()
    const first = table('v1')
    sum.follow(first)
    asks(0, 'v1', 1, 99, true)
    pass(30 * 60_000)
    for (let user = 0; user < 20; user += 1) asks(user % 2, 'v1', 1, user, user === 0)
    const late = asks(0, 'v1', 1, 19)
    const second = table('v2', first)
    sum.follow(second)
    for (const worker of [0, 1]) for (const fails of [false, true, true]) asks(worker, 'v2', 2, 7, fails)
    asks(1, 'v2', 2, 8)
    // It was in flight when the other became live.
    late?.affected()
    asks(0, 'v1', 1, 19)
    expect(sum.of('shop')).toEqual({ live: { release: 'shop/v2', since: 2, users: 2, affected: 1 }, before: [{ release: 'shop/v1', users: 20, affected: 2 }] })

    // Back, and forth again: the bake begins anew, and the old release's minutes are those before that.
    const third = table('v1', second)
    sum.follow(third)
    asks(0, 'v1', 3, 50, true)
    sum.follow(table('v2', third))
    expect(sum.of('shop')).toMatchObject({ live: { since: 4, users: 0, affected: 0 }, before: [{ release: 'shop/v1', users: 21, affected: 3 }] })
  })

  it('of a release whose process has ended are forgotten, and of the others only the newest are kept', () => {
    const { sum } = parts()
    let now = table('v1')
    sum.follow(now)
    for (const live of ['v2', 'v3', 'v4', 'v5']) sum.follow((now = table(live, now)))
    expect(sum.of('shop')?.before.map((one) => one.release)).toEqual(['shop/v2', 'shop/v3', 'shop/v4'])
    sum.forget('shop/v3')
    sum.forget('shop/v5')
    expect(sum.of('shop')).toMatchObject({ live: { release: 'shop/v5' }, before: [{ release: 'shop/v2' }, { release: 'shop/v4' }] })
  })
})
