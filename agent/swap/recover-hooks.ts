import type { SwapEffect, SwapEvent } from './events.ts'
import { startWaiting } from './hooks.ts'
import type { World } from './recover.ts'
import { findRelease, type ServiceState } from './state.ts'

type HookEnded = Extract<SwapEvent, { type: 'hook-ended' }>

/**
 * What became of the hooks that the last agent left. The master is their parent: under the same one each still runs, or
 * its end is known, or it was never started. A new master has ended those of the one before it.
 */
export function recoverHooks(state: ServiceState, world: World, effects: SwapEffect[]): HookEnded[] {
  const ended: HookEnded[] = []
  for (const one of [...state.hooks]) {
    const found = world.hooks?.get(one.run)
    // One that it was ordered is its own: it is new for as long as no agent has settled what was left.
    if (world.masterIsNew && found === undefined) {
      state.hooks = state.hooks.filter((other) => other !== one)
      if (one.hook === 'confirmed') lostWithMaster(state, one.release, effects)
    } else if (found === 'running') {
      if (one.step === 'ending') effects.push({ do: 'end-hook', run: one.run })
    } else if (found !== undefined) ended.push({ type: 'hook-ended', run: one.run, ...found })
    else if (one.step === 'running') effects.push({ do: 'run-hook', release: one.release, run: one.run })
    else if (one.step === 'ending') state.hooks = state.hooks.filter((other) => other !== one)
  }
  startWaiting(state, effects)
  return ended
}

function lostWithMaster(state: ServiceState, id: string, effects: SwapEffect[]): void {
  const record = findRelease(state, id)
  if (record === undefined || record.warning !== undefined) return
  record.warning = 'gracer ended before its confirmed hook had, which was not run again'
  effects.push({ do: 'note', release: id, what: record.warning }, { do: 'hooks-over', release: id })
}
