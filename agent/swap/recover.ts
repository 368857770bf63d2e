import type { Failure } from '../control/shapes.ts'
import { recoverHooks } from './recover-hooks.ts'
import { askToLeave, endSwap, failureAt, hadCanary } from './ends.ts'
import type { SwapEffect } from './events.ts'
import { mustStayDown } from './alone.ts'
import { endHooksOf, hookEnded } from './hooks.ts'
import { restartDelayMs } from './restart.ts'
import { settle } from './swap.ts'
import { findRelease, isRunning, release, type RouteIntent, type ServiceState } from './state.ts'

/** What a new agent finds beside the journal. */
export interface World {
  /** What the committed table says of this service. */
  readonly committed: RouteIntent
  readonly committedNumber: number
  /** The backends that run, by release. */
  readonly running: ReadonlyMap<string, { readonly pid: number; readonly port: number }>
  /** Every run of a hook that this master was ordered, by number: still running, or how it ended. */
  readonly hooks?: ReadonlyMap<number, 'running' | HookEnd>
  /** The master is new: it died, or everything did. */
  readonly masterIsNew: boolean
  /** What there is to deploy has not been looked at yet; 'rested' follows. */
  readonly awaitsFirst?: boolean
}

export interface HookEnd {
  readonly failure: Failure | null
  readonly detail: string
}

/** An agent that finds a swap taken up this often before gives it up: it may be what ends agents. */
export const mostAttempts = 3

/**
 * Compares the journal (intent) with the table (routing) and with what runs, and finishes or undoes.
 *
 * | journal                    | table says         | what is done                                                        |
 * | -------------------------- | ------------------ | ------------------------------------------------------------------- |
 * | no swap                    | confirmed          | watch it; restart it if it is gone                                  |
 * | swap before its flip       | not the new one    | taken up again: checked if it runs, else taken in again; given up   |
 * |                            |                    | after 3 agents, or when the master is new                           |
 * | swap in its canary         | no canary (the     | checked, and the same step begins again; its process gone: failed   |
 * |                            | master's safe one) |                                                                     |
 * | swap flipping              | the new one        | it was committed: flipped, bake begins                              |
 * |   the same, none confirmed | the new one        | the same under a new master: there is nothing to go back to         |
 * | tentative                  | the tentative one  | same master: bake begins again; new master: back to the confirmed   |
 * | tentative                  | the fallback       | the flip-back was committed: finished                               |
 * | tentative, its process gone| the tentative one  | flip back                                                           |
 * | swap: the old one makes    | nothing            | goes on where it was; new master: given up, the old build boots     |
 * |   room, or returns         |                    |                                                                     |
 * | a hook runs                | anything           | same master: waited for, its exit code is the master's to say; new  |
 * |                            |                    | master: it was ended. A release hook cut off so is not run again    |
 * | leaving                    | anything           | drained or stopped again; gone: forgotten                           |
 * | not in the journal         | it, and it runs    | taken as confirmed: what serves is never stopped for want of a note |
 * | not in the journal         | something else     | a stray process is stopped                                          |
 *
 * "New master" means that the data plane was started afresh: a tentative release never boots again, nor stays.
 */
export function recover(state: ServiceState, world: World): SwapEffect[] {
  const effects: SwapEffect[] = []
  state.committed = world.committed
  state.committedNumber = world.committedNumber
  state.pending = null
  state.refusals = 0
  state.closing = false
  // Its route holds requests already; that there is nothing is not said before it is known what there is to deploy.
  state.resting = world.awaitsFirst === true && state.committed.live === null && state.confirmed === null && state.swap === null && state.tentative === null

  keepUnknownLive(state, world, effects)
  takeStock(state, world, effects)
  const ended = recoverHooks(state, world, effects)
  if (state.swap !== null) recoverSwap(state, world, effects)
  if (state.tentative !== null) recoverTentative(state, world, effects)
  recoverConfirmed(state, effects)
  if (state.paused !== null && state.paused !== undefined) effects.push({ do: 'pause-limit', until: state.paused })
  for (const leaving of state.leaving) askToLeave(state, leaving, effects)
  for (const event of ended) hookEnded(state, event, effects)
  settle(state, effects)
  return effects
}

/**
 * What is live and runs is never stopped for want of a journal: it is taken as confirmed. How it was started is not
 * known any more, so it cannot be restarted; the next deploy mends that.
 */
function keepUnknownLive(state: ServiceState, world: World, effects: SwapEffect[]): void {
  const { live } = world.committed
  const found = live === null ? undefined : world.running.get(live)
  if (live === null || found === undefined || findRelease(state, live) !== undefined) return
  const number = Number(live.slice(1))
  state.releases.push({
    id: live, number, name: null, source: '', dropKey: null, origin: 'start', noticedAt: 0, boot: null,
    process: { ...found, healthy: true }, everConfirmed: true, outcome: null,
  })
  state.nextNumber = Math.max(state.nextNumber, number + 1)
  state.confirmed = live
  effects.push({ do: 'note', release: live, what: 'it is live but the journal does not know it; deploy again, so that it could be restarted' })
}

/** Which of the processes in the journal still run, and which that run are nobody's. */
function takeStock(state: ServiceState, world: World, effects: SwapEffect[]): void {
  for (const record of state.releases) {
    const found = world.running.get(record.id)
    if (found === undefined) record.process = null
    else record.process = { ...found, healthy: record.process?.pid === found.pid && record.process.healthy }
  }
  for (const id of world.running.keys()) {
    if (findRelease(state, id) === undefined) effects.push({ do: 'stop-stray', release: id })
  }
  state.leaving = state.leaving.filter((one) => isRunning(state, one.release))
  // A process that no part of the journal claims was on its way in or out when the agent died.
  for (const record of state.releases) {
    const claimed = state.swap?.release === record.id || state.tentative?.release === record.id || state.tentative?.fallback === record.id || state.confirmed === record.id
    if (record.process !== null && !claimed && !state.leaving.some((one) => one.release === record.id)) state.leaving.push({ release: record.id, step: 'draining' })
  }
}

function recoverSwap(state: ServiceState, world: World, effects: SwapEffect[]): void {
  const swap = state.swap as NonNullable<ServiceState['swap']>
  if (swap.step === 'returning') {
    // What is to be told stands in it already.
    if (world.masterIsNew) endSwap(state, 'aborted', 'gracer ended', null, effects)
    return
  }
  // Under a new master too where it is the first release: it serves, and there is none to go back to.
  if (state.committed.live === swap.release && (!world.masterIsNew || state.confirmed === null)) {
    // The commit was written while the agent was away. A process that has ended since is found by settle.
    swap.step = 'flipping'
    return
  }
  const record = release(state, swap.release)
  if (world.masterIsNew || swap.attempts >= mostAttempts) {
    const cutOff = world.masterIsNew && swap.step === 'releasing'
    const why = cutOff ? `gracer ended while its release hook ran, so nobody knows whether that has done its work` : world.masterIsNew ? 'gracer ended before its flip' : `gracer's agent ended ${swap.attempts} times during this swap`
    state.swap = null
    record.outcome = { name: cutOff ? 'failed' : 'aborted', reason: why, failure: failureAt(cutOff ? 'hook' : hadCanary(swap) ? 'canary' : 'boot', why) }
    endHooksOf(state, record.id, effects)
    if (record.dropKey !== null) {
      // A migration is not run twice by itself: a person looks, and names the build.
      if (cutOff) state.tried[record.dropKey] = 'failed'
      // It was never judged: where it is still the newest drop it may be taken again, but not by an agent it ends.
      else if (!world.masterIsNew) state.tried[record.dropKey] = 'aborted'
      else if (state.tried[record.dropKey] === 'taken') delete state.tried[record.dropKey]
    }
    if (record.process !== null) state.leaving.push({ release: record.id, step: swap.warm || hadCanary(swap) || state.committed.live === record.id ? 'draining' : 'stopping' })
    effects.push({ do: 'outcome', release: record.id })
    return
  }
  if (hadCanary(swap) && record.process === null) {
    const why = "its process ended while gracer's agent was away"
    endSwap(state, 'failed', why, failureAt('canary', why), effects)
    return
  }
  swap.attempts += 1
  if ((swap.step === 'preparing' || swap.step === 'releasing') && state.hooks.some((one) => one.release === record.id && one.step === 'running')) return
  if (swap.alone === true && record.process === null) {
    // Spawned or not: an order that is on its way is found by its answer.
    swap.step = 'emptying'
    return
  }
  // One that is on its way out (a rollback to it came meanwhile) is waited for.
  if (record.process === null || state.leaving.some((one) => one.release === record.id)) swap.step = 'queued'
  else {
    swap.step = 'checking'
    effects.push({ do: 'check', release: record.id })
  }
}

function recoverTentative(state: ServiceState, world: World, effects: SwapEffect[]): void {
  const tentative = state.tentative as NonNullable<ServiceState['tentative']>
  if (tentative.ending !== null) return
  if (world.masterIsNew) {
    const reason = 'gracer ended during its bake; only a confirmed release is taken up again'
    tentative.ending = { how: 'flipped-back', reason, failure: failureAt('bake', reason) }
    return
  }
  if (state.committed.live !== tentative.release || !isRunning(state, tentative.release)) return
  const record = release(state, tentative.release)
  tentative.bakeOver = false
  tentative.probing = false
  effects.push({ do: 'watch', release: record.id, baking: true }, { do: 'after', ms: record.boot?.bakeMs ?? 0, event: { type: 'bake-over', release: record.id, since: tentative.since } })
  if (tentative.fallback !== null && isRunning(state, tentative.fallback)) {
    tentative.drained = false
    effects.push({ do: 'drain', release: tentative.fallback })
  }
}

function recoverConfirmed(state: ServiceState, effects: SwapEffect[]): void {
  const record = findRelease(state, state.confirmed)
  if (record === undefined) return
  if (record.process === null) {
    if (state.restarting !== null && mustStayDown(state)) state.restarting = null
    if (state.restarting !== null) {
      state.restarting.step = 'waiting'
      effects.push({ do: 'after', ms: restartDelayMs(state.restarting.attempt), event: { type: 'restart-due', release: record.id } })
    }
    return
  }
  if (record.process.healthy) {
    state.restarting = null
    if (state.tentative === null) effects.push({ do: 'watch', release: record.id, baking: false })
  } else if (state.restarting !== null) {
    state.restarting.step = 'checking'
    effects.push({ do: 'check', release: record.id })
  }
}
