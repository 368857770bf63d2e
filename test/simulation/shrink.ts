import type { Parts } from './parts.ts'
import type { Action, Plan } from './plan.ts'
import { runPlan } from './run.ts'
import type { Violation } from './violation.ts'

const mostRuns = 600

export interface Shrunk {
  readonly plan: Plan
  readonly violation: Violation
  readonly steps: number
  readonly runs: number
}

/** Takes away as much of a failing plan as can be, so that the same promise is still broken. */
export function shrink(plan: Plan, parts: Parts, violation: Violation): Shrunk {
  let best: Shrunk = { plan, violation, steps: runPlan(plan, parts).steps, runs: 1 }
  let runs = 1
  const tries = (candidate: Plan): boolean => {
    runs += 1
    const result = runPlan(candidate, parts)
    if (result.violation?.invariant !== violation.invariant) return false
    best = { plan: candidate, violation: result.violation, steps: result.steps, runs }
    return true
  }
  for (let size = Math.ceil(plan.actions.length / 2); size >= 1 && runs < mostRuns; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = 0; from < best.plan.actions.length && runs < mostRuns; ) {
      const actions: readonly Action[] = [...best.plan.actions.slice(0, from), ...best.plan.actions.slice(from + size)]
      if (!tries({ ...best.plan, actions })) from += size
    }
  }
  for (const simpler of [{ workers: 1 }, { workers: 2 }, { crowding: 0 }, { services: plan.services.slice(0, 1) }]) {
    if (runs < mostRuns) tries({ ...best.plan, ...simpler })
  }
  return { ...best, runs }
}
