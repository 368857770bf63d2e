import type { Failure } from '../control/shapes.ts'
import { rollback } from './back.ts'
import type { SwapEffect } from './events.ts'
import { release, type ServiceState } from './state.ts'

/** So many failed restarts are a crash loop. */
const crashLoopAttempts = 5

/** Back-off of a crashed live release: 0, 1, 2, 5, 10, then every 30 s. */
export function restartDelayMs(attempt: number): number {
  return [0, 1_000, 2_000, 5_000, 10_000][attempt] ?? 30_000
}

export function startRestarting(state: ServiceState, effects: SwapEffect[]): void {
  const id = state.confirmed as string
  const record = release(state, id)
  state.restarting = { attempt: 0, step: 'waiting' }
  if (record.process !== null) {
    // It runs, but nobody has checked it since this agent began.
    state.restarting.step = 'checking'
    effects.push({ do: 'check', release: id })
    return
  }
  effects.push({ do: 'note', release: id, what: 'restarting' }, { do: 'after', ms: restartDelayMs(0), event: { type: 'restart-due', release: id } })
}

export function waitToRestart(state: ServiceState, failure: Failure, effects: SwapEffect[]): void {
  const restarting = state.restarting as NonNullable<ServiceState['restarting']>
  const id = state.confirmed as string
  restarting.attempt += 1
  restarting.step = 'waiting'
  effects.push({ do: 'note', release: id, what: failure.message }, { do: 'after', ms: restartDelayMs(restarting.attempt), event: { type: 'restart-due', release: id } })
  const before = state.previous.at(-1)
  if (restarting.attempt === crashLoopAttempts && release(state, id).boot?.onCrashLoop === 'rollback' && before !== undefined && state.swap === null) {
    rollback(state, { type: 'rollback', to: before, command: null }, effects)
  }
}
