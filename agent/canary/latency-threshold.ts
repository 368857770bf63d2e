/** How often a latency was seen: `upTo` milliseconds and above the bucket before. In rising order; the last may be Infinity. */
export interface LatencyBucket {
  readonly upToMs: number
  readonly count: number
}

/** So few replies of stable say nothing of its slow ones: then latency is not compared. */
export const leastReplies = 200

/**
 * The latency above which a request counts as slow, fixed before the canary starts and not touched after: the bucket's
 * edge below which the given part of stable's replies lie. Null where there are too few of them, or where the edge has no end.
 * @param part 0.95: one in twenty of stable's requests is slow.
 */
export function latencyThreshold(stable: readonly LatencyBucket[], part = 0.95, least = leastReplies): number | null {
  const all = stable.reduce((sum, { count }) => sum + count, 0)
  if (all < least) return null
  let below = 0
  for (const { upToMs, count } of stable) {
    below += count
    if (below >= all * part) return Number.isFinite(upToMs) ? upToMs : null
  }
  return null
}
