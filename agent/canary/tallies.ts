/**
 * All that a metric's evidence depends on: for each share, how many units went bad on either arm while their arm was
 * still open with that share. Whole numbers, so nothing drifts, however long a canary runs and however often it is resumed.
 */
export interface Tally {
  /** The chance of the canary that the unit had, given all that was known of it before: above 0 and below 1. */
  readonly share: number
  readonly canary: number
  readonly stable: number
}

export function addTo(tallies: Map<number, Tally>, share: number, arm: 'canary' | 'stable'): void {
  const before = tallies.get(share) ?? { share, canary: 0, stable: 0 }
  tallies.set(share, { ...before, [arm]: before[arm] + 1 })
}

/** Units counted, on each arm. */
export function totals(tallies: Iterable<Tally>): { readonly canary: number; readonly stable: number } {
  let canary = 0
  let stable = 0
  for (const tally of tallies) {
    canary += tally.canary
    stable += tally.stable
  }
  return { canary, stable }
}
