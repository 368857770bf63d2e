import { describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { answerOf, firstState, step, type AppId, type CycleEvent, type CycleState, type Effect } from '../../agent/dev/cycle.ts'
import { describeFailure } from '../../agent/dev/failure.ts'

const failure = describeFailure({ stage: 'boot', title: 'It failed.', output: [], folder: '/app', command: 'node a.js' })
const app = (number: number): AppId => `dev/d${number}`

/** Runs events one after the other; what was to be done, in order. */
function run(state: CycleState, ...events: CycleEvent[]): { state: CycleState; effects: Effect[] } {
  const effects: Effect[] = []
  for (const event of events) {
    const next = step(state, event)
    state = next.state
    effects.push(...next.effects)
  }
  return { state, effects }
}

const plain = firstState({ build: false, keepOld: false }, true)
const code: CycleEvent = { type: 'settled', change: 'code' }
const changed: CycleEvent = { type: 'changed' }
const served = run(plain, code, { type: 'booted', app: app(1) }).state
const names = (effects: readonly Effect[]): string[] => effects.map((effect) => effect.type)

describe('a save', () => {
  test('makes requests wait from the moment it is noticed until the new code answers', () => {
    expect(answerOf(served)).toEqual({ kind: 'go', app: app(1) })
    const noticed = run(served, changed)
    expect(answerOf(noticed.state).kind).toBe('wait')
    const booting = run(noticed.state, code)
    expect(booting.effects).toEqual([{ type: 'boot', app: app(2) }])
    expect(answerOf(booting.state).kind).toBe('wait')
    const live = run(booting.state, { type: 'booted', app: app(2) })
    expect(answerOf(live.state)).toEqual({ kind: 'go', app: app(2) })
    expect(live.effects).toContainEqual({ type: 'retire', app: app(1), hurry: false })
  })

  test('during a boot begins that boot again', () => {
    const { effects, state } = run(served, changed, code, changed, code)
    expect(effects).toEqual([{ type: 'await-quiet' }, { type: 'boot', app: app(2) }, { type: 'drop', app: app(2) }, { type: 'await-quiet' }, { type: 'boot', app: app(3) }])
    expect(run(state, { type: 'booted', app: app(2) }).state).toBe(state)
  })

  test('that changes nothing goes back to where it was, unless it has stopped a boot', () => {
    expect(answerOf(run(served, changed, { type: 'settled', change: 'nothing' }).state)).toEqual({ kind: 'go', app: app(1) })
    expect(names(run(served, changed, code, changed, { type: 'settled', change: 'nothing' }).effects).at(-1)).toBe('boot')
  })

  test('of stylesheets alone boots nothing where the app serves them as they are on disk', () => {
    const asked = run(served, changed, { type: 'settled', change: 'styles' })
    expect(names(asked.effects)).toEqual(['await-quiet', 'check-styles'])
    expect(names(run(asked.state, { type: 'styles-checked', served: true }).effects)).toEqual(['report', 'wake'])
    expect(names(run(asked.state, { type: 'styles-checked', served: false }).effects)).toEqual(['boot'])
  })

  test('during a build begins that build again', () => {
    const building = run(firstState({ build: true, keepOld: false }, true), code)
    expect(names(building.effects)).toEqual(['build'])
    expect(names(run(building.state, changed, code).effects)).toEqual(['end-build', 'await-quiet', 'build'])
    expect(run(building.state, changed, { type: 'built', build: 1, failure: null }).effects).toHaveLength(2)
  })
})

describe('a boot that fails', () => {
  const bad = run(served, changed, code, { type: 'boot-failed', app: app(2), failure, clash: false })

  test('leaves the old code running and answers with the failure, until the next good save', () => {
    expect(bad.state.live).toBe(app(1))
    expect(answerOf(bad.state)).toEqual({ kind: 'fail', failure })
    expect(answerOf(run(bad.state, changed, code, { type: 'booted', app: app(3) }).state)).toEqual({ kind: 'go', app: app(3) })
  })

  test('is answered by the old code where that is asked for', () => {
    const kept = { ...bad.state, settings: { build: false, keepOld: true } }
    expect(answerOf(kept)).toEqual({ kind: 'go', app: app(1) })
    expect(answerOf(run(kept, { type: 'exited', app: app(1), failure, clash: false }).state)).toEqual({ kind: 'fail', failure })
  })

  test('for a port that the old code holds is tried again without it, from then on always', () => {
    const clashed = run(served, changed, code, { type: 'boot-failed', app: app(2), failure, clash: true })
    expect(names(clashed.effects).slice(-2)).toEqual(['say-no-overlap', 'retire'])
    const again = run(clashed.state, { type: 'gone', app: app(1) })
    expect(again.effects).toEqual([{ type: 'boot', app: app(3) }])
    const next = run(again.state, { type: 'booted', app: app(3) }, changed, code)
    expect(next.effects.at(-1)).toEqual({ type: 'retire', app: app(3), hurry: true })
  })
})

test('an app that listens first and then misses the port that the old code holds is booted again when that is gone', () => {
  const flipped = run(served, changed, code, { type: 'booted', app: app(2) })
  const clashed = run(flipped.state, { type: 'exited', app: app(2), failure, clash: true })
  expect(names(clashed.effects)).toEqual(['say-no-overlap'])
  expect(answerOf(clashed.state).kind).toBe('wait')
  expect(run(clashed.state, { type: 'gone', app: app(2) }, { type: 'gone', app: app(1) }).effects).toEqual([{ type: 'boot', app: app(3) }])
})

test('an app that ends by itself is a failure that is told, and a save brings it back', () => {
  const dead = run(served, { type: 'exited', app: app(1), failure, clash: false })
  expect(answerOf(dead.state)).toEqual({ kind: 'fail', failure })
  expect(answerOf(run(dead.state, changed, code, { type: 'booted', app: app(2) }).state)).toEqual({ kind: 'go', app: app(2) })
  // In the middle of a save nothing is told twice, and a save that turns out to be none still boots.
  const during = run(served, changed, { type: 'exited', app: app(1), failure, clash: false }, { type: 'settled', change: 'nothing' })
  expect(names(during.effects)).toEqual(['await-quiet', 'boot'])
})

/** Any order of events, as far as the outside could bring them about. */
const anyEvent = (state: CycleState, choice: number): CycleEvent => {
  const { phase, live, leaving } = state
  const possible: CycleEvent[] = [changed, { type: 'reload-asked' }]
  if (phase.kind === 'settling') for (const change of ['nothing', 'styles', 'code'] as const) possible.push({ type: 'settled', change })
  if (phase.kind === 'checking-styles') possible.push({ type: 'styles-checked', served: true }, { type: 'styles-checked', served: false })
  if (phase.kind === 'building') possible.push({ type: 'built', build: phase.build, failure: null }, { type: 'built', build: phase.build, failure }, { type: 'built', build: phase.build - 1, failure: null })
  if (phase.kind === 'booting') for (const clash of [true, false]) possible.push({ type: 'boot-failed', app: phase.app, failure, clash })
  if (phase.kind === 'booting') possible.push({ type: 'booted', app: phase.app })
  if (live !== null) possible.push({ type: 'exited', app: live, failure, clash: false }, { type: 'exited', app: live, failure, clash: true }, { type: 'gone', app: live })
  for (const one of leaving) possible.push({ type: 'gone', app: one })
  return possible[choice % possible.length] as CycleEvent
}

test('in any order of events: old code never answers after a save, apps that cannot run twice do not, nothing waits for ever', () => {
  fc.assert(fc.property(fc.boolean(), fc.boolean(), fc.boolean(), fc.array(fc.nat(), { minLength: 1, maxLength: 60 }), (build, keepOld, overlap, choices) => {
    let state = firstState({ build, keepOld }, overlap)
    const running = new Set<AppId>()
    let stale = true
    for (const [index, choice] of choices.entries()) {
      const event = index === 0 ? code : anyEvent(state, choice)
      if (event.type === 'changed') stale = true
      if (event.type === 'gone' || event.type === 'exited') running.delete(event.app)
      const next = step(state, event)
      state = next.state
      if (event.type === 'booted' || (event.type === 'settled' && event.change === 'nothing') || (event.type === 'styles-checked' && event.served)) stale = answerOf(state).kind !== 'go'
      for (const effect of next.effects) {
        if (effect.type !== 'boot') continue
        if (!state.overlap) expect([...running].filter((one) => one === state.live)).toEqual([])
        running.add(effect.app)
      }
      const answer = answerOf(state)
      if (answer.kind === 'go' && !keepOld) expect(stale).toBe(false)
      if (answer.kind === 'go') expect(answer.app).toBe(state.live)
      // Whatever waits, waits for something that is under way.
      if (answer.kind === 'wait') expect(['settling', 'checking-styles', 'building', 'clearing', 'booting']).toContain(state.phase.kind)
      if (state.phase.kind === 'clearing') expect(state.leaving.length).toBeGreaterThan(0)
    }
    expect(answerOf(step(state, { type: 'end' }).state).kind).toBe('ending')
  }), { numRuns: 2_000 })
})
