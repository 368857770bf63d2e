import { production, type Parts } from './parts.ts'
import { makePlan, type Plan } from './plan.ts'
import { Violation } from './violation.ts'
import type { Counts } from './counts.ts'
import { World } from './world.ts'

export interface Result {
  /** null: every promise held. What else was thrown (a defect in a reducer) counts as a violation of liveness. */
  readonly violation: Violation | null
  readonly counts: Counts
  readonly steps: number
}

export function runPlan(plan: Plan, parts: Parts = production, trace: string[] | null = null): Result {
  const world = new World(plan, parts, trace)
  let violation: Violation | null = null
  try {
    world.run()
  } catch (error) {
    violation = error instanceof Violation ? error : new Violation('L liveness', `a reducer threw: ${(error as Error).stack ?? String(error)}`)
    world.note(`VIOLATED ${violation.message}`)
  }
  return { violation, counts: world.counts, steps: world.clock.steps }
}

export function runSeed(seed: number, parts: Parts = production, trace: string[] | null = null): Result {
  return runPlan(makePlan(seed), parts, trace)
}
