import fc from 'fast-check'
import { expect, test } from 'vitest'

import { attemptStep, firstAttemptState, type AttemptEffect, type AttemptEvent, type AttemptState } from '../../../inherit/upgrade/attempt-step.ts'

const limits = { startMs: 1000, settleMs: 100, confirmMs: 400 }
const line = (key: string, value = '1'): AttemptEvent => ({ type: 'line', key, value })
const timer = (name: 'start' | 'settle' | 'confirm' | 'mute'): AttemptEvent => ({ type: 'timer', timer: name })
const exited: AttemptEvent = { type: 'exited', code: 1, signal: null }

function run(events: readonly AttemptEvent[]): { state: AttemptState; effects: AttemptEffect[] } {
  let state: AttemptState = firstAttemptState
  const effects: AttemptEffect[] = []
  for (const event of events) {
    const [next, more] = attemptStep(state, event, limits)
    state = next
    effects.push(...more)
  }
  return { state, effects }
}

const outcome = (events: readonly AttemptEvent[]): unknown => {
  const { state, effects } = run(events)
  const fail = effects.find((effect) => effect.type === 'fail')
  return fail?.type === 'fail' ? fail.code : state.phase
}

test('a successor that speaks the protocol is held back until it has settled, and committed when it has been confirmed', () => {
  const events = [line('UPGRADE_PROTOCOL'), line('READY'), timer('settle'), line('SERVING'), timer('confirm')]
  expect(run(events).effects).toEqual([
    { type: 'timer', timer: 'settle', ms: 100 },
    { type: 'say', key: 'TAKE', value: '1' },
    { type: 'timer', timer: 'confirm', ms: 400 },
    { type: 'commit' },
  ])
  expect(events.map((_, index) => run(events.slice(0, index)).state.phase)).toEqual(['starting', 'starting', 'settling', 'taking', 'confirming'])
})

test('one that says READY and no version serves already: it is confirmed without being told to take over', () => {
  const { effects } = run([line('STATUS', 'warming up'), line('READY'), timer('settle'), timer('confirm')])
  expect(effects.map((effect) => effect.type)).toEqual(['timer', 'timer', 'commit'])
})

test('an exit is a failure in every phase up to the commit', () => {
  const way = [line('UPGRADE_PROTOCOL'), line('READY'), timer('settle'), line('SERVING')]
  for (let length = 0; length <= way.length; length += 1) expect(outcome([...way.slice(0, length), exited])).toBe('exited')
  expect(outcome([...way, timer('confirm'), exited])).toBe('committed')
})

test('the start deadline counts until it serves, and not beyond', () => {
  const way = [line('UPGRADE_PROTOCOL'), line('READY'), timer('settle')]
  for (let length = 0; length <= way.length; length += 1) expect(outcome([...way.slice(0, length), timer('start')])).toBe('timeout')
  expect(outcome([...way, line('SERVING'), timer('start'), timer('confirm')])).toBe('committed')
})

test('what is no part of the conversation is a protocol failure that says so', () => {
  expect(outcome([{ type: 'garbage' }])).toBe('protocol')
  expect(outcome([line('UPGRADE_PROTOCOL', '99')])).toBe('protocol')
  expect(outcome([line('SERVING')])).toBe('protocol')
  expect(outcome([line('READY', 'yes')])).toBe('protocol')
  expect(outcome([line('EXTEND_TIMEOUT_USEC', 'long')])).toBe('protocol')
  expect(outcome([{ type: 'mute' }, timer('mute')])).toBe('protocol')
})

test('a closed channel alone is none: the exit that follows names the reason', () => {
  expect(outcome([{ type: 'mute' }, exited])).toBe('exited')
})

const anyEvent: fc.Arbitrary<AttemptEvent> = fc.oneof(
  fc.record({ type: fc.constant('line' as const), key: fc.constantFrom('UPGRADE_PROTOCOL', 'READY', 'SERVING', 'STATUS', 'EXTEND_TIMEOUT_USEC', 'OUTPUT'), value: fc.constantFrom('1', '1', '1', '2', 'x') }),
  fc.constantFrom<AttemptEvent>({ type: 'garbage' }, { type: 'mute' }, exited, { type: 'abort', reason: 'x' }),
  fc.constantFrom('start' as const, 'settle' as const, 'confirm' as const, 'mute' as const).map(timer),
)

test('whatever happens in whatever order: one outcome at most, and no commit without READY, or after an exit', () => {
  fc.assert(fc.property(fc.array(anyEvent, { maxLength: 30 }), (events) => {
    const { effects } = run(events)
    const ends = effects.filter((effect) => effect.type === 'commit' || effect.type === 'fail')
    expect(ends.length).toBeLessThanOrEqual(1)
    expect(effects.slice(effects.findIndex((effect) => effect === ends[0]) + 1 || effects.length)).toEqual([])
    if (ends[0]?.type !== 'commit') return
    const before = events.slice(0, events.findLastIndex((event) => event.type === 'timer' && event.timer === 'confirm') + 1)
    expect(before.some((event) => event.type === 'line' && event.key === 'READY')).toBe(true)
    const committedAt = events.findIndex((_, index) => run(events.slice(0, index + 1)).state.phase === 'committed')
    expect(events.slice(0, committedAt).some((event) => event.type === 'exited' || event.type === 'abort')).toBe(false)
  }), { numRuns: 3_000 })
})
