import type { Tally } from './tallies.ts'

/** How many times worse than what is tolerated the canary may be in each of the alternatives; weighed equally. */
export const alternatives: readonly number[] = Object.freeze([1.5, 2, 3, 5, 10, 100])
/** The second family, for the bound: so many times better than the ratio that is to be excluded. */
const betterAlternatives: readonly number[] = Object.freeze([1 / 1.2, ...alternatives.map((factor) => 1 / factor)])

/** The bound looks for ratios up to this; beyond it nothing is said. */
export const largestRatio = 1000

/**
 * The natural logarithm of the evidence that the canary harms more than `tolerance` times as many units. Under the
 * hypothesis that it does not, exp of it ever reaches 1/alpha with a chance of at most alpha (Ville's inequality).
 * Lindon & Malek, "Anytime-Valid Inference for Multinomial Count Data", arXiv 2011.03567.
 */
export function logEvidence(tallies: readonly Tally[], tolerance: number): number {
  return logMixture(tallies, tolerance, alternatives)
}

/**
 * The smallest ratio of units affected, canary to stable, such that it and all above it are excluded with the
 * given chance of error; Infinity where even `largestRatio` cannot be. The same test turned round: it asks each ratio
 * whether a smaller one explains the tallies better.
 */
export function excludedRatio(tallies: readonly Tally[], error: number): number {
  const needed = -Math.log(error)
  const excluded = (ratio: number) => logMixture(tallies, ratio, betterAlternatives) >= needed
  if (!excluded(largestRatio)) return Infinity
  // The evidence against a ratio rises with the ratio (each of its terms does), so it can be halved down to. In logarithms.
  let low = Math.log(1 / largestRatio)
  let high = Math.log(largestRatio)
  for (let round = 0; round < 40 && high - low > 1e-6; round += 1) {
    const middle = (low + high) / 2
    if (excluded(Math.exp(middle))) high = middle
    else low = middle
  }
  return Math.exp(high)
}

/**
 * log of the average over the factors of prod q/p0 (canary) and prod (1-q)/(1-p0) (stable), where the odds of p0 are
 * `ratio` times those of the share, and the odds of q `factor` times those of p0.
 */
function logMixture(tallies: readonly Tally[], ratio: number, factors: readonly number[]): number {
  const logs = factors.map((factor) => {
    let sum = 0
    let onCanary = 0
    for (const { share, canary, stable } of tallies) {
      const odds = (share * ratio) / (1 - share)
      onCanary += canary
      sum += (canary + stable) * Math.log((odds + 1) / (odds * factor + 1))
    }
    return sum + onCanary * Math.log(factor)
  })
  const largest = Math.max(...logs)
  return largest + Math.log(logs.reduce((sum, log) => sum + Math.exp(log - largest), 0) / logs.length)
}
