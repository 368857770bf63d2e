import type { ReleaseFigures } from '../../proxy/figures.ts'

/**
 * During bake there is no control arm, so this is a heuristic with stated numbers and no guarantee: so many errors at
 * least, so large a share at least, and so many times the old release's share.
 */
export const bakeLimit = Object.freeze({ errors: 10, share: 0.05, factor: 3 })

export interface ErrorCount {
  readonly requests: number
  readonly errors: number
}

export function errorCount(figures: ReleaseFigures | undefined): ErrorCount {
  return { requests: figures?.requests ?? 0, errors: figures?.errors ?? 0 }
}

/** What has come since an earlier count of the same release; a master that is new counts from nothing. */
export function since(before: ErrorCount, now: ErrorCount): ErrorCount {
  return now.requests < before.requests ? now : { requests: now.requests - before.requests, errors: now.errors - before.errors }
}

/** Has the new release's error share since the flip crossed the limit, seen against all that the old one answered? */
export function crossesLimit(fresh: ErrorCount, old: ErrorCount): boolean {
  if (fresh.errors < bakeLimit.errors || fresh.requests === 0) return false
  const share = fresh.errors / fresh.requests
  const oldShare = old.requests === 0 ? 0 : old.errors / old.requests
  return share >= bakeLimit.share && share >= oldShare * bakeLimit.factor
}
