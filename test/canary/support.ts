import type { Arm } from '../../proxy/canary/split.ts'
import type { UnitEvent } from '../../proxy/canary/unit-event.ts'

/** A request of a unit, fine unless said otherwise. */
export function event(unit: string | null, arm: Arm, more: Partial<UnitEvent> = {}): UnitEvent {
  return { unit, arm, share: 0.05, phase: 1, atMs: 1_000_000, bad: [], good: [], ...more }
}

export function failed(unit: string | null, arm: Arm, more: Partial<UnitEvent> = {}): UnitEvent {
  return event(unit, arm, { bad: ['errors'], ...more })
}
