import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseSteps } from '../../agent/canary/step-text.ts'
import { advance, beginSteps, resumeSteps, type Facts, type OnInconclusive, type StepsEffect, type StepsEvent, type StepsState } from '../../agent/canary/steps.ts'

const steps = parseSteps(['5% 2m-20m 10 users', '25% 5m-20m', '50% 5m'])
const minute = 60_000
const good: Facts = { worse: null, within: true, expectedUnits: 100, anybody: true }
const open: Facts = { ...good, within: false }

function begin(onInconclusive: OnInconclusive = 'hold'): Run {
  return new Run(beginSteps(steps, onInconclusive, 0).state)
}

class Run {
  state: StepsState
  effect: StepsEffect | null = null

  constructor(state: StepsState) {
    this.state = state
  }

  do(event: StepsEvent): this {
    const outcome = advance(this.state, event)
    this.state = outcome.state
    this.effect = outcome.effect
    return this
  }

  look(atMs: number, facts: Facts = good): this {
    return this.do({ type: 'look', atMs, facts })
  }
}

describe('the steps of a canary', () => {
  it('rise one by one when time, users and bound are there, and then promote', () => {
    const run = begin()
    expect(beginSteps(steps, 'hold', 0).effect).toEqual({ type: 'share', share: 0.05, phase: 1 })
    expect(run.look(2 * minute - 1).effect).toBeNull()
    expect(run.look(2 * minute, { ...good, expectedUnits: 9.9 }).effect).toBeNull()
    expect(run.look(3 * minute, open).effect).toBeNull()
    expect(run.look(4 * minute).effect).toEqual({ type: 'share', share: 0.25, phase: 2 })
    expect(run.look(5 * minute).effect).toBeNull()
    expect(run.look(9 * minute).effect).toEqual({ type: 'share', share: 0.5, phase: 3 })
    expect(run.look(14 * minute).effect).toEqual({ type: 'promote', reason: { kind: 'steps-done' } })
    expect(run.look(20 * minute).effect).toBeNull()
  })

  it.each([
    ['promote', { type: 'share', share: 0.25, phase: 2 }, 'running'],
    ['abort', { type: 'abort', reason: { kind: 'inconclusive' } }, 'aborted'],
    ['hold', null, 'held'],
  ] as const)('inconclusive at its longest time: %s', (onInconclusive, effect, mode) => {
    const run = begin(onInconclusive)
    expect(run.look(20 * minute - 1, open).effect).toBeNull()
    expect(run.look(20 * minute, open).effect).toEqual(effect)
    expect(run.state.mode.kind).toBe(mode)
  })

  it('go on from being held once the evidence is there', () => {
    const run = begin().look(20 * minute, open).look(21 * minute, open)
    expect(run.state.mode.kind).toBe('held')
    expect(run.look(22 * minute).effect).toEqual({ type: 'share', share: 0.25, phase: 2 })
    expect(run.state.mode.kind).toBe('running')
  })

  it.each(['promote', 'abort', 'hold'] as const)('wait where nobody comes, whatever is to be done when inconclusive (%s)', (onInconclusive) => {
    const run = begin(onInconclusive).look(600 * minute, { worse: null, within: false, expectedUnits: 0, anybody: false })
    expect(run.effect).toBeNull()
    expect(run.state.mode.kind).toBe('running')
  })

  const ways: readonly (readonly [string, (run: Run) => Run])[] = [
    ['running', (run) => run],
    ['paused', (run) => run.do({ type: 'pause' })],
    ['set by hand', (run) => run.do({ type: 'set', share: 0.1 })],
    ['held', (run) => run.look(20 * minute, open)],
  ]
  it.each(ways)('abort while %s when a metric is worse, and at once for a hard fault', (_, way) => {
    expect(way(begin()).look(21 * minute, { ...open, worse: 'errors' }).effect).toEqual({ type: 'abort', reason: { kind: 'worse', metric: 'errors' } })
    expect(way(begin()).do({ type: 'fault', what: 'exit 1' }).effect).toEqual({ type: 'abort', reason: { kind: 'fault', what: 'exit 1' } })
    expect(way(begin()).do({ type: 'abort' }).effect).toEqual({ type: 'abort', reason: { kind: 'operator' } })
    expect(way(begin()).do({ type: 'promote' }).effect).toEqual({ type: 'promote', reason: { kind: 'operator' } })
  })

  it('stand while paused; the time of the pause is not counted', () => {
    const run = begin().look(minute).do({ type: 'pause' }).look(60 * minute).do({ type: 'resume' })
    expect(run.state.elapsedMs).toBe(minute)
    expect(run.look(61 * minute - 1).effect).toBeNull()
    expect(run.look(61 * minute).effect).toEqual({ type: 'share', share: 0.25, phase: 2 })
  })

  it('take a percentage at once, wait there, and go on above it when resumed', () => {
    const run = begin().do({ type: 'set', share: 0.3 })
    expect(run.effect).toEqual({ type: 'share', share: 0.3, phase: 2 })
    expect(run.look(60 * minute).effect).toBeNull()
    run.do({ type: 'resume' }).look(60 * minute).look(64 * minute)
    expect(run.effect).toBeNull()
    expect(run.look(65 * minute).effect).toEqual({ type: 'share', share: 0.5, phase: 3 })
  })

  it('go to 0 at once, and begin again from there', () => {
    const run = begin().look(2 * minute).do({ type: 'set', share: 0 })
    expect(run.effect).toEqual({ type: 'share', share: 0, phase: 3 })
    expect(run.look(100 * minute, { ...open, anybody: true }).effect).toBeNull()
    expect(run.do({ type: 'resume' }).effect).toEqual({ type: 'share', share: 0.05, phase: 4 })
  })

  it.each([-0.1, 0.00005, 1, 1.5, NaN])('refuse a share of %d and change nothing', (share) => {
    const run = begin()
    const before = run.state
    expect(() => run.do({ type: 'set', share })).toThrow('a canary cannot have')
    expect(run.state).toBe(before)
  })

  it('refuse what makes no sense now', () => {
    expect(() => begin().do({ type: 'resume' })).toThrow('the canary is not paused')
    expect(() => begin().do({ type: 'pause' }).do({ type: 'pause' })).toThrow('paused already')
    expect(() => begin().do({ type: 'abort' }).do({ type: 'promote' })).toThrow('the canary has been aborted already')
    expect(begin().do({ type: 'abort' }).do({ type: 'fault', what: 'exit 1' }).effect).toBeNull()
  })

  it('resume after a restart in the same step, say the share again, and do not count the time in between', () => {
    const run = begin().look(minute)
    const outcome = resumeSteps(JSON.parse(JSON.stringify(run.state)) as StepsState)
    expect(outcome.effect).toEqual({ type: 'share', share: 0.05, phase: 1 })
    const after = new Run(outcome.state).look(5_000_000)
    expect(after.state.elapsedMs).toBe(minute)
    expect(after.look(5_000_000 + minute).effect).toEqual({ type: 'share', share: 0.25, phase: 2 })
  })

  it('whatever happens: the phase rises with each change of the share, only a person lowers it, and the end is the end', () => {
    const anEvent: fc.Arbitrary<StepsEvent> = fc.oneof(
      fc.record({ type: fc.constant('look' as const), atMs: fc.nat(100 * minute), facts: fc.record({ worse: fc.option(fc.constant('errors'), { freq: 20 }), within: fc.boolean(), expectedUnits: fc.nat(50), anybody: fc.boolean() }) }),
      fc.constantFrom<StepsEvent>({ type: 'pause' }, { type: 'resume' }, { type: 'set', share: 0 }, { type: 'set', share: 0.1 }, { type: 'set', share: 0.7 }),
      fc.constantFrom<StepsEvent>({ type: 'promote' }, { type: 'abort' }, { type: 'fault', what: 'exit' }),
    )
    fc.assert(fc.property(fc.array(anEvent, { maxLength: 60 }), fc.constantFrom<OnInconclusive>('hold', 'promote', 'abort'), (events, onInconclusive) => {
      const run = begin(onInconclusive)
      for (const event of events) {
        const before = run.state
        try {
          run.do(event)
        } catch {
          expect(run.state).toBe(before)
          continue
        }
        if (run.effect?.type === 'share') {
          expect(run.effect).toEqual({ type: 'share', share: run.state.step.share, phase: before.phase + 1 })
          if (event.type !== 'set') expect(run.effect.share).toBeGreaterThan(before.step.share)
        } else expect(run.state.step).toBe(before.step)
        if (before.mode.kind === 'promoted' || before.mode.kind === 'aborted') expect(run.effect).toBeNull()
      }
    }))
  })
})
