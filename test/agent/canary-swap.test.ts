import { describe, expect, it } from 'vitest'
import { failureAt } from '../../agent/swap/ends.ts'
import type { SwapEffect, SwapEvent } from '../../agent/swap/events.ts'
import { recover } from '../../agent/swap/recover.ts'
import { newServiceState, stateOf, type BootPlan, type DeployRequest, type ServiceState } from '../../agent/swap/state.ts'
import { step } from '../../agent/swap/swap.ts'

const plan = (always: boolean): BootPlan => ({ command: ['app'], socket: 'inherit', env: {}, bakeMs: 1_000, onCrashLoop: 'hold', stopMs: 100, canary: { always, salt: 's' } })
const request = (overrides: Partial<DeployRequest> = {}): DeployRequest => ({ origin: 'swap', source: '/b', name: null, dropKey: null, command: null, supersede: false, noticedAt: 0, ...overrides })

/** A service whose v1 is confirmed and live. */
function live(): ServiceState {
  const state = newServiceState('shop')
  const committed = { state: 'serving', live: 'v1', port: 1001, fallback: null, reason: null } as const
  Object.assign(state, {
    nextNumber: 2, confirmed: 'v1', committed, committedNumber: 1,
    releases: [{ id: 'v1', number: 1, name: null, source: '/a', dropKey: null, origin: 'start', noticedAt: 0, boot: plan(true), process: { pid: 1, port: 1001, healthy: true }, everConfirmed: true, outcome: null }],
  })
  return state
}

function take(state: ServiceState, ...events: SwapEvent[]): SwapEffect[] {
  return events.flatMap((event) => step(state, event))
}

/** v2 up to its health check. */
function booted(state: ServiceState, overrides: Partial<DeployRequest> = {}, always = true): SwapEffect[] {
  return take(state,
    { type: 'deploy', request: request(overrides) },
    { type: 'taken-in', release: 'v2', plan: plan(always) },
    { type: 'spawned', release: 'v2', pid: 2, port: 1002 },
    { type: 'healthy', release: 'v2', pid: 2 })
}

const share = (value: number, phase: number): SwapEvent => ({ type: 'canary-share', release: 'v2', share: value, phase, why: '' })
const committed: SwapEvent = { type: 'committed', number: 2 }
const dos = (effects: readonly SwapEffect[]): string[] => effects.map((effect) => effect.do)

describe('a swap with a canary', () => {
  it('comes between health and flip: judged, and in the table beside the live release', () => {
    const state = live()
    expect(dos(booted(state))).toContain('judge')
    expect(state.swap?.step).toBe('canary')
    expect(state.pending).toBeNull()
    expect(take(state, share(0.05, 1))).toContainEqual({ do: 'commit', route: { state: 'serving', live: 'v1', port: 1001, fallback: null, reason: null, canary: { release: 'v2', port: 1002, share: 0.05, phase: 1 } } })
    take(state, committed)
    expect(stateOf(state, state.releases[1] as never)).toBe('canary')
    take(state, share(0.25, 2), committed, { type: 'canary-promote', release: 'v2', why: '' })
    expect(state.pending).toMatchObject({ live: 'v2', fallback: 'v1' })
    expect(state.pending?.canary).toBeUndefined()
    take(state, committed)
    expect(state.tentative).toMatchObject({ release: 'v2', fallback: 'v1' })
  })

  it('is none for a first release, where the config has no steps, and where the command says so', () => {
    const first = newServiceState('shop')
    take(first, { type: 'deploy', request: request() }, { type: 'taken-in', release: 'v1', plan: plan(true) }, { type: 'spawned', release: 'v1', pid: 2, port: 1 }, { type: 'healthy', release: 'v1', pid: 2 })
    expect(first.swap?.step).toBe('flipping')
    for (const [wish, always, expected] of [[undefined, false, 'flipping'], ['none', true, 'flipping'], [0.1, false, 'canary'], [0, false, 'canary'], [undefined, true, 'canary']] as const) {
      const state = live()
      booted(state, wish === undefined ? {} : { canary: wish }, always)
      expect(state.swap?.step, `${wish} ${always}`).toBe(expected)
    }
  })

  it('goes back at once when it is bad: out of the table first, then drained, then stopped', () => {
    const state = live()
    booted(state)
    take(state, share(0.05, 1), committed)
    const ended = take(state, { type: 'canary-end', release: 'v2', how: 'failed', failure: failureAt('canary', 'it is worse') })
    expect(ended).toContainEqual({ do: 'commit', route: { state: 'serving', live: 'v1', port: 1001, fallback: null, reason: null } })
    expect(dos(ended)).not.toContain('drain')
    expect(dos(take(state, committed))).toContain('drain')
    expect(dos(take(state, { type: 'quiet', release: 'v2' }))).toContain('stop')
    expect(state.releases[1]?.outcome).toMatchObject({ name: 'failed', failure: { stage: 'canary' } })
  })

  it('is not drained while the change that would begin it is on its way', () => {
    const state = live()
    booted(state)
    take(state, share(0.05, 1))
    expect(dos(take(state, { type: 'rollback', to: null, command: null }))).not.toContain('drain')
    expect(dos(take(state, { type: 'refused', message: 'a worker is mute' }))).toContain('drain')
  })

  it('fails without statistics when its process ends or its probes fail', () => {
    for (const event of [{ type: 'exited', release: 'v2', pid: 2, failure: failureAt('canary', 'it exited') }, { type: 'sick', release: 'v2', failure: failureAt('bake', 'no answer') }] as const) {
      const state = live()
      booted(state)
      take(state, share(0.05, 1), committed)
      expect(dos(take(state, event))).toContain('commit')
      expect(state.releases[1]?.outcome).toMatchObject({ name: 'failed', failure: { stage: 'canary' } })
    }
  })

  it('keeps the place: another swap is busy, and a rollback goes before it', () => {
    const state = live()
    booted(state)
    take(state, share(0.05, 1), committed)
    expect(take(state, { type: 'deploy', request: request({ command: 7 }) })).toContainEqual({
      do: 'answer', command: 7, outcome: 'busy', message: 'v2 is a canary at 5%; one swap at a time', release: 'v2',
    })
    take(state, { type: 'deploy', request: request({ command: 8, supersede: true }) })
    expect(state.releases[1]?.outcome?.name).toBe('superseded')
    const other = live()
    booted(other)
    take(other, share(0.05, 1), committed, { type: 'rollback', to: null, command: null })
    expect(other.swap).toBeNull()
    expect(other.releases[1]?.outcome?.name).toBe('aborted')
  })

  it('waits for the bake of the release before it, so that it is compared with a confirmed one', () => {
    const state = live()
    booted(state, { canary: 'none' })
    take(state, committed)
    expect(state.tentative?.release).toBe('v2')
    const effects = take(state, { type: 'deploy', request: request() }, { type: 'taken-in', release: 'v3', plan: plan(true) }, { type: 'spawned', release: 'v3', pid: 3, port: 1003 }, { type: 'healthy', release: 'v3', pid: 3 })
    expect(dos(effects)).not.toContain('judge')
    expect(dos(take(state, { type: 'quiet', release: 'v1' }, { type: 'bake-over', release: 'v2', since: 2 }, committed))).toContain('judge')
  })

  it('serves on while the live release restarts: its visitors go to it, the others are held', () => {
    const state = live()
    booted(state)
    take(state, share(0.05, 1), committed, { type: 'exited', release: 'v1', pid: 1, failure: failureAt('bake', 'it exited') })
    expect(state.pending).toMatchObject({ state: 'holding', live: null, canary: { release: 'v2' } })
  })
})

describe('an agent that finds a canary', () => {
  const found = (masterIsNew: boolean, running: Record<string, number> = { v1: 1, v2: 2 }) => {
    const state = live()
    booted(state)
    take(state, share(0.05, 1), committed)
    // What the master has put in its place by itself.
    const table = { state: 'serving', live: 'v1', port: 1001, fallback: null, reason: null } as const
    const world = { committed: table, committedNumber: 3, masterIsNew, running: new Map(Object.entries(running).map(([id, pid]) => [id, { pid, port: 1000 + pid }])) }
    return { state, effects: recover(state, world) }
  }

  it('checks it, and calls its judge again: until that speaks, nobody is sent to it', () => {
    const { state, effects } = found(false)
    expect(effects).toContainEqual({ do: 'check', release: 'v2' })
    expect(dos(take(state, { type: 'healthy', release: 'v2', pid: 2 }))).toContain('judge')
    expect(state.pending).toBeNull()
    expect(dos(take(state, share(0.05, 1)))).toContain('commit')
  })

  it('lets it fall where its process has ended meanwhile', () => {
    const { state } = found(false, { v1: 1 })
    expect(state.swap).toBeNull()
    expect(state.releases[1]?.outcome).toMatchObject({ name: 'failed', reason: "its process ended while gracer's agent was away" })
  })

  it('lets it fall under a new master, and drains it before it is stopped', () => {
    const { state, effects } = found(true)
    expect(state.swap).toBeNull()
    expect(state.releases[1]?.outcome).toMatchObject({ name: 'aborted', failure: { stage: 'canary' } })
    expect(dos(effects)).toContain('drain')
    expect(dos(effects)).not.toContain('stop')
  })
})
