import type { Failure, OutcomeName } from '../control/shapes.ts'
import type { SwapEffect, SwapEvent } from './events.ts'
import {
  bakeIsOver, desiredRoute, findRelease, isRunning, labelOf, mostProcesses, names, placesTaken, release, sameRoute,
  type DeployRequest, type Leaving, type ReleaseRecord, type ServiceState, type Tentative,
} from './state.ts'

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

/** Back-off of a crashed live release: 0, 1, 2, 5, 10, then every 30 s. */
export function restartDelayMs(attempt: number): number {
  return [0, 1_000, 2_000, 5_000, 10_000][attempt] ?? 30_000
}

/** So many failed restarts are a crash loop. */
const crashLoopAttempts = 5
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
      release(state, event.release).boot = event.plan
      state.swap.step = 'booting'
      effects.push({ do: 'progress', release: event.release, phase: 'booting', detail: event.plan.command.join(' ') }, { do: 'spawn', release: event.release })
      break
    }
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
      else if (state.restarting !== null && state.confirmed === event.release) effects.push({ do: 'stop', release: event.release })
      break
    }

    // ── Flip ────────────────────────────────────────────────────────────────────────────────────────────────
    case 'committed':
      committed(state, event.number, effects)
      break
    case 'refused':
      state.pending = null
      state.refusals += 1
      if (state.swap?.step === 'flipping' && state.refusals >= refusalsBeforeFailure) {
        state.refusals = 0
        endSwap(state, 'failed', event.message, failureAt('flip', event.message), effects)
        break
      }
      state.resting = true
      effects.push({ do: 'note', release: null, what: event.message }, { do: 'after', ms: restMs, event: { type: 'rested' } })
      break
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
      if (state.tentative?.release !== event.release || state.tentative.ending !== null) break
      state.tentative.sick = event.failure
      if (isRunning(state, state.tentative.fallback)) {
        state.tentative.probing = true
        effects.push({ do: 'probe-fallback', release: state.tentative.fallback as string })
      } else effects.push({ do: 'note', release: event.release, what: `${event.failure.message}; there is no old release to go back to` })
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
      if (state.swap !== null && canUndo(state)) endSwap(state, 'aborted', 'gracer is shutting down', null, effects)
      break
  }
}

/** Before the flip is committed or on its way to be: only then can a swap be undone. */
export function canUndo(state: ServiceState): boolean {
  return state.swap !== null && !(state.swap.step === 'flipping' && state.pending?.live === state.swap.release) && state.committed.live !== state.swap.release
}

// ── Take in ───────────────────────────────────────────────────────────────────────────────────────────────────

function deploy(state: ServiceState, request: DeployRequest, effects: SwapEffect[]): void {
  const refuse = (outcome: 'busy' | 'refused', message: string): void => {
    if (request.command !== null) effects.push({ do: 'answer', command: request.command, outcome, message, release: state.swap?.release ?? null })
  }
  if (state.closing) return refuse('refused', 'gracer is shutting down')
  const isDrop = request.origin === 'drop'
  // Automatic deploys take only what was never tried; naming it in a command always tries it.
  if (isDrop && request.dropKey !== null && Object.hasOwn(state.tried, request.dropKey)) return
  if (state.swap !== null) {
    if (isDrop) return wait(state, request, effects)
    if (!request.supersede) return refuse('busy', `${labelOf(findRelease(state, state.swap.release))} is being deployed; one swap at a time`)
    if (!canUndo(state)) return refuse('busy', `${labelOf(findRelease(state, state.swap.release))} is being flipped at this moment; try again`)
    endSwap(state, 'superseded', `superseded by ${request.name ?? 'a newer swap'}`, null, effects, false)
  }
  begin(state, request, effects)
}

function begin(state: ServiceState, request: DeployRequest, effects: SwapEffect[]): void {
  const number = state.nextNumber
  const id = `v${number}`
  state.nextNumber += 1
  state.releases.push({
    id, number, name: request.name, source: request.source, dropKey: request.dropKey, origin: request.origin,
    noticedAt: request.noticedAt, boot: null, process: null, everConfirmed: false, outcome: null,
  })
  if (request.dropKey !== null) state.tried[request.dropKey] = 'taken'
  state.swap = { release: id, step: 'queued', attempts: 1, from: state.committed.live, warm: false }
  if (request.command !== null) effects.push({ do: 'follow', command: request.command, release: id })
  effects.push({ do: 'progress', release: id, phase: 'queued', detail: null })
}

/** One visible slot: the newest wins, the older one is marked superseded. */
function wait(state: ServiceState, request: DeployRequest, effects: SwapEffect[]): void {
  if (state.waiting?.dropKey === request.dropKey) return
  if (state.waiting !== null && state.waiting.dropKey !== null) state.tried[state.waiting.dropKey] = 'superseded'
  state.waiting = request
  effects.push({ do: 'note', release: null, what: `${request.name ?? request.source} waits for the swap under way` })
}

// ── Boot ──────────────────────────────────────────────────────────────────────────────────────────────────────

function spawned(state: ServiceState, event: Extract<SwapEvent, { type: 'spawned' }>, effects: SwapEffect[]): void {
  const record = findRelease(state, event.release)
  if (record === undefined) return void effects.push({ do: 'stop-stray', release: event.release })
  record.process = { pid: event.pid, port: event.port, healthy: false }
  // Any step before 'checking': the order to start it may have come from an agent that died since.
  if (state.swap?.release === event.release && state.swap.step !== 'checking' && state.swap.step !== 'flipping') {
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
  const desired = desiredRoute(state)
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
  if (tentative === null && swap?.step !== 'flipping' && state.restarting === null && !state.closing && state.confirmed !== null && findRelease(state, state.confirmed)?.process?.healthy !== true) {
    startRestarting(state, effects)
    return true
  }
  return false
}

function mayStart(state: ServiceState, id: string): boolean {
  if (state.leaving.some((one) => one.release === id)) return false
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
  if (fallback === null) {
    // Nothing to go back to, or the person said so: there is nothing to bake against.
    becomeConfirmed(state, record, effects)
    return
  }
  state.tentative = { release: record.id, fallback, since: state.committedNumber, bakeOver: false, drained: false, sick: null, probing: false, ending: null }
  const plan = record.boot
  effects.push(
    { do: 'unwatch', release: fallback },
    { do: 'progress', release: record.id, phase: 'draining', detail: `old release ${labelOf(findRelease(state, fallback))}` },
    { do: 'drain', release: fallback },
    { do: 'watch', release: record.id, baking: true },
    { do: 'after', ms: plan?.bakeMs ?? 0, event: { type: 'bake-over', release: record.id, since: state.committedNumber } },
  )
}

function quiet(state: ServiceState, id: string, effects: SwapEffect[]): void {
  const leaving = state.leaving.find((one) => one.release === id)
  if (leaving?.step === 'draining') {
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
  finish(state, record, 'confirmed', null, null, effects)
}

// ── Back ──────────────────────────────────────────────────────────────────────────────────────────────────────

function flipBack(tentative: Tentative, how: 'flipped-back' | 'rolled-back', reason: string, failure: Failure | null, effects: SwapEffect[]): void {
  tentative.ending = { how, reason, failure }
  effects.push({ do: 'unwatch', release: tentative.release }, { do: 'progress', release: tentative.release, phase: 'flipping-back', detail: reason })
}

/** The tentative release's process is gone: back to the old one, which is either warm or must be booted again. */
function tentativeDied(state: ServiceState, tentative: Tentative, effects: SwapEffect[]): void {
  const failure = release(state, tentative.release).outcome?.failure ?? failureAt('bake', 'its process ended')
  flipBack(tentative, 'flipped-back', failure.message, failure, effects)
}

/** The table says something else than the tentative release now: it is drained and stopped. */
function wentBack(state: ServiceState, tentative: Tentative, effects: SwapEffect[]): void {
  const ending = tentative.ending as NonNullable<Tentative['ending']>
  state.tentative = null
  if (state.confirmed !== null && isRunning(state, state.confirmed)) effects.push({ do: 'watch', release: state.confirmed, baking: false })
  if (isRunning(state, tentative.release)) leave(state, tentative.release, 'draining', effects)
  finish(state, release(state, tentative.release), ending.how, ending.reason, ending.failure, effects)
}

/** Always accepted, and goes before everything else. */
function rollback(state: ServiceState, event: Extract<SwapEvent, { type: 'rollback' }>, effects: SwapEffect[]): void {
  const answer = (outcome: 'busy' | 'refused' | 'already', message: string, id: string | null): void => {
    if (event.command !== null) effects.push({ do: 'answer', command: event.command, outcome, message, release: id })
  }
  if (state.closing) return answer('refused', 'gracer is shutting down', null)
  const { swap, tentative } = state
  if (swap !== null && event.to === swap.release) {
    // On its way to where it is wanted.
    if (event.command !== null) effects.push({ do: 'follow', command: event.command, release: swap.release })
    return
  }
  if (swap !== null) {
    if (!canUndo(state)) return answer('busy', `${labelOf(findRelease(state, swap.release))} is being flipped at this moment; try again`, swap.release)
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
  state.swap = { release: record.id, step: 'queued', attempts: 1, from: state.committed.live, warm: record.process !== null }
  if (event.command !== null) effects.push({ do: 'follow', command: event.command, release: record.id })
  effects.push({ do: 'progress', release: record.id, phase: 'queued', detail: null })
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

function startRestarting(state: ServiceState, effects: SwapEffect[]): void {
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

function waitToRestart(state: ServiceState, failure: Failure, effects: SwapEffect[]): void {
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

/** Ends the swap before its flip. The old release was never touched. */
function endSwap(state: ServiceState, how: OutcomeName, reason: string, failure: Failure | null, effects: SwapEffect[], stopIt = true): void {
  const swap = state.swap as NonNullable<ServiceState['swap']>
  const record = release(state, swap.release)
  state.swap = null
  const leavesAlready = state.leaving.some((one) => one.release === record.id)
  // A warm process may still have requests from when it was live.
  if (record.process !== null && !leavesAlready) leave(state, record.id, swap.warm ? 'draining' : 'stopping', effects)
  else if (stopIt) effects.push({ do: 'unwatch', release: record.id })
  // The order to start it is on its way: its place is taken until the master has answered.
  if (swap.step === 'booting' && record.process === null && !leavesAlready) state.leaving.push({ release: record.id, step: 'stopping' })
  finish(state, record, how, reason, failure, effects)
}

function leave(state: ServiceState, id: string, how: 'draining' | 'stopping', effects: SwapEffect[]): void {
  state.leaving = [...state.leaving.filter((one) => one.release !== id), { release: id, step: how }]
  effects.push({ do: 'unwatch', release: id })
  askToLeave(state, { release: id, step: how }, effects)
}

/** Nothing is drained while requests may still be sent to it: the commit that takes it out of the table asks for it. */
export function askToLeave(state: ServiceState, leaving: Leaving, effects: SwapEffect[]): void {
  if (leaving.step === 'stopping') effects.push({ do: 'stop', release: leaving.release })
  else if (!names(state.committed, leaving.release)) effects.push({ do: 'drain', release: leaving.release })
}

function finish(state: ServiceState, record: ReleaseRecord, name: OutcomeName, reason: string | null, failure: Failure | null, effects: SwapEffect[]): void {
  record.outcome = { name, reason, failure }
  if (record.dropKey !== null) state.tried[record.dropKey] = name
  effects.push({ do: 'outcome', release: record.id })
}

export function failureAt(stage: Failure['stage'], message: string): Failure {
  return { stage, message, attempts: 0, lastStatus: null, lastLocation: null, lastError: null, elapsedMs: 0, deadlineMs: null, exit: null, lastLines: [], logFile: null }
}
