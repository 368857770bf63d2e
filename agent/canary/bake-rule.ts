import type { Affected } from '../../proxy/users/user-sample.ts'

/**
 * The rule of the bake, after a full flip, when there is nobody on the old release to compare with: a heuristic, without
 * any guarantee. The new release goes back when so many distinct users at least were affected since the flip, they are so
 * large a share of those seen, and that is so many times the share of the old release in its last ten minutes.
 */
export interface BakeRule {
  /** Distinct users affected, at least. As many users of the old release must have been seen for it to be compared with. */
  readonly users: number
  /** Share of the users seen since the flip, at least; from 0 to 1. */
  readonly floor: number
  /** Times the old release's share, at least. */
  readonly factor: number
  /** The share that takes the place of floor and factor where too little is known of the old release; from 0 to 1. */
  readonly withoutBaseline: number
}

export const bakeRule: BakeRule = Object.freeze({ users: 10, floor: 0.05, factor: 3, withoutBaseline: 0.5 })

/** Has the new release crossed the rule's limits? `old` null: nothing is known of it, which is not that it had no errors. */
export function crossesRule(rule: BakeRule, fresh: Affected, old: Affected | null): boolean {
  if (fresh.affected < rule.users || fresh.users === 0) return false
  const baseline = baselineOf(rule, old)
  if (baseline === null) return fresh.affected >= rule.withoutBaseline * fresh.users
  // Multiplied out: 0.3 is not three times 0.1 in binary fractions.
  return fresh.affected >= rule.floor * fresh.users && fresh.affected * baseline.users >= rule.factor * baseline.affected * fresh.users
}

/** Why the release went back, as one sentence. */
export function crossedText(rule: BakeRule, fresh: Affected, old: Affected | null): string {
  const baseline = baselineOf(rule, old)
  const known = old?.users ?? 0
  const before = baseline === null
    ? `of the old release ${known} ${known === 1 ? 'user is' : 'users are'} known, too few to compare with`
    : `the old release in its last ten minutes: ${baseline.affected} of ${baseline.users}`
  return `${fresh.affected} of its ${fresh.users} users were affected (${before})`
}

function baselineOf(rule: BakeRule, old: Affected | null): Affected | null {
  return old !== null && old.users >= rule.users ? old : null
}
