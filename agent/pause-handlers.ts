import { setTimeout as delay } from 'node:timers/promises'
import { GracerError } from '../inherit/gracer-error.ts'
import type { PauseAnswer } from './control/shapes.ts'
import type { Service } from './service/service.ts'

/** The table is committed by then, or something keeps the master from it. */
const patienceMs = 5_000
const lookMs = 5

/** Holds the service's requests for `forMs` at most, from now on; a second pause sets a new limit. Resolves when every worker holds. */
export async function pause(service: Service, forMs: number): Promise<PauseAnswer> {
  const until = Date.now() + forMs
  const before = isoOf(service.runner.state.paused)
  service.runner.dispatch({ type: 'pause', until })
  return await settled(service, until, before)
}

/** What was held goes on at a measured pace. A service that is not paused stays as it is. */
export async function resume(service: Service): Promise<PauseAnswer> {
  const before = isoOf(service.runner.state.paused)
  service.runner.dispatch({ type: 'resume' })
  return await settled(service, null, before)
}

async function settled(service: Service, until: number | null, pausedUntilBefore: string | null): Promise<PauseAnswer> {
  for (const deadline = performance.now() + patienceMs; ; await delay(lookMs)) {
    const { committed, paused } = service.runner.state
    if ((committed.paused ?? null) === until) return { schema: 1, service: service.name, pausedUntil: isoOf(until), pausedUntilBefore }
    // Another order came in between: what it wanted is so, or will be.
    if ((paused ?? null) !== until) return { schema: 1, service: service.name, pausedUntil: isoOf(paused), pausedUntilBefore }
    if (performance.now() > deadline) {
      throw new GracerError(`the master has not taken it up within ${patienceMs / 1_000} s; it is tried on`, { code: 'not-committed', hint: '"gracer status" shows whether it is paused.' })
    }
  }
}

function isoOf(ms: number | null | undefined): string | null {
  return ms === null || ms === undefined ? null : new Date(ms).toISOString()
}
