import { GracerError } from '../../inherit/gracer-error.ts'
import { shareGrain } from '../../proxy/canary/split.ts'
import type { MetricName } from '../../proxy/canary/unit-event.ts'
import { formatPercent, type Step } from './step-text.ts'

export type OnInconclusive = 'promote' | 'hold' | 'abort'

export type CanaryReason =
  | { readonly kind: 'worse'; readonly metric: MetricName }
  /** No statistics needed: the process ended, its check failed, a health probe is lost. */
  | { readonly kind: 'fault'; readonly what: string }
  | { readonly kind: 'inconclusive' }
  | { readonly kind: 'operator' }
  | { readonly kind: 'steps-done' }

export type CanaryMode =
  /** Goes on by itself. */
  | { readonly kind: 'running' }
  /** A person has stopped the steps, by `pause` or by setting a percentage. The analysis goes on. */
  | { readonly kind: 'paused' }
  /** At its longest time the step was inconclusive. The analysis goes on, and so does the canary once it is conclusive. */
  | { readonly kind: 'held' }
  | { readonly kind: 'promoted'; readonly reason: CanaryReason }
  | { readonly kind: 'aborted'; readonly reason: CanaryReason }

/** Where a canary is on its way. Plain data; journaled before its effect is carried out. */
export interface StepsState {
  readonly steps: readonly Step[]
  readonly onInconclusive: OnInconclusive
  readonly mode: CanaryMode
  /** The step that runs: one of `steps`, or one made of a percentage that was set by hand. */
  readonly step: Step
  /** Rises with every change of the share; the first is 1. Carried by every event of a unit. */
  readonly phase: number
  /** How long the step has run: pauses, and times in which nobody decided, not counted. */
  readonly elapsedMs: number
  /** The clock at the last event; null after a restart, when the clock is another one. */
  readonly lastMs: number | null
}

/** What the steps must know of the verdict. */
export interface Facts {
  readonly worse: MetricName | null
  readonly within: boolean
  readonly expectedUnits: number
  /** Anybody at all in this phase, on either arm. */
  readonly anybody: boolean
}

export type StepsEvent =
  /** Time has passed, or evidence has come in. */
  | { readonly type: 'look'; readonly atMs: number; readonly facts: Facts }
  | { readonly type: 'fault'; readonly what: string }
  | { readonly type: 'pause' }
  | { readonly type: 'resume' }
  | { readonly type: 'set'; readonly share: number }
  | { readonly type: 'promote' }
  | { readonly type: 'abort' }

export type StepsEffect =
  /** The share of the canary is to be this from now on, under this phase. */
  | {
      readonly type: 'share'
      readonly share: number
      readonly phase: number
      /** What could be said of the step before, where it was passed without being within; absent: it was, or a person ordered it. */
      readonly inconclusive?: string
    }
  /** All traffic to it, by the usual swap. */
  | { readonly type: 'promote'; readonly reason: CanaryReason }
  /** No new request to it, at once. */
  | { readonly type: 'abort'; readonly reason: CanaryReason }

export interface StepsOutcome {
  readonly state: StepsState
  readonly effect: StepsEffect | null
}

/** A canary at its first step. @throws GracerError where there is none. */
export function beginSteps(steps: readonly Step[], onInconclusive: OnInconclusive, atMs: number): StepsOutcome {
  const step = steps[0]
  if (step === undefined) throw new GracerError('a canary needs at least one step', { code: 'canary-steps', exitCode: 2 })
  const state: StepsState = { steps, onInconclusive, mode: { kind: 'running' }, step, phase: 1, elapsedMs: 0, lastMs: atMs }
  return { state, effect: { type: 'share', share: step.share, phase: 1 } }
}

/**
 * After a restart: the same step, with the time it had. The share is said again, because stable may serve all meanwhile;
 * so is an end, which was kept before it was carried out.
 */
export function resumeSteps(state: StepsState): StepsOutcome {
  const { mode } = state
  if (mode.kind === 'promoted') return { state, effect: { type: 'promote', reason: mode.reason } }
  if (mode.kind === 'aborted') return { state, effect: { type: 'abort', reason: mode.reason } }
  return { state: { ...state, lastMs: null }, effect: { type: 'share', share: state.step.share, phase: state.phase } }
}

export function isFinal(mode: CanaryMode): boolean {
  return mode.kind === 'promoted' || mode.kind === 'aborted'
}

/** @throws GracerError, and changes nothing, where a person asks for what cannot be. */
export function advance(state: StepsState, event: StepsEvent): StepsOutcome {
  const { mode } = state
  if (mode.kind === 'promoted' || mode.kind === 'aborted') {
    if (event.type === 'look' || event.type === 'fault') return { state, effect: null }
    throw new GracerError(`the canary has been ${mode.kind} already`, { code: 'canary-over', hint: 'See `gracer history`.' })
  }
  switch (event.type) {
    case 'look':
      return look(state, event.atMs, event.facts)
    case 'fault':
      return abort(state, { kind: 'fault', what: event.what })
    case 'pause':
      if (mode.kind === 'paused') throw new GracerError('the canary is paused already', { code: 'canary-paused' })
      return { state: { ...state, mode: { kind: 'paused' } }, effect: null }
    case 'resume':
      return resume(state)
    case 'set':
      return set(state, event.share)
    case 'promote':
      return promote(state, { kind: 'operator' })
    case 'abort':
      return abort(state, { kind: 'operator' })
  }
}

function look(before: StepsState, atMs: number, facts: Facts): StepsOutcome {
  const passed = before.lastMs === null || before.mode.kind === 'paused' ? 0 : Math.max(0, atMs - before.lastMs)
  const state = { ...before, elapsedMs: before.elapsedMs + passed, lastMs: atMs }
  if (facts.worse !== null) return abort(state, { kind: 'worse', metric: facts.worse })
  if (state.mode.kind === 'paused') return { state, effect: null }
  const { step, elapsedMs } = state
  if (elapsedMs >= step.minMs && facts.expectedUnits >= step.minUnits && facts.within) return next(state)
  // Where nobody came there is nothing to be inconclusive about: it waits.
  if (state.mode.kind === 'held' || elapsedMs < step.maxMs || !facts.anybody) return { state, effect: null }
  switch (state.onInconclusive) {
    case 'promote':
      return next(state)
    case 'abort':
      return abort(state, { kind: 'inconclusive' })
    case 'hold':
      return { state: { ...state, mode: { kind: 'held' } }, effect: null }
  }
}

/** The next step above this one's share, or all of it. */
function next(state: StepsState): StepsOutcome {
  const step = state.steps.find((one) => one.share > state.step.share)
  return step === undefined ? promote(state, { kind: 'steps-done' }) : begin({ ...state, mode: { kind: 'running' } }, step)
}

function begin(state: StepsState, step: Step): StepsOutcome {
  const phase = state.phase + 1
  return { state: { ...state, step, phase, elapsedMs: 0 }, effect: { type: 'share', share: step.share, phase } }
}

function resume(state: StepsState): StepsOutcome {
  if (state.mode.kind !== 'paused') throw new GracerError('the canary is not paused', { code: 'canary-not-paused' })
  const running: StepsState = { ...state, mode: { kind: 'running' } }
  // At 0% nobody would ever come.
  return state.step.share === 0 ? next(running) : { state: running, effect: null }
}

/** The percentage takes effect at once; the steps wait for `resume` and then go on from there. */
function set(state: StepsState, share: number): StepsOutcome {
  if (!(share === 0 || (share >= shareGrain && share < 1))) {
    const hint = share === 1 ? 'For all of the traffic: `gracer canary promote`.' : 'Give a percentage from 0.01 to 99.99, or 0.'
    throw new GracerError(`a canary cannot have ${formatPercent(share)}`, { code: 'canary-percent', exitCode: 2, hint })
  }
  const paused: StepsState = { ...state, mode: { kind: 'paused' } }
  if (share === state.step.share) return { state: paused, effect: null }
  const below = state.steps.findLast((one) => one.share <= share) ?? state.steps[0] ?? state.step
  return begin(paused, { ...below, share })
}

function promote(state: StepsState, reason: CanaryReason): StepsOutcome {
  return { state: { ...state, mode: { kind: 'promoted', reason } }, effect: { type: 'promote', reason } }
}

function abort(state: StepsState, reason: CanaryReason): StepsOutcome {
  return { state: { ...state, mode: { kind: 'aborted', reason } }, effect: { type: 'abort', reason } }
}
