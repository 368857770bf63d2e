/**
 * Latencies in fixed buckets: ten a decade (the steps of R10, so that 1, 2.5 and 5 of every power of ten are edges) from
 * 100 µs to 100 s, and one for what is longer. A quantile read from them is off by 26% at most.
 */
export interface Histogram {
  /** How many fell into each bucket; not cumulative. The last one has no upper edge. */
  readonly counts: number[]
  /** Microseconds. */
  sumUs: number
}

const steps = [1, 1.25, 1.6, 2, 2.5, 3.15, 4, 5, 6.3, 8]
const decades = [1e2, 1e3, 1e4, 1e5, 1e6, 1e7]

/** The upper edges, in whole microseconds, each belonging to its bucket. */
export const edgesUs: readonly number[] = Object.freeze([...decades.flatMap((decade) => steps.map((step) => Math.round(decade * step))), 1e8])

const edges = Float64Array.from(edgesUs)

export function emptyHistogram(): Histogram {
  return { counts: new Array<number>(edges.length + 1).fill(0), sumUs: 0 }
}

/** Counts one. Allocates nothing. */
export function observe(histogram: Histogram, us: number): void {
  let low = 0
  let high = edges.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((edges[middle] as number) < us) low = middle + 1
    else high = middle
  }
  histogram.counts[low] = (histogram.counts[low] as number) + 1
  histogram.sumUs += us
}

export function addHistogram(sum: Histogram, more: Histogram): void {
  for (let index = 0; index < sum.counts.length; index += 1) sum.counts[index] = (sum.counts[index] as number) + (more.counts[index] ?? 0)
  sum.sumUs += more.sumUs
}

export function copyHistogram({ counts, sumUs }: Histogram): Histogram {
  return { counts: counts.slice(), sumUs }
}

export function countOf(histogram: Histogram): number {
  let total = 0
  for (const count of histogram.counts) total += count
  return total
}

/** How many were at most `us`, which must be one of the edges. */
export function countUpTo(histogram: Histogram, us: number): number {
  let total = 0
  for (let index = 0; index < edges.length && (edges[index] as number) <= us; index += 1) total += histogram.counts[index] as number
  return total
}

/**
 * The latency in microseconds under which the share `q` (0 to 1) of what was counted lies, interpolated within its
 * bucket; null where nothing was counted. What is beyond the last edge is told as that edge.
 */
export function quantileUs(histogram: Histogram, q: number): number | null {
  const total = countOf(histogram)
  if (total === 0) return null
  const wanted = q * total
  let before = 0
  for (let index = 0; index < edges.length; index += 1) {
    const count = histogram.counts[index] as number
    if (count > 0 && before + count >= wanted) {
      const low = index === 0 ? 0 : (edges[index - 1] as number)
      return low + ((edges[index] as number) - low) * Math.max(0, (wanted - before) / count)
    }
    before += count
  }
  return edges[edges.length - 1] as number
}
