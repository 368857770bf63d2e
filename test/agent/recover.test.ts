import { describe, expect, it } from 'vitest'
import { recover, type World } from '../../agent/swap/recover.ts'
import { newServiceState, nothingLive } from '../../agent/swap/state.ts'
import { step } from '../../agent/swap/swap.ts'

const serving = { state: 'serving', live: 'v7', port: 4007, fallback: null, reason: null } as const

function world(overrides: Partial<World>): World {
  return { committed: nothingLive, committedNumber: 9, running: new Map(), masterIsNew: false, ...overrides }
}

// The pairs of journal and table are all walked through by the simulation; here is what it cannot see: a lost journal.
describe('recovery without a journal', () => {
  it('keeps what is live and runs, stops what else runs, and numbers on from there', () => {
    const state = newServiceState('default')
    const effects = recover(state, world({ committed: serving, running: new Map([['v7', { pid: 70, port: 4007 }], ['v8', { pid: 80, port: 4008 }]]) }))
    expect(effects).toContainEqual({ do: 'stop-stray', release: 'v8' })
    expect(effects.filter((effect) => effect.do === 'commit' || effect.do === 'stop')).toEqual([])
    expect(state).toMatchObject({ confirmed: 'v7', nextNumber: 8, pending: null })
  })

  it('holds and says so where the live one is gone too', () => {
    const state = newServiceState('default')
    const effects = recover(state, world({ committed: serving }))
    expect(effects).toContainEqual({ do: 'commit', route: nothingLive })
    expect(state.confirmed).toBeNull()
  })

  it('holds requests, and does not route them anywhere, when the kept one dies afterwards', () => {
    const state = newServiceState('default')
    recover(state, world({ committed: serving, running: new Map([['v7', { pid: 70, port: 4007 }]]) }))
    const failure = { stage: 'bake', message: 'its process ended', attempts: 0, lastStatus: null, lastLocation: null, lastError: null, elapsedMs: 0, deadlineMs: null, exit: null, lastLines: [], logFile: null } as const
    const effects = step(state, { type: 'exited', release: 'v7', pid: 70, failure })
    expect(effects).toContainEqual(expect.objectContaining({ do: 'commit', route: expect.objectContaining({ state: 'holding', live: null }) as unknown }))
  })
})
