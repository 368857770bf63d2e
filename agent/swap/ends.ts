import type { Failure, OutcomeName } from '../control/shapes.ts'
import type { SwapEffect } from './events.ts'
import { endHooksOf } from './hooks.ts'
import { isInPlaceOf, mayBeSent, release, type Leaving, type ReleaseRecord, type ServiceState, type Swap } from './state.ts'

/** Before the flip is committed or on its way to be: only then can a swap be undone. */
export function canUndo(state: ServiceState): boolean {
  return state.swap !== null && state.swap.step !== 'returning' && !(state.swap.step === 'flipping' && state.pending?.live === state.swap.release) && state.committed.live !== state.swap.release
}

/**
 * Ends the swap before its flip. The old release was never touched; where it had to make room it is booted again, and
 * the outcome waits for that, unless something else takes its place at once (`stopIt` false).
 */
export function endSwap(state: ServiceState, how: OutcomeName, reason: string, failure: Failure | null, effects: SwapEffect[], stopIt = true): void {
  const swap = state.swap as NonNullable<ServiceState['swap']>
  const record = release(state, swap.release)
  state.swap = null
  if (swap.step === 'returning') {
    const { ending } = swap
    return finish(state, record, ending?.how ?? how, ending?.reason ?? reason, ending?.failure ?? failure, effects)
  }
  endHooksOf(state, record.id, effects)
  const leavesAlready = state.leaving.some((one) => one.release === record.id)
  // A warm process may still have requests from when it was live.
  if (record.process !== null && !leavesAlready) leave(state, record.id, swap.warm || hadCanary(swap) ? 'draining' : 'stopping', effects)
  else if (stopIt) effects.push({ do: 'unwatch', release: record.id })
  // The order to start it is on its way: its place is taken until the master has answered.
  if (swap.step === 'booting' && record.process === null && !leavesAlready) state.leaving.push({ release: record.id, step: 'stopping' })
  const madeRoom = isInPlaceOf(swap) || (swap.alone === true && swap.step === 'flipping')
  if (madeRoom && stopIt && !state.closing && state.confirmed !== null) {
    state.swap = { ...swap, step: 'returning', ending: { how, reason, failure } }
    effects.push({ do: 'progress', release: record.id, phase: 'returning', detail: reason })
    return
  }
  finish(state, record, how, reason, failure, effects)
}

/** Visitors may have requests on it. */
export function hadCanary(swap: Swap): boolean {
  return swap.canary !== undefined && swap.canary !== null
}

export function leave(state: ServiceState, id: string, how: 'draining' | 'stopping', effects: SwapEffect[]): void {
  state.leaving = [...state.leaving.filter((one) => one.release !== id), { release: id, step: how }]
  effects.push({ do: 'unwatch', release: id })
  askToLeave(state, { release: id, step: how }, effects)
}

/** Nothing is drained while requests may still be sent to it, or may be soon: the commit that takes it out of the table asks for it. */
export function askToLeave(state: ServiceState, leaving: Leaving, effects: SwapEffect[]): void {
  if (leaving.step === 'stopping') effects.push({ do: 'stop', release: leaving.release })
  else if (!mayBeSent(state, leaving.release)) effects.push({ do: 'drain', release: leaving.release })
}

export function finish(state: ServiceState, record: ReleaseRecord, name: OutcomeName, reason: string | null, failure: Failure | null, effects: SwapEffect[]): void {
  record.outcome = { name, reason, failure }
  if (record.dropKey !== null) state.tried[record.dropKey] = name
  effects.push({ do: 'outcome', release: record.id })
}

export function failureAt(stage: Failure['stage'], message: string): Failure {
  return { stage, message, attempts: 0, lastStatus: null, lastLocation: null, lastError: null, elapsedMs: 0, deadlineMs: null, exit: null, lastLines: [], logFile: null }
}
