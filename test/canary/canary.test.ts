import { describe, expect, it } from 'vitest'
import { Canary, canaryDefaults, type CanaryJournal, type CanaryOptions } from '../../agent/canary/canary.ts'
import { errorsMetric, latencyMetric } from '../../agent/canary/metrics.ts'
import { parseSteps } from '../../agent/canary/step-text.ts'
import { verdictText, waitsFor } from '../../agent/canary/verdict-text.ts'
import { draw, armOf } from '../../proxy/canary/split.ts'
import type { UnitEvent } from '../../proxy/canary/unit-event.ts'
import { event, failed } from './support.ts'

const options: CanaryOptions = { ...canaryDefaults, metrics: [errorsMetric, latencyMetric], steps: parseSteps(['5% 1m 10 users', '25% 1m']) }

function begin(more: Partial<CanaryOptions> = {}): Canary {
  return Canary.begin({ ...options, ...more }, 0).canary
}

/** One request of each of so many users, drawn as the workers draw them. */
function users(canary: Canary, from: number, count: number, bad: (user: number, arm: string) => readonly string[]): UnitEvent[] {
  return Array.from({ length: count }, (_, index) => {
    const { bucket, unit } = draw('salt', `user-${from + index}`)
    const { step, phase } = canary.steps
    const arm = armOf(bucket, step.share)
    return event(unit, arm, { share: step.share, phase, bad: bad(from + index, arm) })
  })
}

describe('a canary', () => {
  it('that fails every request is aborted within a few of its users', () => {
    const canary = begin()
    const effects = users(canary, 0, 1_000, (_, arm) => (arm === 'canary' ? ['errors'] : [])).map((one, at) => [canary.take([one], at), at] as const)
    const [effect] = effects.find(([one]) => one !== null) ?? []
    expect(effect).toEqual({ type: 'abort', reason: { kind: 'worse', metric: 'errors' } })
    expect(canary.verdict().numbers.metrics[0]?.counted).toEqual({ canary: 3, stable: 0 })
    expect(verdictText(canary.verdict())).toBe('worse in errors: evidence 860 of 200; 3 users affected on the canary, 0 on stable')
    // The end is the end.
    expect(canary.take([failed('x', 'canary')], 2_000)).toBeNull()
    expect(canary.look(2_000)).toBeNull()
  })

  it('that is as good as stable goes through its steps and is promoted', () => {
    const canary = begin({ metrics: [errorsMetric] })
    const seen: unknown[] = []
    let clock = 0
    for (let round = 0; round < 400 && !canary.over; round += 1) {
      clock += 1_000
      seen.push(canary.take(users(canary, round * 100, 100, (user) => (user % 50 === 0 ? ['errors'] : [])), clock), canary.look(clock))
    }
    expect(seen.filter((one) => one !== null)).toEqual([
      { type: 'share', share: 0.25, phase: 2 },
      { type: 'promote', reason: { kind: 'steps-done' } },
    ])
  })

  it('says what could not be excluded when a step is passed all the same', () => {
    const canary = begin({ metrics: [errorsMetric], onInconclusive: 'promote', steps: parseSteps(['5% 1m-2m 10 users', '25% 1m']) })
    canary.take(users(canary, 0, 300, () => []), 1)
    expect(canary.look(120_000)).toEqual({ type: 'share', share: 0.25, phase: 2, inconclusive: expect.stringMatching(/^inconclusive: 9 canary users, cannot exclude any number/) as string })
  })

  it('without any error is promoted once it has had enough users for a small share of them affected to be excluded', () => {
    const canary = begin({ metrics: [errorsMetric], steps: parseSteps(['25% 0s']) })
    canary.take(users(canary, 0, 1_000, () => []), 1)
    expect(canary.look(1)).toBeNull()
    expect(verdictText(canary.verdict())).toMatch(/^inconclusive: 2\d\d canary users, cannot exclude any number of times as many affected$/)
    canary.take(users(canary, 1_000, 2_000, () => []), 2)
    expect(canary.look(2)).toEqual({ type: 'promote', reason: { kind: 'steps-done' } })
    expect(verdictText(canary.verdict())).toMatch(/^as good as asked for: 7\d\d canary users, 0\.\d+% of its users affected and more are excluded$/)
  })

  it('says honestly what it cannot exclude, and what it waits for', () => {
    const canary = begin({ metrics: [errorsMetric] })
    const events = [...Array.from({ length: 14 }, (_, user) => event(`c${user}`, 'canary')), ...Array.from({ length: 200 }, (_, user) => event(`s${user}`, 'stable', { bad: user < 10 ? ['errors'] : [] }))]
    canary.take(events, 1_000)
    canary.look(10_000)
    expect(verdictText(canary.verdict())).toBe('inconclusive: 14 canary users, cannot exclude 9 times as many affected')
    expect(waitsFor(canary.steps, canary.verdict().numbers)).toEqual(['50s of its shortest time', 'evidence: it cannot exclude 9 times as many affected'])
    expect(waitsFor(begin().steps, begin().verdict().numbers)).toContain('the first user')
  })

  it('reads no traffic neither as failure nor as success', () => {
    for (const onInconclusive of ['hold', 'promote', 'abort'] as const) {
      const canary = begin({ onInconclusive })
      for (let at = 0; at < 100; at += 1) expect(canary.look(at * 600_000)).toBeNull()
      expect(canary.verdict().kind).toBe('open')
    }
  })

  it('goes on after a kill -9 where its journal says, with the same evidence', () => {
    const canary = begin()
    canary.take(users(canary, 0, 2_000, (user) => (user % 20 === 0 ? ['errors'] : [])), 30_000)
    canary.look(30_000)
    const journal = JSON.parse(JSON.stringify(canary.journal())) as CanaryJournal
    const { canary: again, effect } = Canary.resume(journal, 5)
    expect(effect).toEqual({ type: 'share', share: 0.05, phase: 1 })
    expect(again.verdict()).toEqual(canary.verdict())
    const more = users(canary, 1_000, 3_000, (user) => (user % 20 === 0 ? ['errors'] : []))
    canary.take(more, 40_000)
    again.take(more, 100)
    expect(again.verdict().numbers.metrics.map(({ evidence }) => evidence)).toEqual(canary.verdict().numbers.metrics.map(({ evidence }) => evidence))
    expect(again.verdict().numbers.phase.units.stable).toBeLessThanOrEqual(canary.verdict().numbers.phase.units.stable)
  })

  it('warms up again after a reboot, when the clock has begun anew', () => {
    const { canary } = Canary.begin(options, 5_000_000)
    const { canary: again } = Canary.resume(canary.journal(), 1_000)
    again.take([event('a', 'canary', { bad: ['latency'], atMs: 30_999 }), event('b', 'canary', { bad: ['latency'], atMs: 31_000 })], 40_000)
    expect(again.verdict().numbers.metrics[1]?.counted).toEqual({ canary: 1, stable: 0 })
  })

  it('that is journaled when it is over stays over, and its end is carried out by the next agent', () => {
    const promoted = begin()
    promoted.order({ type: 'promote' })
    expect(Canary.resume(promoted.journal(), 0).effect).toEqual({ type: 'promote', reason: { kind: 'operator' } })
    const canary = begin()
    canary.fault('exit 1')
    const { canary: again, effect } = Canary.resume(canary.journal(), 0)
    expect([effect, again.over]).toEqual([{ type: 'abort', reason: { kind: 'fault', what: 'exit 1' } }, true])
    expect(() => again.order({ type: 'promote' })).toThrow('aborted already')
  })
})
