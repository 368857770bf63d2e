import type { Failure } from '../control/shapes.ts'
import { formatPercent } from '../canary/step-text.ts'
import { endSwap } from './ends.ts'
import type { SwapEffect, SwapEvent } from './events.ts'
import { findRelease, labelOf, release, type CanaryRun, type ServiceState, type Swap } from './state.ts'

/**
 * The release is healthy: before everybody gets it, a share of the visitors does. False where it is to flip at once: it
 * has no canary, or there is nothing that it could be compared with, or it was confirmed before.
 */
export function beginCanary(state: ServiceState, swap: Swap, effects: SwapEffect[]): boolean {
  const record = release(state, swap.release)
  if (swap.canary === undefined) {
    const planned = record.boot?.canary ?? null
    const isWished = swap.wish === undefined ? planned?.always === true : swap.wish !== 'none'
    const isComparable = state.confirmed !== null && state.confirmed !== record.id && !record.everConfirmed && swap.alone !== true
    swap.canary = planned !== null && isWished && isComparable ? { begun: false, share: null, phase: 0, salt: planned.salt } : null
  }
  // Taken up again by another agent: the table is without it until its judge has begun again.
  else if (swap.canary !== null) Object.assign(swap.canary, { begun: false, share: null })
  if (swap.canary === null) return false
  swap.step = 'canary'
  const detail = state.tentative === null ? null : `waits for the bake of ${labelOf(findRelease(state, state.tentative.release))} to end`
  effects.push({ do: 'watch', release: record.id, baking: true }, { do: 'progress', release: record.id, phase: 'canary', detail })
  return true
}

/** Its judge is called once there is a confirmed release that it can be compared with. */
export function judgeWhenPossible(state: ServiceState, effects: SwapEffect[]): boolean {
  const { swap } = state
  if (swap?.step !== 'canary' || swap.canary === undefined || swap.canary === null) return false
  if (swap.canary.begun || state.tentative !== null || state.closing) return false
  swap.canary.begun = true
  effects.push({ do: 'judge', release: swap.release })
  return true
}

/** The judge, or a person by way of it, has changed the share. */
export function canaryShare(state: ServiceState, event: Extract<SwapEvent, { type: 'canary-share' }>, effects: SwapEffect[]): void {
  const run = runOf(state, event.release)
  if (run === null || !run.begun) return
  run.share = event.share
  run.phase = event.phase
  effects.push({ do: 'progress', release: event.release, phase: 'canary', detail: event.why })
}

/** Its steps are done, or a person has seen enough: on to the flip that every swap ends with. */
export function canaryPromote(state: ServiceState, event: Extract<SwapEvent, { type: 'canary-promote' }>, effects: SwapEffect[]): void {
  const { swap } = state
  if (swap === null || runOf(state, event.release) === null) return
  swap.step = 'flipping'
  effects.push({ do: 'progress', release: event.release, phase: 'canary', detail: event.why }, { do: 'progress', release: event.release, phase: 'flipping', detail: null })
}

/** It is worse than the old release, or a person says so: every new request goes to stable from here on. */
export function canaryEnd(state: ServiceState, event: Extract<SwapEvent, { type: 'canary-end' }>, effects: SwapEffect[]): void {
  if (runOf(state, event.release) === null) return
  endSwap(state, event.how, event.failure.message, event.failure, effects)
}

/** What its judge has seen: kept with the release, so that the receipt of another agent can tell of it. */
export function canaryReport(state: ServiceState, event: Extract<SwapEvent, { type: 'canary-report' }>): void {
  const record = findRelease(state, event.release)
  if (record !== undefined) record.canary = event.report
}

/** A canary whose probes fail needs no statistics. */
export function canarySick(state: ServiceState, id: string, failure: Failure, effects: SwapEffect[]): boolean {
  if (runOf(state, id) === null) return false
  endSwap(state, 'failed', failure.message, { ...failure, stage: 'canary' }, effects)
  return true
}

/** What a canary is at, in two words. */
export function canaryPlace(swap: Swap): string | null {
  if (swap.step !== 'canary' || swap.canary === undefined || swap.canary === null) return null
  return swap.canary.share === null ? 'a canary' : `a canary at ${formatPercent(swap.canary.share)}`
}

/** The run of the release, while it is in its canary. */
function runOf(state: ServiceState, id: string): CanaryRun | null {
  const { swap } = state
  return swap?.release === id && swap.step === 'canary' ? (swap.canary ?? null) : null
}
