/** Shares so many times smaller than the one that is to be excluded; weighed equally. */
const smaller: readonly number[] = Object.freeze([0, 0.1, 0.3, 0.6])

/**
 * The smallest share of the canary's units affected that can be excluded with the given chance of error, from 0 to 1.
 * For releases so good that there is no ratio to speak of: 300 units of the canary and none of them harmed exclude 2%.
 * Takes the units of both arms and their chance, not the canary's own number, so that it does not look at the arms.
 */
export function excludedShare(units: number, share: number, affected: number, error: number): number {
  const needed = -Math.log(error)
  const excluded = (rate: number) => logAgainst(units, share, affected, rate) >= needed
  if (units === 0 || share === 0 || !excluded(1)) return 1
  let low = 0
  let high = 1
  for (let round = 0; round < 40; round += 1) {
    const middle = (low + high) / 2
    if (excluded(middle)) high = middle
    else low = middle
  }
  return high
}

/** log of the average over smaller shares of the likelihood ratio against `rate`: a unit is a harmed one of the canary's with the chance share * rate. */
function logAgainst(units: number, share: number, affected: number, rate: number): number {
  const logs = smaller.map((factor) => {
    const rest = (units - affected) * (Math.log1p(-share * rate * factor) - Math.log1p(-Math.min(share * rate, 1 - 1e-12)))
    return affected === 0 ? rest : rest + affected * Math.log(factor)
  })
  const largest = Math.max(...logs)
  if (largest === -Infinity) return -Infinity
  return largest + Math.log(logs.reduce((sum, log) => sum + Math.exp(log - largest), 0) / logs.length)
}
