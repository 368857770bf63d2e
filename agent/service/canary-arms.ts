import type { ReleaseFigures } from '../../proxy/figures.ts'
import { quantileUs, type Histogram } from '../../proxy/histogram.ts'
import type { Arm } from '../../proxy/canary/split.ts'
import type { ArmStatus } from '../control/shapes.ts'

/** What the releases of both arms had counted when the canary began; kept, so that another agent tells the same. */
export type ArmsBefore = Readonly<Record<Arm, ReleaseFigures | null>>

/** One arm since the canary began: what its release has counted, less what it had counted by then. */
export function armStatus(release: string, name: string | null, users: number, now: ReleaseFigures | undefined, kept: ReleaseFigures | null): ArmStatus {
  // Of a data plane that has counted from 0 since then, nothing is to be taken off.
  const before = kept !== null && now !== undefined && kept.bytesToRelease <= now.bytesToRelease ? kept : undefined
  const since = (field: 'requests' | 'errors' | 'lost'): number => (now?.[field] ?? 0) - (before?.[field] ?? 0)
  const times = now === undefined ? null : less(now.firstByte, before?.firstByte)
  const requests = since('requests')
  return {
    release, name, users, requests, errors: since('errors'), lost: since('lost'),
    errorRate: requests === 0 ? null : since('errors') / requests,
    p50Ms: times === null ? null : ms(quantileUs(times, 0.5)),
    p99Ms: times === null ? null : ms(quantileUs(times, 0.99)),
  }
}

function less(now: Histogram, before: Histogram | undefined): Histogram {
  if (before === undefined) return now
  return { counts: now.counts.map((count, index) => Math.max(0, count - (before.counts[index] ?? 0))), sumUs: now.sumUs - before.sumUs }
}

function ms(us: number | null): number | null {
  return us === null ? null : Math.round(us / 100) / 10
}
