import { canaryPlace } from './canary.ts'
import type { SwapEffect } from './events.ts'
import { ranBefore } from './hooks.ts'
import { canUndo, endSwap } from './ends.ts'
import { findRelease, labelOf, type DeployRequest, type ServiceState } from './state.ts'

export function deploy(state: ServiceState, request: DeployRequest, effects: SwapEffect[]): void {
  const refuse = (outcome: 'busy' | 'refused', message: string): void => {
    if (request.command !== null) effects.push({ do: 'answer', command: request.command, outcome, message, release: state.swap?.release ?? null })
  }
  if (state.closing) return refuse('refused', 'gracer is shutting down')
  const isDrop = request.origin === 'drop'
  // Automatic deploys take only what was never tried; naming it in a command always tries it.
  if (isDrop && request.dropKey !== null && Object.hasOwn(state.tried, request.dropKey)) return
  if (state.swap !== null) {
    if (isDrop) return wait(state, request, effects)
    if (!request.supersede) return refuse('busy', `${labelOf(findRelease(state, state.swap.release))} is ${canaryPlace(state.swap) ?? 'being deployed'}; one swap at a time`)
    if (!canUndo(state) && state.swap.step !== 'returning') return refuse('busy', `${labelOf(findRelease(state, state.swap.release))} is being flipped at this moment; try again`)
    endSwap(state, 'superseded', `superseded by ${request.name ?? 'a newer swap'}`, null, effects, false)
  }
  begin(state, request, effects)
}

export function begin(state: ServiceState, request: DeployRequest, effects: SwapEffect[]): void {
  const number = state.nextNumber
  const id = `v${number}`
  state.nextNumber += 1
  const ran = ranBefore(state, request)
  state.releases.push({
    ...(ran.length === 0 ? {} : { ran }), id, number, name: request.name, source: request.source, copy: request.copy ?? null, dropKey: request.dropKey, origin: request.origin,
    noticedAt: request.noticedAt, boot: null, process: null, everConfirmed: false, outcome: null,
  })
  if (request.dropKey !== null) state.tried[request.dropKey] = 'taken'
  state.swap = { release: id, step: 'queued', attempts: 1, from: state.committed.live, warm: false, ...(request.canary === undefined ? {} : { wish: request.canary }) }
  if (request.command !== null) effects.push({ do: 'follow', command: request.command, release: id })
  effects.push({ do: 'progress', release: id, phase: 'queued', detail: null })
}

/** One visible slot: the newest wins, the older one is marked superseded. */
export function wait(state: ServiceState, request: DeployRequest, effects: SwapEffect[]): void {
  if (state.waiting?.dropKey === request.dropKey) return
  if (state.waiting !== null && state.waiting.dropKey !== null) state.tried[state.waiting.dropKey] = 'superseded'
  state.waiting = request
  effects.push({ do: 'note', release: null, what: `${request.name ?? request.source} waits for the swap under way` })
}
