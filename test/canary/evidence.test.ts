import { describe, expect, it } from 'vitest'
import { addressGroup } from '../../proxy/users/address-group.ts'
import { Evidence, evidenceLimits, type EvidenceJournal } from '../../agent/canary/evidence.ts'
import { errorsMetric, latencyMetric } from '../../agent/canary/metrics.ts'
import { event, failed } from './support.ts'

const latency = { ...latencyMetric, warmUpMs: 0 }

function evidence(limits = {}): Evidence {
  const one = new Evidence([errorsMetric, latency], { ...evidenceLimits, ...limits }, 0)
  one.beginPhase(1, 0.05)
  return one
}

describe('the evidence of units', () => {
  it('counts a unit when it goes bad for the first time, with the share it was drawn with', () => {
    const one = evidence()
    one.add(event('a', 'canary'))
    expect(one.tallies('errors')).toEqual([])
    one.add(failed('a', 'canary', { share: 0.25 }))
    one.add(failed('a', 'canary', { share: 0.25 }))
    one.add(failed('b', 'stable'))
    expect(one.tallies('errors')).toEqual([{ share: 0.25, canary: 1, stable: 0 }, { share: 0.05, canary: 0, stable: 1 }])
  })

  it('counts a unit known to be stable once more after a rise, with what is left of its chance, and never one known to be on the canary', () => {
    const one = evidence()
    one.add(failed('steady', 'stable'))
    one.add(failed('guinea', 'canary'))
    one.beginPhase(2, 0.25)
    one.add(failed('steady', 'canary', { share: 0.25, phase: 2 }))
    one.add(failed('guinea', 'canary', { share: 0.25, phase: 2 }))
    one.beginPhase(3, 0.5)
    one.add(failed('steady', 'canary', { share: 0.5, phase: 3 }))
    expect(one.tallies('errors')).toEqual([{ share: 0.05, canary: 1, stable: 1 }, { share: (0.25 - 0.05) / 0.95, canary: 1, stable: 0 }])
  })

  it('splits what is left of the chance of one known to be on the canary when the share is lowered', () => {
    const one = evidence()
    one.add(failed('guinea', 'canary', { share: 0.5 }))
    one.add(failed('guinea', 'stable', { share: 0.1, phase: 2 }))
    expect(one.tallies('errors')).toEqual([{ share: 0.5, canary: 1, stable: 0 }, { share: 0.2, canary: 0, stable: 1 }])
  })

  it('counts one request that went bad in two metrics in both', () => {
    const one = evidence()
    one.add(event('a', 'canary', { bad: ['errors', 'latency'] }))
    expect([one.tallies('errors'), one.tallies('latency')]).toEqual(Array(2).fill([{ share: 0.05, canary: 1, stable: 0 }]))
  })

  it('leaves out a unit whose arm another metric has shown', () => {
    const one = evidence()
    one.add(failed('a', 'canary'))
    one.add(event('a', 'canary', { bad: ['latency'] }))
    expect(one.tallies('latency')).toEqual([])
  })

  it('counts each request by itself where each is drawn by itself', () => {
    const one = evidence()
    for (let request = 0; request < 3; request += 1) one.add(failed(null, 'canary'))
    expect(one.tallies('errors')).toEqual([{ share: 0.05, canary: 3, stable: 0 }])
  })

  it('looks only at the first eligible request of a unit in each phase for latency', () => {
    const one = evidence()
    one.add(event('a', 'stable', { good: ['latency'] }))
    one.add(event('a', 'stable', { bad: ['latency'] }))
    expect(one.tallies('latency')).toEqual([])
    one.beginPhase(2, 0.25)
    // A late one of the phase before: its first is known still.
    one.add(event('a', 'stable', { bad: ['latency'] }))
    expect(one.tallies('latency')).toEqual([])
    one.add(event('a', 'canary', { bad: ['latency'], share: 0.25, phase: 2 }))
    expect(one.tallies('latency')).toEqual([{ share: 0.25, canary: 1, stable: 0 }])
  })

  it('leaves out latency during the warm-up and above half of the traffic', () => {
    const one = new Evidence([latencyMetric], evidenceLimits, 1_000)
    one.beginPhase(1, 0.05)
    one.add(event('a', 'canary', { bad: ['latency'], atMs: 30_999 }))
    one.add(event('b', 'canary', { bad: ['latency'], atMs: 31_000, share: 0.51 }))
    expect(one.tallies('latency')).toEqual([])
    one.add(event('a', 'canary', { bad: ['latency'], atMs: 31_000 }))
    expect(one.tallies('latency')).toHaveLength(1)
  })

  it('never counts a request from before the canary', () => {
    const one = evidence()
    one.add(failed('a', 'stable', { phase: 0, share: 0.05 }))
    expect(one.tallies('errors')).toEqual([])
    expect(one.leftOut.early).toBe(1)
  })

  it('takes no new units once it is full, and forgets no old one', () => {
    const one = evidence({ units: 2 })
    for (const unit of ['a', 'b', 'c', 'a', 'b']) one.add(failed(unit, 'stable'))
    expect(one.tallies('errors')).toEqual([{ share: 0.05, canary: 0, stable: 2 }])
    expect(one.full).toBe(true)
    expect(one.leftOut.full).toBe(1)
    one.add(failed('a', 'canary', { share: 0.25 }))
    expect(one.tallies('errors')).toHaveLength(2)
  })

  it('lets one client address bring in so many units only, on either arm', () => {
    const one = evidence()
    for (const unit of ['a', 'b', 'c']) one.add(failed(unit, 'canary', { address: '192.0.2.1' }))
    // A /64 is one client; a unit that has counted goes on counting.
    for (const [index, address] of ['2001:db8::1', '2001:db8:0:0:1::2', '2001:db8::ffff:3'].entries()) one.add(failed(`v6-${index}`, 'stable', { address }))
    one.add(failed('a', 'canary', { address: '192.0.2.1' }))
    expect(one.tallies('errors')).toEqual([{ share: 0.05, canary: 2, stable: 2 }])
    expect(one.leftOut.capped).toBe(2)
  })

  it('leaves out, and counts, a unit on an arm that it cannot be on', () => {
    const one = evidence()
    one.add(failed('a', 'canary'))
    one.add(failed('a', 'stable', { share: 0.25 }))
    one.add(failed('b', 'stable'))
    one.add(failed('b', 'canary', { share: 0.01 }))
    expect(one.tallies('errors')).toEqual([{ share: 0.05, canary: 1, stable: 1 }])
    expect(one.leftOut.contradicting).toBe(2)
  })

  it('is worth the same after a crash, and counts nobody twice', () => {
    const one = evidence()
    for (const [unit, arm] of [['a', 'canary'], ['b', 'stable'], ['c', 'stable']] as const) one.add(failed(unit, arm, { address: '192.0.2.7' }))
    one.beginPhase(2, 0.25)
    one.add(event('d', 'stable', { share: 0.25, phase: 2 }))
    const journal = JSON.parse(JSON.stringify(one.journal())) as EvidenceJournal
    const two = new Evidence([errorsMetric, latency], evidenceLimits, 0, journal)
    expect(two.journal()).toEqual(journal)
    two.add(failed('a', 'canary', { share: 0.25, phase: 2 }))
    two.add(failed('e', 'canary', { share: 0.25, phase: 2, address: '192.0.2.7' }))
    expect(two.tallies('errors')).toEqual(one.tallies('errors'))
    expect(two.leftOut.capped).toBe(2)
  })

  it('counts distinct units, never more than there are, and those affected, never fewer, over a crash', () => {
    const one = evidence()
    for (const unit of ['a', 'b', 'a', 'c']) one.add(event(unit, 'stable'))
    one.add(failed('b', 'stable'))
    expect(one.figures.units).toEqual({ canary: 0, stable: 3 })
    const two = new Evidence([errorsMetric, latency], evidenceLimits, 0, one.journal())
    two.add(event('a', 'stable'))
    two.add(failed('b', 'stable'))
    expect(two.figures.units).toEqual({ canary: 0, stable: 3 })
    expect(two.figures.affected[0]).toEqual({ metric: 'errors', canary: 0, stable: 2 })
  })
})

it.each([
  ['192.0.2.1', '192.0.2.1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['2001:DB8::1', '2001:db8:0:0::/64'],
  ['2001:0db8:0000:0000:ffff::1', '2001:db8:0:0::/64'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['a hash', 'a hash'],
])('the client behind %s is %s', (address, group) => {
  expect(addressGroup(address)).toBe(group)
})
