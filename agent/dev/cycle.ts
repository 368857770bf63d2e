import { releaseKey, type ReleaseId } from '../../proxy/release-key.ts'
import type { DevFailure } from './failure.ts'

/** The name of the one service. */
export const devService = 'dev'

/** One boot of the app: 'dev/d7'. */
export type AppId = ReleaseId

/** The first boot, where nothing is built. */
export const firstApp: AppId = releaseKey(devService, 'd1')

/** What the next boot would be. */
export function nextApp({ number }: CycleState): AppId {
  return releaseKey(devService, `d${number + 1}`)
}

export type Phase =
  /** The newest code answers. */
  | { readonly kind: 'idle' }
  /** A save was noticed; more may follow. `before`: where to return if it turns out that nothing has changed. */
  | { readonly kind: 'settling'; readonly before: Extract<Phase, { kind: 'idle' | 'failed' }> | null }
  /** Only stylesheets have changed: does the running app serve them as they are on disk? */
  | { readonly kind: 'checking-styles' }
  | { readonly kind: 'building'; readonly build: number }
  /** What ran before is ended first, because it cannot run beside the new one. */
  | { readonly kind: 'clearing' }
  | { readonly kind: 'booting'; readonly app: AppId }
  | { readonly kind: 'failed'; readonly failure: DevFailure }
  | { readonly kind: 'ending' }

export interface CycleState {
  readonly phase: Phase
  /** What answers, or would if it were asked. */
  readonly live: AppId | null
  /** Told to end, and not gone yet. */
  readonly leaving: readonly AppId[]
  /** Of the last build or boot. */
  readonly number: number
  readonly overlap: boolean
  readonly settings: { readonly build: boolean; readonly keepOld: boolean }
}

export type CycleEvent =
  | { readonly type: 'changed' }
  /** Nothing more has changed for a while; all in all it was this. */
  | { readonly type: 'settled'; readonly change: 'nothing' | 'styles' | 'code' }
  | { readonly type: 'styles-checked'; readonly served: boolean }
  | { readonly type: 'built'; readonly build: number; readonly failure: DevFailure | null }
  | { readonly type: 'booted'; readonly app: AppId }
  /** `clash`: it wanted a port that the live app holds. */
  | { readonly type: 'boot-failed'; readonly app: AppId; readonly failure: DevFailure; readonly clash: boolean }
  /** `clash`: as above, of an app that listens before it finds that out. */
  | { readonly type: 'exited'; readonly app: AppId; readonly failure: DevFailure; readonly clash: boolean }
  | { readonly type: 'gone'; readonly app: AppId }
  | { readonly type: 'reload-asked' }
  | { readonly type: 'end' }

export type Effect =
  /** Tell when nothing has changed for a while. */
  | { readonly type: 'await-quiet' }
  | { readonly type: 'check-styles' }
  | { readonly type: 'build'; readonly build: number }
  | { readonly type: 'end-build' }
  | { readonly type: 'boot'; readonly app: AppId }
  /** Its boot is of no use any more. */
  | { readonly type: 'drop'; readonly app: AppId }
  /** No more requests go there: let it finish those it has, then end it. */
  | { readonly type: 'retire'; readonly app: AppId; readonly hurry: boolean }
  /** Old and new cannot run at the same time. */
  | { readonly type: 'say-no-overlap' }
  /** Waiting requests are to be decided again. */
  | { readonly type: 'wake' }
  | { readonly type: 'report'; readonly outcome: Outcome }
  | { readonly type: 'end-all' }

export type Outcome =
  | { readonly kind: 'live'; readonly app: AppId }
  | { readonly kind: 'styles' }
  | { readonly kind: 'failed'; readonly failure: DevFailure }
  | { readonly kind: 'nothing' }

export interface Step {
  readonly state: CycleState
  readonly effects: readonly Effect[]
}

/** What a request that begins now gets. */
export type Answer =
  | { readonly kind: 'go'; readonly app: AppId }
  | { readonly kind: 'wait' }
  | { readonly kind: 'fail'; readonly failure: DevFailure }
  | { readonly kind: 'ending' }

export function firstState(settings: CycleState['settings'], overlap: boolean): CycleState {
  return { phase: { kind: 'settling', before: null }, live: null, leaving: [], number: 0, overlap, settings }
}

export function answerOf(state: CycleState): Answer {
  const { phase, live } = state
  switch (phase.kind) {
    case 'idle':
      return live === null ? { kind: 'wait' } : { kind: 'go', app: live }
    case 'failed':
      return state.settings.keepOld && live !== null ? { kind: 'go', app: live } : { kind: 'fail', failure: phase.failure }
    case 'ending':
      return { kind: 'ending' }
    case 'settling':
    case 'checking-styles':
    case 'building':
    case 'clearing':
    case 'booting':
      return { kind: 'wait' }
  }
}

/** The story of a save: notice, settle, build, boot, flip. Pure. */
export function step(state: CycleState, event: CycleEvent): Step {
  if (state.phase.kind === 'ending') return { state, effects: [] }
  switch (event.type) {
    case 'changed':
      return changed(state)
    case 'settled':
      return state.phase.kind === 'settling' ? settled(state, state.phase, event.change) : same(state)
    case 'styles-checked':
      if (state.phase.kind !== 'checking-styles') return same(state)
      if (!event.served) return begin(state, [])
      return { state: { ...state, phase: { kind: 'idle' } }, effects: [{ type: 'report', outcome: { kind: 'styles' } }, { type: 'wake' }] }
    case 'built':
      if (state.phase.kind !== 'building' || state.phase.build !== event.build) return same(state)
      return event.failure === null ? boot(state, []) : fail(state, event.failure)
    case 'booted':
      return state.phase.kind === 'booting' && state.phase.app === event.app ? flip(state, event.app) : same(state)
    case 'boot-failed':
      return bootFailed(state, event)
    case 'exited':
      return exited(state, event)
    case 'gone': {
      const left = { ...state, leaving: state.leaving.filter((app) => app !== event.app) }
      return left.phase.kind === 'clearing' ? boot(left, []) : same(left)
    }
    case 'reload-asked': {
      const { state: stopped, effects } = interrupt(state)
      return begin(stopped, effects)
    }
    case 'end':
      return { state: { ...state, phase: { kind: 'ending' }, live: null }, effects: [{ type: 'end-all' }, { type: 'wake' }] }
  }
}

function same(state: CycleState): Step {
  return { state, effects: [] }
}

function changed(state: CycleState): Step {
  const { phase } = state
  if (phase.kind === 'settling') return { state, effects: [{ type: 'await-quiet' }] }
  // What was under way has read the files as they were before: it is begun again, even if they turn out to be the same.
  const before = phase.kind === 'idle' || phase.kind === 'failed' ? phase : null
  const { state: stopped, effects } = interrupt(state)
  return { state: { ...stopped, phase: { kind: 'settling', before } }, effects: [...effects, { type: 'await-quiet' }] }
}

function settled(state: CycleState, phase: Extract<Phase, { kind: 'settling' }>, change: 'nothing' | 'styles' | 'code'): Step {
  const { before } = phase
  if (change === 'nothing' && before !== null && (before.kind === 'failed' || state.live !== null)) {
    return { state: { ...state, phase: before }, effects: [{ type: 'report', outcome: { kind: 'nothing' } }, { type: 'wake' }] }
  }
  if (change === 'styles' && before?.kind === 'idle' && state.live !== null && !state.settings.build) {
    return { state: { ...state, phase: { kind: 'checking-styles' } }, effects: [{ type: 'check-styles' }] }
  }
  return begin(state, [])
}

/** Ends the build or boot under way. */
function interrupt(state: CycleState): Step {
  const { phase } = state
  if (phase.kind === 'building') return { state, effects: [{ type: 'end-build' }] }
  if (phase.kind !== 'booting') return same(state)
  return { state: { ...state, leaving: [...state.leaving, phase.app] }, effects: [{ type: 'drop', app: phase.app }] }
}

function begin(state: CycleState, effects: readonly Effect[]): Step {
  const number = state.number + 1
  if (!state.settings.build) return boot({ ...state, number }, effects)
  return { state: { ...state, number, phase: { kind: 'building', build: number } }, effects: [...effects, { type: 'build', build: number }] }
}

function boot(state: CycleState, effects: readonly Effect[]): Step {
  const { live } = state
  if (!state.overlap && live !== null) {
    const leaving = [...state.leaving, live]
    return { state: { ...state, live: null, leaving, phase: { kind: 'clearing' } }, effects: [...effects, { type: 'retire', app: live, hurry: true }] }
  }
  if (!state.overlap && state.leaving.length > 0) return { state: { ...state, phase: { kind: 'clearing' } }, effects }
  const app = releaseKey(devService, `d${state.number}`)
  return { state: { ...state, phase: { kind: 'booting', app } }, effects: [...effects, { type: 'boot', app }] }
}

function flip(state: CycleState, app: AppId): Step {
  const retire: Effect[] = state.live === null ? [] : [{ type: 'retire', app: state.live, hurry: false }]
  return {
    state: { ...state, live: app, leaving: state.live === null ? state.leaving : [...state.leaving, state.live], phase: { kind: 'idle' } },
    effects: [{ type: 'report', outcome: { kind: 'live', app } }, { type: 'wake' }, ...retire],
  }
}

function bootFailed(state: CycleState, event: Extract<CycleEvent, { type: 'boot-failed' }>): Step {
  const { phase, live } = state
  if (phase.kind !== 'booting' || phase.app !== event.app) return same(state)
  if (!event.clash || !state.overlap || live === null) return fail(state, event.failure)
  // From now on the old one is ended before the new one starts.
  return boot({ ...state, overlap: false, number: state.number + 1 }, [{ type: 'say-no-overlap' }])
}

/** The live app has ended by itself. */
function exited(state: CycleState, event: Extract<CycleEvent, { type: 'exited' }>): Step {
  if (state.live !== event.app) return same(state)
  const without = { ...state, live: null }
  if (event.clash && state.overlap && state.phase.kind === 'idle') {
    return boot({ ...without, overlap: false, number: state.number + 1 }, [{ type: 'say-no-overlap' }])
  }
  if (state.phase.kind === 'idle' || state.phase.kind === 'checking-styles') return fail(without, event.failure)
  // A failed save stays what is shown; anything else will bring a new one.
  if (state.phase.kind === 'settling' && state.phase.before?.kind === 'idle') {
    return same({ ...without, phase: { kind: 'settling', before: null } })
  }
  return state.phase.kind === 'failed' && state.settings.keepOld ? { state: without, effects: [{ type: 'wake' }] } : same(without)
}

function fail(state: CycleState, failure: DevFailure): Step {
  return { state: { ...state, phase: { kind: 'failed', failure } }, effects: [{ type: 'report', outcome: { kind: 'failed', failure } }, { type: 'wake' }] }
}
