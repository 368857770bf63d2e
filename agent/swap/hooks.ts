import { boot, needsRoom, makeRoom } from './alone.ts'
import { endSwap } from './ends.ts'
import type { SwapEffect, SwapEvent } from './events.ts'
import { findRelease, labelOf, release, type DeployRequest, type HookName, type HookRun, type ReleaseRecord, type ServiceState } from './state.ts'

const steps = { prepare: 'preparing', release: 'releasing', confirmed: 'finishing' } as const

/** The hooks that need not run for what is deployed: a restart is the same build; so is a drop that comes again. */
export function ranBefore(state: ServiceState, request: DeployRequest): ('prepare' | 'release')[] {
  if (request.origin === 'restart') return ['prepare', 'release']
  if (request.dropKey === null) return []
  return [...(state.releases.findLast((record) => record.dropKey === request.dropKey)?.ran ?? [])]
}

/** What follows the take-in and each hook before the boot: the next hook, or the boot. */
export function goOnToBoot(state: ServiceState, effects: SwapEffect[]): void {
  const swap = state.swap as NonNullable<ServiceState['swap']>
  const record = release(state, swap.release)
  for (const hook of ['prepare', 'release'] as const) {
    // A rollback to what was live before: its build is prepared, and the schema has moved on.
    if (record.everConfirmed || record.ran?.includes(hook) === true || commandsOf(record, hook).length === 0) continue
    swap.step = steps[hook]
    start(state, record, hook, 0, effects)
    return
  }
  if (needsRoom(state, swap)) makeRoom(state, swap, effects)
  else boot(state, swap, effects)
}

/** Begins the hooks of a release that has just been confirmed. A restart confirms nothing new. */
export function confirmedHooks(state: ServiceState, record: ReleaseRecord, effects: SwapEffect[]): void {
  if (record.origin === 'restart' || commandsOf(record, 'confirmed').length === 0) return
  delete record.warning
  const busy = state.hooks.some((one) => one.hook === 'confirmed')
  if (!busy) start(state, record, 'confirmed', 0, effects)
  else add(state, record, 'confirmed', 0, 'waiting')
}

export function hookEnded(state: ServiceState, event: Extract<SwapEvent, { type: 'hook-ended' }>, effects: SwapEffect[]): void {
  const ended = state.hooks.find((one) => one.run === event.run)
  if (ended === undefined) return
  state.hooks = state.hooks.filter((one) => one !== ended)
  const record = findRelease(state, ended.release)
  if (record === undefined || ended.step === 'ending') return startWaiting(state, effects)
  const more = event.failure === null && ended.index + 1 < commandsOf(record, ended.hook).length
  effects.push({ do: 'progress', release: record.id, phase: steps[ended.hook], detail: event.failure?.message ?? event.detail })
  if (ended.hook === 'confirmed') {
    if (more) return start(state, record, 'confirmed', ended.index + 1, effects)
    if (event.failure !== null) {
      record.warning = event.failure.message
      effects.push({ do: 'note', release: record.id, what: `${event.failure.message}; ${labelOf(record)} stays live` })
    }
    effects.push({ do: 'hooks-over', release: record.id })
    return startWaiting(state, effects)
  }
  if (state.swap?.release !== record.id || state.swap.step !== steps[ended.hook]) return
  if (event.failure !== null) return endSwap(state, 'failed', event.failure.message, event.failure, effects)
  if (more) return start(state, record, ended.hook, ended.index + 1, effects)
  record.ran = [...(record.ran ?? []), ended.hook]
  goOnToBoot(state, effects)
}

/** The swap of the release is given up: what still runs for it before its boot is ended. */
export function endHooksOf(state: ServiceState, id: string, effects: SwapEffect[]): void {
  for (const one of state.hooks) {
    if (one.release !== id || one.hook === 'confirmed' || one.step === 'ending') continue
    one.step = 'ending'
    effects.push({ do: 'end-hook', run: one.run })
  }
}

/** No second hook is started beside one that is still being ended. */
export function hookInTheWay(state: ServiceState): boolean {
  return state.hooks.some((one) => one.hook !== 'confirmed')
}

/** The command of a run; null where the release is not known any more. */
export function commandOf(state: ServiceState, run: number): { readonly hook: HookRun; readonly record: ReleaseRecord; readonly command: readonly string[] } | null {
  const hook = state.hooks.find((one) => one.run === run)
  const record = findRelease(state, hook?.release ?? null)
  const command = hook === undefined || record === undefined ? undefined : commandsOf(record, hook.hook)[hook.index]
  return hook === undefined || record === undefined || command === undefined ? null : { hook, record, command }
}

export function startWaiting(state: ServiceState, effects: SwapEffect[]): void {
  const next = state.hooks.some((one) => one.hook === 'confirmed' && one.step !== 'waiting') ? undefined : state.hooks.find((one) => one.step === 'waiting')
  const record = findRelease(state, next?.release ?? null)
  if (next === undefined || record === undefined) return
  next.step = 'running'
  tell(record, next, effects)
}

function start(state: ServiceState, record: ReleaseRecord, hook: HookName, index: number, effects: SwapEffect[]): void {
  tell(record, add(state, record, hook, index, 'running'), effects)
}

function add(state: ServiceState, record: ReleaseRecord, hook: HookName, index: number, step: HookRun['step']): HookRun {
  const run: HookRun = { run: state.nextRun, release: record.id, hook, index, step }
  state.nextRun += 1
  state.hooks.push(run)
  return run
}

function tell(record: ReleaseRecord, { run, hook, index }: HookRun, effects: SwapEffect[]): void {
  effects.push({ do: 'progress', release: record.id, phase: steps[hook], detail: commandsOf(record, hook)[index]?.join(' ') ?? null }, { do: 'run-hook', release: record.id, run })
}

function commandsOf(record: ReleaseRecord, hook: HookName): readonly (readonly string[])[] {
  return record.boot?.hooks?.[hook] ?? []
}
