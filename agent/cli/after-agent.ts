import { setTimeout as delay } from 'node:timers/promises'
import { GracerError } from '../../inherit/gracer-error.ts'
import type { Explanation, Outcome, OutcomeName, Progress } from '../control/shapes.ts'
import { queryPath } from './context.ts'
import type { Context } from './context.ts'

const pollMs = 200
/** An order that no agent has ended by then is left to itself. */
const patienceMs = 120_000
/** A busy machine takes its time to start another agent. */
const absenceMs = 6_000

/** As the agent itself gives them with the outcome of a swap. */
const exitCodes: Readonly<Record<OutcomeName, number>> = {
  confirmed: 0, 'dry-run': 0, failed: 1, 'flipped-back': 1, 'rolled-back': 1, superseded: 4, busy: 4, 'timed-out': 124, aborted: 130,
}

/**
 * The agent went away in the middle of an order. Its successor finishes or undoes what the journal says, and this waits
 * for the receipt of that.
 * @throws GracerError 'agent-gone' (exit 3) where no agent comes back, or none ends the order in two minutes.
 */
export async function outcomeAfterRestart(context: Context, seen: Progress | null, orderedAt: number): Promise<Outcome> {
  const gone = new GracerError('the agent went away before the outcome was known', {
    code: 'agent-gone', exitCode: 3, hint: 'Its successor finishes or undoes the order: "gracer status" shows what is live, "gracer explain" what became of it.',
  })
  if (seen === null) throw gone
  const path = queryPath('/v1/explain', { service: context.service, release: seen.release })
  let answered = Date.now()
  for (const deadline = Date.now() + patienceMs; Date.now() < deadline; await delay(pollMs)) {
    const told = await context.client.request<Explanation>('GET', path).catch((error: unknown) => {
      if (error instanceof GracerError && error.exitCode !== 3) throw error
      if (Date.now() - answered > absenceMs) throw gone
      return null
    })
    if (told === null) continue
    answered = Date.now()
    if (told.receipt === null || Date.parse(told.receipt.startedAt) < orderedAt) continue
    const { outcome, reason } = told.receipt
    return {
      schema: 1, kind: 'outcome', service: told.service, release: told.release, name: told.name, outcome, exitCode: exitCodes[outcome], live: told.live,
      message: `${reason ?? `${told.name ?? told.release} is ${outcome}`} (gracer's agent was replaced meanwhile)`, hint: told.next, failure: told.failure, receipt: told.receipt,
    }
  }
  throw gone
}
