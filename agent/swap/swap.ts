import { boot, hasRoom, mustStayDown, returned, takeBack } from './alone.ts'
import { beginCanary, canaryEnd, canaryPromote, canaryReport, canaryShare, canarySick, judgeWhenPossible } from './canary.ts'
import { flipBack, rollback, tentativeDied, wentBack } from './back.ts'
import { begin, deploy } from './deploy.ts'
import { askToLeave, canUndo, endSwap, failureAt, finish, leave } from './ends.ts'
import type { SwapEffect, SwapEvent } from './events.ts'
import { confirmedHooks, goOnToBoot, hookEnded, hookInTheWay } from './hooks.ts'
import { startRestarting, waitToRestart } from './restart.ts'
import { bakeIsOver, desiredRoute, findRelease, isRunning, labelOf, mostProcesses, mayBeSent, names, placesTaken, release, sameRoute, withPause, type ReleaseRecord, type ServiceState, type Tentative } from './state.ts'

/**
 * The story of a swap: take in, boot, health, flip, drain beside bake, confirm, stop.
 * A pure step over plain data: it changes `state` and says what is to be done. The caller writes `state` down
 * before it does any of it, so that whatever is killed, the next agent finds the intent on disk.
 */
export function step(state: ServiceState, event: SwapEvent): SwapEffect[] {
  const effects: SwapEffect[] = []
  handle(state, event, effects)
  settle(state, effects)
  return effects
}

const refusalsBeforeFailure = 3
const restMs = 500

function handle(state: ServiceState, event: SwapEvent, effects: SwapEffect[]): void {
  switch (event.type) {
    // ── Take in ─────────────────────────────────────────────────────────────────────────────────────────────
    case 'deploy':
      deploy(state, event.request, effects)
      break
    case 'taken-in': {
      if (state.swap?.release !== event.release || state.swap.step !== 'taking-in') break
      const record = release(state, event.release)
      record.boot = event.plan
      record.copy = event.copy ?? null
      goOnToBoot(state, effects)
      break
    }
    case 'hook-ended':
      hookEnded(state, event, effects)
      break
    case 'take-in-failed':
      if (state.swap?.release === event.release && state.swap.step === 'taking-in') endSwap(state, 'failed', event.failure.message, event.failure, effects)
      break

    // ── Boot ────────────────────────────────────────────────────────────────────────────────────────────────
    case 'spawned':
      spawned(state, event, effects)
      break
    case 'spawn-failed':
      spawnFailed(state, event, effects)
      break

    // ── Health ──────────────────────────────────────────────────────────────────────────────────────────────
    case 'healthy': {
      const record = findRelease(state, event.release)
      if (record?.process?.pid !== event.pid) break
      record.process.healthy = true
      if (state.swap?.release === event.release && state.swap.step === 'checking') {
        if (beginCanary(state, state.swap, effects)) break
        state.swap.step = 'flipping'
        effects.push({ do: 'progress', release: event.release, phase: 'flipping', detail: null })
      } else if (state.restarting !== null && state.confirmed === event.release) {
        state.restarting = null
        effects.push({ do: 'watch', release: event.release, baking: false })
      }
      break
    }
    case 'unhealthy': {
      if (findRelease(state, event.release)?.process?.pid !== event.pid) break
      if (state.swap?.release === event.release && state.swap.step === 'checking') endSwap(state, 'failed', event.failure.message, event.failure, effects)
      // The exit that follows the stop leads to the next attempt.
      else if (state.restarting !== null && state.confirmed === event.release) effects.push({ do: 'note', release: event.release, what: event.failure.message }, { do: 'stop', release: event.release })
      break
    }

    // ── Canary ──────────────────────────────────────────────────────────────────────────────────────────────
    case 'canary-share':
      canaryShare(state, event, effects)
      break
    case 'canary-promote':
      canaryPromote(state, event, effects)
      break
    case 'canary-end':
      canaryEnd(state, event, effects)
      break
    case 'canary-report':
      canaryReport(state, event)
      break

    // ── Flip ────────────────────────────────────────────────────────────────────────────────────────────────
    case 'committed':
      committed(state, event.number, effects)
      break
    case 'refused': {
      const refused = state.pending
      state.pending = null
      // What was to leave and stood in this change only (a canary that was to begin) can be drained from now on.
      if (refused !== null) for (const one of state.leaving) if (one.step === 'draining' && names(refused, one.release)) askToLeave(state, one, effects)
      state.refusals += 1
      if ((state.swap?.step === 'flipping' || state.swap?.step === 'emptying') && state.refusals >= refusalsBeforeFailure) {
        state.refusals = 0
        endSwap(state, 'failed', event.message, failureAt('flip', event.message), effects)
        break
      }
      state.resting = true
      effects.push({ do: 'note', release: null, what: event.message }, { do: 'after', ms: restMs, event: { type: 'rested' } })
      break
    }
    case 'rested':
      state.resting = false
      break

    // ── Drain, beside it bake ───────────────────────────────────────────────────────────────────────────────
    case 'quiet':
      quiet(state, event.release, effects)
      break
    case 'bake-over':
      // A timer of an earlier flip to the same release says nothing about this bake.
      if (state.tentative?.release === event.release && state.tentative.since === event.since && state.tentative.ending === null) state.tentative.bakeOver = true
      break
    case 'sick':
      if (canarySick(state, event.release, event.failure, effects)) break
      if (state.tentative?.release !== event.release || state.tentative.ending !== null) break
      state.tentative.sick = event.failure
      if (isRunning(state, state.tentative.fallback)) {
        state.tentative.probing = true
        effects.push({ do: 'probe-fallback', release: state.tentative.fallback as string })
        // It had to end before this one could boot: that its build works is what its confirmation said.
      } else if (state.tentative.fallback === null) flipBack(state.tentative, 'flipped-back', event.failure.message, event.failure, effects)
      else effects.push({ do: 'note', release: event.release, what: `${event.failure.message}; there is no old release to go back to` })
      break
    case 'fallback-probed': {
      const { tentative } = state
      // Not sick: it was asked for the sake of an earlier release, which was superseded meanwhile.
      if (tentative === null || tentative.ending !== null || tentative.fallback !== event.release || tentative.sick === null) break
      const failure = tentative.sick
      tentative.probing = false
      if (event.healthy) flipBack(tentative, 'flipped-back', failure.message, failure, effects)
      else effects.push({ do: 'note', release: tentative.release, what: `${failure.message}; the old release is sick too, so nothing was flipped` })
      break
    }
    case 'fell-back':
      if (state.tentative === null || state.tentative.fallback !== event.release || state.tentative.ending !== null) break
      // A worker's word from an earlier bake says nothing about this release.
      if (event.number < state.tentative.since) break
      flipBack(state.tentative, 'flipped-back', `connections to it failed (${event.error})`, failureAt('bake', `connections to it failed (${event.error})`), effects)
      break
    case 'rollback':
      rollback(state, event, effects)
      break
    case 'pause':
      if (state.closing) break
      state.paused = event.until
      effects.push({ do: 'note', release: null, what: `paused until ${new Date(event.until).toISOString()}` }, { do: 'pause-limit', until: event.until })
      break
    case 'resume':
      if (state.paused === null || state.paused === undefined) break
      state.paused = null
      effects.push({ do: 'note', release: null, what: 'resumed' })
      break
    case 'pause-over':
      // A second pause has set another limit.
      if (state.paused !== event.until) break
      state.paused = null
      effects.push({ do: 'note', release: null, what: 'resumed: the pause had reached its limit' })
      break
    case 'undo':
      if (state.swap?.release === event.release && canUndo(state)) endSwap(state, event.how, event.reason, null, effects)
      break

    // ── Ends ────────────────────────────────────────────────────────────────────────────────────────────────
    case 'exited':
      exited(state, event, effects)
      break
    case 'restart-due':
      if (state.restarting?.step !== 'waiting' || state.confirmed !== event.release || state.closing) break
      state.restarting.step = 'booting'
      effects.push({ do: 'spawn', release: event.release })
      break
    case 'close':
      state.closing = true
      state.waiting = null
      if (state.swap !== null && (canUndo(state) || state.swap.step === 'returning')) endSwap(state, 'aborted', 'gracer is shutting down', null, effects)
      break
  }
}

// ── Boot ──────────────────────────────────────────────────────────────────────────────────────────────────────

function spawned(state: ServiceState, event: Extract<SwapEvent, { type: 'spawned' }>, effects: SwapEffect[]): void {
  const record = findRelease(state, event.release)
  if (record === undefined) return void effects.push({ do: 'stop-stray', release: event.release })
  record.process = { pid: event.pid, port: event.port, healthy: false }
  // Any step before 'checking': the order to start it may have come from an agent that died since.
  if (state.swap?.release === event.release && !['checking', 'canary', 'flipping', 'returning'].includes(state.swap.step)) {
    state.swap.step = 'checking'
    // It was given up while it was being started, and then asked for again.
    state.leaving = state.leaving.filter((one) => one.release !== event.release)
    effects.push({ do: 'progress', release: event.release, phase: 'checking', detail: `pid ${event.pid} on port ${event.port}` }, { do: 'check', release: event.release })
  } else if (state.restarting?.step === 'booting' && state.confirmed === event.release) {
    state.restarting.step = 'checking'
    effects.push({ do: 'check', release: event.release })
  } else if (!state.leaving.some((one) => one.release === event.release)) {
    // The swap was ended while the process was being started.
    leave(state, event.release, 'stopping', effects)
  } else effects.push({ do: 'stop', release: event.release })
}

function spawnFailed(state: ServiceState, event: Extract<SwapEvent, { type: 'spawn-failed' }>, effects: SwapEffect[]): void {
  if (state.swap?.release === event.release && state.swap.step === 'booting') endSwap(state, 'failed', event.failure.message, event.failure, effects)
  else if (state.restarting?.step === 'booting' && state.confirmed === event.release) waitToRestart(state, event.failure, effects)
  // Nothing runs that would have to end.
  if (!isRunning(state, event.release)) state.leaving = state.leaving.filter((one) => one.release !== event.release)
}

function committed(state: ServiceState, number: number, effects: SwapEffect[]): void {
  if (state.pending === null) return
  const before = state.committed
  state.committed = state.pending
  state.committedNumber = number
  state.pending = null
  state.refusals = 0
  // What was to leave and was still in the table can be drained from now on.
  for (const { release: id, step } of state.leaving) {
    if (step === 'draining' && names(before, id) && !names(state.committed, id)) effects.push({ do: 'drain', release: id })
  }
}

// ── Flip, bake, confirm: what follows from what the table says ───────────────────────────────────────────────

/** Goes on for as long as something follows from what is known; then asks the master for the route that should be. */
export function settle(state: ServiceState, effects: SwapEffect[]): void {
  while (advance(state, effects));
  if (state.pending !== null || state.resting) return
  const desired = withPause(desiredRoute(state), state.paused)
  if (sameRoute(desired, state.committed)) return
  state.pending = desired
  effects.push({ do: 'commit', route: desired })
}

function advance(state: ServiceState, effects: SwapEffect[]): boolean {
  const { swap, tentative, committed } = state
  if (swap === null && state.waiting !== null && !state.closing) {
    const next = state.waiting
    state.waiting = null
    if (next.dropKey === null || !Object.hasOwn(state.tried, next.dropKey)) begin(state, next, effects)
    return true
  }
  if (swap?.step === 'queued' && mayStart(state, swap.release)) {
    const record = release(state, swap.release)
    // A release that still runs (a rollback to one that is warm) needs no boot, only a fresh look at its health.
    if (record.process !== null) {
      swap.step = 'checking'
      effects.push({ do: 'progress', release: record.id, phase: 'checking', detail: `pid ${record.process.pid} still runs` }, { do: 'check', release: record.id })
    } else {
      swap.step = 'taking-in'
      effects.push({ do: 'progress', release: record.id, phase: 'taking-in', detail: record.source }, { do: 'take-in', release: record.id })
    }
    return true
  }
  if (judgeWhenPossible(state, effects)) return true
  if (swap?.step === 'emptying' && hasRoom(state, swap)) {
    boot(state, swap, effects)
    return true
  }
  if (swap?.step === 'returning' && returned(state, swap, effects)) return true
  if (takeBack(state, effects)) return true
  if (swap?.step === 'flipping' && committed.live === swap.release) {
    flipped(state, effects)
    return true
  }
  if (swap?.step === 'flipping' && !isRunning(state, swap.release) && canUndo(state)) {
    const why = release(state, swap.release).outcome?.failure ?? failureAt('flip', 'its process ended before the flip')
    endSwap(state, 'failed', why.message, why, effects)
    return true
  }
  if (tentative !== null && tentative.ending === null && !isRunning(state, tentative.release)) {
    tentativeDied(state, tentative, effects)
    return true
  }
  if (tentative !== null && tentative.ending !== null && committed.live !== tentative.release) {
    wentBack(state, tentative, effects)
    return true
  }
  if (tentative !== null && tentative.ending === null && tentative.fallback !== null && !isRunning(state, tentative.fallback) && !tentative.drained) {
    tentative.drained = true
    return true
  }
  // Not while a change is on its way: it may put the fallback back into the table.
  if (tentative !== null && tentative.ending === null && bakeIsOver(state, tentative) && state.pending === null && committed.live === tentative.release && committed.fallback === null) {
    confirm(state, tentative, effects)
    return true
  }
  if (tentative === null && swap?.step !== 'flipping' && state.restarting === null && !state.closing && state.confirmed !== null && findRelease(state, state.confirmed)?.process?.healthy !== true && !mustStayDown(state)) {
    startRestarting(state, effects)
    return true
  }
  return false
}

function mayStart(state: ServiceState, id: string): boolean {
  if (state.leaving.some((one) => one.release === id) || hookInTheWay(state)) return false
  return isRunning(state, id) || placesTaken(state) < mostProcesses
}

function flipped(state: ServiceState, effects: SwapEffect[]): void {
  const swap = state.swap as NonNullable<ServiceState['swap']>
  const record = release(state, swap.release)
  const fallback = state.committed.fallback
  state.swap = null
  effects.push({ do: 'progress', release: record.id, phase: 'flipped', detail: null })
  const before = state.tentative
  if (before !== null && before.release !== record.id) {
    const ended = release(state, before.release)
    finish(state, ended, before.ending?.how ?? 'superseded', before.ending?.reason ?? `superseded by ${labelOf(record)}`, before.ending?.failure ?? null, effects)
    if (isRunning(state, before.release)) leave(state, before.release, 'draining', effects)
  }
  state.tentative = null
  const takesPlace = swap.alone === true && state.confirmed !== null && state.confirmed !== record.id && !record.everConfirmed
  if (fallback === null && !takesPlace) {
    // Nothing to go back to, or the person said so: there is nothing to bake against.
    becomeConfirmed(state, record, effects)
    return
  }
  state.tentative = { release: record.id, fallback, since: state.committedNumber, bakeOver: false, drained: fallback === null, sick: null, probing: false, ending: null }
  const plan = record.boot
  if (fallback !== null) {
    effects.push(
      { do: 'unwatch', release: fallback },
      { do: 'progress', release: record.id, phase: 'draining', detail: `old release ${labelOf(findRelease(state, fallback))}` },
      { do: 'drain', release: fallback },
    )
  }
  effects.push(
    { do: 'watch', release: record.id, baking: true },
    { do: 'after', ms: plan?.bakeMs ?? 0, event: { type: 'bake-over', release: record.id, since: state.committedNumber } },
  )
}

function quiet(state: ServiceState, id: string, effects: SwapEffect[]): void {
  const leaving = state.leaving.find((one) => one.release === id)
  if (leaving?.step === 'draining') {
    // The word of an earlier drain: it was taken back since, and is in the table, or on its way into it.
    if (mayBeSent(state, id)) return
    leaving.step = 'stopping'
    effects.push({ do: 'progress', release: id, phase: 'stopping', detail: null }, { do: 'stop', release: id })
    return
  }
  const { tentative } = state
  if (tentative?.fallback === id && tentative.ending === null && !tentative.drained) {
    tentative.drained = true
    effects.push({ do: 'progress', release: tentative.release, phase: 'drained', detail: null })
  }
}

function confirm(state: ServiceState, tentative: Tentative, effects: SwapEffect[]): void {
  state.tentative = null
  becomeConfirmed(state, release(state, tentative.release), effects)
}

function becomeConfirmed(state: ServiceState, record: ReleaseRecord, effects: SwapEffect[]): void {
  const old = state.confirmed
  state.confirmed = record.id
  state.restarting = null
  record.everConfirmed = true
  if (old !== null && old !== record.id) {
    // After a rollback "the one before" is the one before that, not the one that was rolled back.
    const earlier = state.previous.indexOf(record.id)
    state.previous = earlier === -1 ? [...state.previous, old] : state.previous.slice(0, earlier)
    effects.push({ do: 'unwatch', release: old })
    if (isRunning(state, old)) leave(state, old, 'draining', effects)
  }
  effects.push({ do: 'watch', release: record.id, baking: false }, { do: 'progress', release: record.id, phase: 'confirmed', detail: null })
  confirmedHooks(state, record, effects)
  finish(state, record, 'confirmed', null, null, effects)
}

// ── Ends ──────────────────────────────────────────────────────────────────────────────────────────────────────

function exited(state: ServiceState, event: Extract<SwapEvent, { type: 'exited' }>, effects: SwapEffect[]): void {
  const record = findRelease(state, event.release)
  if (record === undefined) return
  // A late word about a process that was already replaced by another of the same release.
  if (record.process !== null && record.process.pid !== event.pid) return
  record.process = null
  effects.push({ do: 'unwatch', release: event.release })
  if (state.leaving.some((one) => one.release === event.release)) {
    state.leaving = state.leaving.filter((one) => one.release !== event.release)
    effects.push({ do: 'progress', release: event.release, phase: 'stopped', detail: null })
    return
  }
  if (state.swap?.release === event.release) {
    // Where its flip is on its way to the table, what the table says decides.
    if (state.swap.step === 'flipping' && !canUndo(state)) record.outcome = { name: 'failed', reason: event.failure.message, failure: event.failure }
    else if (state.swap.step !== 'queued') endSwap(state, 'failed', event.failure.message, event.failure, effects)
    return
  }
  if (state.tentative?.release === event.release && state.tentative.ending === null) {
    flipBack(state.tentative, 'flipped-back', event.failure.message, event.failure, effects)
    return
  }
  if (state.restarting !== null && state.confirmed === event.release) {
    if (state.restarting.step === 'checking') waitToRestart(state, event.failure, effects)
    return
  }
  if (state.confirmed === event.release) effects.push({ do: 'note', release: event.release, what: event.failure.message })
}

