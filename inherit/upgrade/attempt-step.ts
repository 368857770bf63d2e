import { protocolVersion } from './mark.ts'
import type { UpgradeFailure } from './upgrade-error.ts'

/**
 * One attempt to bring up a successor, as a function of (state, event). The words, one a line on the notify descriptor:
 *
 *   successor: UPGRADE_PROTOCOL=1, then READY=1 when it could serve. It does not accept yet.
 *   this side: TAKE=1, when the successor has lived on for `settleMs` after that.
 *   successor: TAKEN=NAME for each socket that it has taken up, and SERVING=1 when it accepts. From now on both do.
 *   this side: COMMIT=1, when it has lived on for `confirmMs` beside the old one, which only now stops accepting.
 *
 * Whatever goes wrong before the commit, the old one has never stopped. A program that says READY=1 and no version serves
 * already (sd_notify(3)), in whatever language; it is confirmed in the same way.
 */
export type AttemptState = Running | { readonly phase: 'committed' | 'failed' }

interface Running {
  readonly phase: 'starting' | 'settling' | 'taking' | 'confirming'
  /** It has said its version: it waits for TAKE. */
  readonly speaks: boolean
}

export type AttemptTimer = 'start' | 'settle' | 'confirm' | 'mute'

export type AttemptEvent =
  | { readonly type: 'line'; readonly key: string; readonly value: string }
  /** What is no line of KEY=value. */
  | { readonly type: 'garbage' }
  /** It has closed the notify descriptor. */
  | { readonly type: 'mute' }
  | { readonly type: 'exited'; readonly code: number | null; readonly signal: string | null }
  | { readonly type: 'timer'; readonly timer: AttemptTimer }
  | { readonly type: 'abort'; readonly reason: string }

export type AttemptEffect =
  | { readonly type: 'timer'; readonly timer: AttemptTimer; readonly ms: number }
  /** The start deadline lies at least this far ahead from now. */
  | { readonly type: 'extend'; readonly ms: number }
  | { readonly type: 'say'; readonly key: string; readonly value: string }
  | { readonly type: 'commit' }
  /** `reason` goes on from "the successor". */
  | { readonly type: 'fail'; readonly code: UpgradeFailure; readonly reason: string }

export interface AttemptLimits {
  /** From the start of the process until it serves. */
  readonly startMs: number
  readonly settleMs: number
  readonly confirmMs: number
}

/** A closed channel is as a rule the first sign of an exit; only where none follows is it a fault of its own. */
const muteMs = 1_000
const nothing: readonly AttemptEffect[] = []

export const firstAttemptState: AttemptState = { phase: 'starting', speaks: false }

export function attemptStep(state: AttemptState, event: AttemptEvent, limits: AttemptLimits): readonly [AttemptState, readonly AttemptEffect[]] {
  if (!('speaks' in state)) return [state, nothing]
  switch (event.type) {
    case 'line':
      return onLine(state, event.key, event.value, limits)
    case 'garbage':
      return failed('protocol', 'wrote something to the notify descriptor that is no line of KEY=value')
    case 'mute':
      // Who serves without the protocol may close it.
      return state.phase === 'confirming' && !state.speaks ? [state, nothing] : [state, [{ type: 'timer', timer: 'mute', ms: muteMs }]]
    case 'exited':
      return failed('exited', `ended with ${event.signal ?? exitText(event.code)} ${whenExited[state.phase]}`)
    case 'abort':
      return failed('aborted', `was ended: ${event.reason}`)
    case 'timer':
      return onTimer(state, event.timer, limits)
  }
}

/** Node says nothing more of its 13. */
function exitText(code: number | null): string {
  return `exit code ${code ?? '?'}${code === 13 ? ' (a top-level await that nothing can end any more)' : ''}`
}

const whenExited = {
  starting: 'before it said that it is ready',
  settling: 'right after it said that it is ready',
  taking: 'when it was told to accept connections',
  confirming: 'right after it began to serve',
} as const

function onLine(state: Running, key: string, value: string, limits: AttemptLimits): readonly [AttemptState, readonly AttemptEffect[]] {
  switch (key) {
    case 'UPGRADE_PROTOCOL':
      if (state.phase !== 'starting' || value !== protocolVersion) {
        return failed('protocol', value === protocolVersion ? 'began to speak twice' : `speaks version ${value} of the upgrade protocol, and this process version ${protocolVersion}: stop the service and start it anew`)
      }
      return [{ phase: 'starting', speaks: true }, nothing]
    case 'READY':
      if (state.phase !== 'starting') return [state, nothing]
      if (value !== '1') return failed('protocol', `said READY=${value}, expected READY=1`)
      return [{ ...state, phase: 'settling' }, [{ type: 'timer', timer: 'settle', ms: limits.settleMs }]]
    case 'SERVING':
      if (state.phase !== 'taking') return failed('protocol', 'said SERVING before it was told to')
      return confirming(state, limits)
    case 'EXTEND_TIMEOUT_USEC': {
      const ms = Number(value) / 1000
      return Number.isFinite(ms) && ms >= 0 ? [state, [{ type: 'extend', ms }]] : failed('protocol', `said EXTEND_TIMEOUT_USEC=${value}, which is no number`)
    }
    default:
      // STATUS, STOPPING and whatever sd_notify(3) will have.
      return [state, nothing]
  }
}

function onTimer(state: Running, timer: AttemptTimer, limits: AttemptLimits): readonly [AttemptState, readonly AttemptEffect[]] {
  switch (timer) {
    case 'settle':
      if (state.phase !== 'settling') return [state, nothing]
      return state.speaks ? [{ ...state, phase: 'taking' }, [{ type: 'say', key: 'TAKE', value: '1' }]] : confirming(state, limits)
    case 'confirm':
      return state.phase === 'confirming' ? [{ phase: 'committed' }, [{ type: 'commit' }]] : [state, nothing]
    case 'start':
      return state.phase === 'confirming' ? [state, nothing] : failed('timeout', `${whatIsAwaited[state.phase]} within ${limits.startMs} ms`)
    case 'mute':
      return failed('protocol', 'closed the notify descriptor and lives on')
  }
}

const whatIsAwaited = {
  starting: 'did not say that it is ready',
  settling: 'did not come to serve',
  taking: 'was told to accept connections and did not say that it does',
} as const

function confirming(state: Running, limits: AttemptLimits): readonly [AttemptState, readonly AttemptEffect[]] {
  return [{ ...state, phase: 'confirming' }, [{ type: 'timer', timer: 'confirm', ms: limits.confirmMs }]]
}

function failed(code: UpgradeFailure, reason: string): readonly [AttemptState, readonly AttemptEffect[]] {
  return [{ phase: 'failed' }, [{ type: 'fail', code, reason }]]
}
