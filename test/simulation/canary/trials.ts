import { exactLimits } from '../../support/binomial.ts'
import { Random, scheduleSeed } from '../random.ts'
import type { Judge, Outcome, World } from './world.ts'

export interface Trials {
  readonly runs: number
  readonly aborted: number
  /** Exact limits of the chance of an abort, each wrong in one of a thousand cases. */
  readonly low: number
  readonly high: number
  /** Among those aborted: the median, and nine in ten need no more. */
  readonly units: { readonly median: number; readonly most: number } | null
  readonly canaryUnits: { readonly median: number; readonly most: number } | null
}

/** The error of each exact limit. */
export const limitError = 0.001

/** So many canaries in one world under one judge; the seed decides everything. */
export function trials(world: World, judge: () => Judge, runs: number, seed: number): Trials {
  const outcomes: Outcome[] = []
  for (let run = 0; run < runs; run += 1) outcomes.push(world(new Random(scheduleSeed(seed, run)), judge()))
  const stopped = outcomes.filter((one) => one.aborted)
  const { low, high } = exactLimits(runs, stopped.length, limitError)
  return { runs, aborted: stopped.length, low, high, units: spread(stopped.map((one) => one.units)), canaryUnits: spread(stopped.map((one) => one.canaryUnits)) }
}

function spread(values: number[]): { readonly median: number; readonly most: number } | null {
  if (values.length === 0) return null
  values.sort((a, b) => a - b)
  return { median: values[Math.floor((values.length - 1) / 2)] ?? NaN, most: values[Math.floor((values.length - 1) * 0.9)] ?? NaN }
}
