import type { Failure } from '../control/shapes.ts'
import { returnsFrom } from './alone.ts'
import { canUndo, endSwap, failureAt, finish, leave } from './ends.ts'
import type { SwapEffect, SwapEvent } from './events.ts'
import { findRelease, isRunning, labelOf, release, type ServiceState, type Tentative } from './state.ts'

export function flipBack(tentative: Tentative, how: 'flipped-back' | 'rolled-back', reason: string, failure: Failure | null, effects: SwapEffect[]): void {
  tentative.ending = { how, reason, failure }
  effects.push({ do: 'unwatch', release: tentative.release }, { do: 'progress', release: tentative.release, phase: 'flipping-back', detail: reason })
}

/** The tentative release's process is gone: back to the old one, which is either warm or must be booted again. */
export function tentativeDied(state: ServiceState, tentative: Tentative, effects: SwapEffect[]): void {
  const failure = release(state, tentative.release).outcome?.failure ?? failureAt('bake', 'its process ended')
  flipBack(tentative, 'flipped-back', failure.message, failure, effects)
}

/** The table says something else than the tentative release now: it is drained and stopped. */
export function wentBack(state: ServiceState, tentative: Tentative, effects: SwapEffect[]): void {
  const ending = tentative.ending as NonNullable<Tentative['ending']>
  state.tentative = null
  if (state.confirmed !== null && isRunning(state, state.confirmed)) effects.push({ do: 'watch', release: state.confirmed, baking: false })
  if (isRunning(state, tentative.release)) leave(state, tentative.release, 'draining', effects)
  if (returnsFrom(state, tentative, ending, effects)) return
  finish(state, release(state, tentative.release), ending.how, ending.reason, ending.failure, effects)
}

/** Always accepted, and goes before everything else. */
export function rollback(state: ServiceState, event: Extract<SwapEvent, { type: 'rollback' }>, effects: SwapEffect[]): void {
  const answer = (outcome: 'busy' | 'refused' | 'already', message: string, id: string | null): void => {
    if (event.command !== null) effects.push({ do: 'answer', command: event.command, outcome, message, release: id })
  }
  if (state.closing) return answer('refused', 'gracer is shutting down', null)
  const { swap, tentative } = state
  if (swap?.step === 'returning' && (event.to === null || event.to === state.confirmed)) {
    // That is where it goes already.
    if (event.command !== null) effects.push({ do: 'follow', command: event.command, release: swap.release })
    return
  }
  if (swap?.step === 'returning' && event.to === swap.release) return answer('busy', `${labelOf(findRelease(state, swap.release))} has just failed, and the release before it is being booted again; try again`, swap.release)
  if (swap !== null && event.to === swap.release) {
    // On its way to where it is wanted.
    if (event.command !== null) effects.push({ do: 'follow', command: event.command, release: swap.release })
    return
  }
  if (swap !== null) {
    if (!canUndo(state) && swap.step !== 'returning') return answer('busy', `${labelOf(findRelease(state, swap.release))} is being flipped at this moment; try again`, swap.release)
    endSwap(state, 'aborted', 'undone by a rollback', null, effects, false)
    state.waiting = null
    if (tentative === null && event.to === null) return answer('already', 'The swap under way was undone before its flip', swap.release)
  }
  if (tentative !== null && (event.to === null || event.to === state.confirmed)) {
    if (event.command !== null) effects.push({ do: 'follow', command: event.command, release: tentative.release })
    if (tentative.ending === null) flipBack(tentative, 'rolled-back', 'rolled back by command', null, effects)
    return
  }
  const target = event.to ?? state.previous.at(-1) ?? null
  const record = findRelease(state, target)
  if (record === undefined) return answer('refused', event.to === null ? 'There is no earlier confirmed release to go back to' : `There is no release ${event.to}`, null)
  if (record.id === state.committed.live) return answer('already', `${labelOf(record)} is live already`, record.id)
  // Its process is gone and being started afresh: a swap beside that would start it twice.
  if (record.id === state.confirmed) return answer('already', `${labelOf(record)} is restarting already`, record.id)
  record.outcome = null
  const leaving = state.leaving.find((one) => one.release === record.id)
  if (leaving?.step === 'draining') state.leaving = state.leaving.filter((one) => one !== leaving)
  state.swap = { release: record.id, step: 'queued', attempts: 1, from: state.committed.live, warm: record.process !== null, wish: 'none' }
  if (event.command !== null) effects.push({ do: 'follow', command: event.command, release: record.id })
  effects.push({ do: 'progress', release: record.id, phase: 'queued', detail: null })
}
