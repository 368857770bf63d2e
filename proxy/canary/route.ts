import type { Target } from '../table.ts'
import type { Arm } from './split.ts'

/** Where a visitor's key comes from when the operator names it: a user id in a header or in a cookie. */
export interface CanaryKey {
  readonly from: 'header' | 'cookie'
  readonly name: string
}

/** What keeps a visitor on its arm who has no key of the operator's. none: each request is drawn by itself. */
export type Sticky = 'cookie' | 'address' | 'none'

/** A canary in the table: which share of the visitors goes to another release, and how they are told apart. */
export interface CanaryRoute {
  readonly target: Target
  /** From 0 to 1. At 0 only testers get there. */
  readonly share: number
  /** Rises with every change of the share: evidence belongs to the phase it was drawn in. From 1. */
  readonly phase: number
  /** One a release, so that each canary has other guinea pigs. */
  readonly salt: string
  /** Signs gracer's cookie and the testers' overrides. One a service, the same for ever. */
  readonly secret: string
  readonly key: CanaryKey | null
  readonly sticky: Sticky
  /** What testers may call either release by, beside 'canary' and 'stable'. */
  readonly names: Readonly<Record<Arm, readonly string[]>>
  /** Networks (CIDR) from which an override needs no signature. */
  readonly allow: readonly string[]
  /** A first reply that takes longer counts as slow; milliseconds. null: latency is not judged. */
  readonly slowMs: number | null
  /** Requests before this are not judged for latency: the canary warms up. Milliseconds of the monotonic clock. */
  readonly timedFromMs: number
  /** The share of bodyless GETs that is sent to it as a copy, from 0 to 1; null or absent: none. */
  readonly shadow?: number | null
}

/** Does the change send visitors to the canary who went to stable before? Then no worker may be ahead of another. */
export function raises(before: CanaryRoute | null | undefined, after: CanaryRoute | null | undefined): boolean {
  if (after === null || after === undefined || after.share === 0) return false
  if (before === null || before === undefined) return true
  return after.share > before.share || after.salt !== before.salt || after.target.release !== before.target.release || after.target.port !== before.target.port
}

/** Whether a value from a file is one. */
export function isCanaryRoute(value: unknown): value is CanaryRoute {
  if (typeof value !== 'object' || value === null) return false
  const { target, share, phase, salt, secret } = value as Partial<CanaryRoute>
  return typeof target === 'object' && target !== null && typeof share === 'number' && share >= 0 && share <= 1
    && Number.isSafeInteger(phase) && typeof salt === 'string' && typeof secret === 'string'
}
