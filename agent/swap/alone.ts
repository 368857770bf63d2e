import { finish, leave } from './ends.ts'
import type { SwapEffect } from './events.ts'
import { findRelease, isInPlaceOf, labelOf, release, type ServiceState, type Swap, type SwapEnding, type Tentative } from './state.ts'

// Apps that cannot run twice: hold the requests, drain and stop the old release, boot the new one in its place. Until
// the new one is live the old build is what is booted again, whatever fails.

/** Whether another process of the service must have ended before this release is booted. */
export function needsRoom(state: ServiceState, swap: Swap): boolean {
  const others = state.releases.filter((record) => record.id !== swap.release && (record.process !== null || record.id === state.confirmed || isLeaving(state, record.id)))
  return others.length > 0 && (release(state, swap.release).boot?.overlap === false || others.some((record) => record.boot?.overlap === false))
}

/** From here on requests are held; the old release is drained once no worker sends it any. */
export function makeRoom(state: ServiceState, swap: Swap, effects: SwapEffect[]): void {
  swap.step = 'emptying'
  swap.alone = true
  const { tentative, restarting } = state
  state.tentative = null
  state.restarting = null
  const old = state.releases.filter((record) => record.id !== swap.release && record.process !== null)
  effects.push({ do: 'progress', release: swap.release, phase: 'emptying', detail: old.length === 0 ? null : `${old.map(labelOf).join(' and ')} ends first, requests are held` })
  if (tentative !== null) {
    const { ending } = tentative
    finish(state, release(state, tentative.release), ending?.how ?? 'superseded', ending?.reason ?? `superseded by ${labelOf(release(state, swap.release))}`, ending?.failure ?? null, effects)
  }
  for (const record of old) if (!isLeaving(state, record.id)) leave(state, record.id, 'draining', effects)
  // The order to start it is on its way.
  const { confirmed } = state
  if (restarting?.step === 'booting' && confirmed !== null && !isLeaving(state, confirmed)) state.leaving.push({ release: confirmed, step: 'stopping' })
}

export function boot(state: ServiceState, swap: Swap, effects: SwapEffect[]): void {
  swap.step = 'booting'
  const plan = release(state, swap.release).boot
  const ports = Object.entries(plan?.ports ?? {}).map(([name, port]) => `, ${name}=${port}`)
  const detail = plan === null ? null : plan.command.join(' ') + ports.join('')
  effects.push({ do: 'progress', release: swap.release, phase: 'booting', detail }, { do: 'spawn', release: swap.release })
}

/** Nothing of the service runs any more and no worker sends it anything. */
export function hasRoom(state: ServiceState, swap: Swap): boolean {
  if (state.pending !== null || state.committed.live !== null || state.leaving.length > 0) return false
  return state.releases.every((record) => record.id === swap.release || record.process === null)
}

/**
 * The confirmed release must not be booted (again) yet: its place is given to another, or what cannot run beside it has
 * not ended.
 */
export function mustStayDown(state: ServiceState): boolean {
  const { swap, confirmed } = state
  if (swap !== null && isInPlaceOf(swap)) return true
  if (confirmed !== null && isLeaving(state, confirmed)) return true
  const others = state.releases.filter((record) => record.id !== confirmed && (record.process !== null || isLeaving(state, record.id)))
  return others.length > 0 && (findRelease(state, confirmed)?.boot?.overlap === false || others.some((record) => record.boot?.overlap === false))
}

/** The old release was asked to make room and has not been told to stop yet: it is what serves on. */
export function takeBack(state: ServiceState, effects: SwapEffect[]): boolean {
  const { swap, confirmed } = state
  const leaving = state.leaving.find((one) => one.release === confirmed && one.step === 'draining')
  if (confirmed === null || leaving === undefined || state.tentative !== null || (swap !== null && (isInPlaceOf(swap) || swap.step === 'flipping'))) return false
  state.leaving = state.leaving.filter((one) => one !== leaving)
  effects.push({ do: 'watch', release: confirmed, baking: false })
  return true
}

/** The release that took the place of the old one turned bad in its bake: the outcome is told when the old build answers again. */
export function returnsFrom(state: ServiceState, tentative: Tentative, ending: SwapEnding, effects: SwapEffect[]): boolean {
  if (tentative.fallback !== null || state.swap !== null || state.closing || state.confirmed === null) return false
  state.swap = { release: tentative.release, step: 'returning', attempts: 1, from: null, warm: false, alone: true, ending }
  effects.push({ do: 'progress', release: tentative.release, phase: 'returning', detail: ending.reason })
  return true
}

/** The old build answers again, or has failed once more itself: the outcome can be told. */
export function returned(state: ServiceState, swap: Swap, effects: SwapEffect[]): boolean {
  const { ending } = swap
  const back = state.confirmed === null || (state.committed.live === state.confirmed && state.pending === null)
  const failed = (state.restarting?.attempt ?? 0) > 0
  if (ending === undefined || !(back || failed)) return false
  state.swap = null
  const reason = back ? ending.reason : `${ending.reason}; and ${labelOf(findRelease(state, state.confirmed))} did not come up again at once, it is tried on`
  finish(state, release(state, swap.release), ending.how, reason, ending.failure, effects)
  return true
}

/** On its way out, or being started although nobody wants it any more. */
function isLeaving(state: ServiceState, id: string): boolean {
  return state.leaving.some((one) => one.release === id)
}
