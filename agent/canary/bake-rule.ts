/**
 * The rule of the bake, after a full flip, when there is nobody on the old release to compare with: a heuristic, without
 * any guarantee. The new release goes back when so many distinct users at least were affected since the flip, they are so
 * large a share of those seen, and that is so many times the share of the old release in its last ten minutes.
 */
export interface BakeRule {
  /** Distinct users affected, at least. */
  readonly users: number
  /** Share of the users seen since the flip, at least; from 0 to 1. */
  readonly floor: number
  /** Times the old release's share, at least. */
  readonly factor: number
}

export const bakeRule: BakeRule = Object.freeze({ users: 10, floor: 0.05, factor: 3 })

/** The old release is looked at this far back from the flip. */
export const bakeMemoryMs = 10 * 60_000

/** Distinct users seen, and those of them that got an error. */
export interface Affected {
  readonly users: number
  readonly affected: number
}

/** Has the new release crossed the rule's limits? */
export function crossesRule(rule: BakeRule, fresh: Affected, old: Affected): boolean {
  if (fresh.affected < rule.users || fresh.users === 0) return false
  // Multiplied out: 0.3 is not three times 0.1 in binary fractions.
  return fresh.affected >= rule.floor * fresh.users && fresh.affected * old.users >= rule.factor * old.affected * fresh.users
}

/** Why the release went back, as one sentence. */
export function crossedText(fresh: Affected, old: Affected): string {
  return `${fresh.affected} of its ${fresh.users} users were affected (the old release in its last ten minutes: ${old.affected} of ${old.users})`
}
