/** log of n over k. */
function logChoose(n: number, k: number): number {
  return logFactorial(n) - logFactorial(k) - logFactorial(n - k)
}

const factorials: number[] = [0]

function logFactorial(n: number): number {
  for (let next = factorials.length; next <= n; next += 1) factorials.push((factorials[next - 1] ?? 0) + Math.log(next))
  return factorials[n] ?? 0
}

export function binomialLog(n: number, k: number, p: number): number {
  if (p <= 0) return k === 0 ? 0 : -Infinity
  if (p >= 1) return k === n ? 0 : -Infinity
  return logChoose(n, k) + k * Math.log(p) + (n - k) * Math.log1p(-p)
}

/** P(X <= k), summed exactly. */
export function binomialBelow(n: number, k: number, p: number): number {
  let sum = 0
  for (let at = 0; at <= k; at += 1) sum += Math.exp(binomialLog(n, at, p))
  return Math.min(1, sum)
}

/** The counts outside which a binomial variable falls with at most the given chance, half of it on each side. */
export function binomialLimits(n: number, p: number, chance: number): { readonly low: number; readonly high: number } {
  let sum = 0
  let low = 0
  while (sum + Math.exp(binomialLog(n, low, p)) <= chance / 2) {
    sum += Math.exp(binomialLog(n, low, p))
    low += 1
  }
  sum = 0
  let high = n
  while (sum + Math.exp(binomialLog(n, high, p)) <= chance / 2) {
    sum += Math.exp(binomialLog(n, high, p))
    high -= 1
  }
  return { low, high }
}

/** Clopper and Pearson's exact one-sided limits for the chance behind `k` of `n`: each is wrong with the given chance. */
export function exactLimits(n: number, k: number, error: number): { readonly low: number; readonly high: number } {
  return {
    low: k === 0 ? 0 : halved((p) => 1 - binomialBelow(n, k - 1, p) < error),
    high: k === n ? 1 : halved((p) => binomialBelow(n, k, p) > error),
  }
}

/** The point up to which `holds` holds, between 0 and 1. */
function halved(holds: (p: number) => boolean): number {
  let low = 0
  let high = 1
  for (let round = 0; round < 50; round += 1) {
    const middle = (low + high) / 2
    if (holds(middle)) low = middle
    else high = middle
  }
  return low
}
