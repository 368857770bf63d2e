import type { ReleaseId, ServiceName } from './table.ts'

/** What a worker counts of one release. All but the first three only grow. */
export interface ReleaseFigures {
  readonly service: ServiceName
  readonly release: ReleaseId
  inFlight: number
  streams: number
  upgraded: number
  /** Picked, dials that failed before any byte was sent not counted. */
  requests: number
  /** Replies of 500 and above, and requests lost. */
  errors: number
  /** Picked, client still there, no complete reply. Includes what a drain deadline cut. */
  lost: number
  cut: number
  retried: number
  clientGone: number
  /** Streams and WebSockets ended in order when their grace was over. */
  streamsEnded: number
  upgradedEnded: number
  /** Requests that finished while the release was draining. */
  drained: number
}

/**
 * For the live check of promise 2, by the table number at which a release became live:
 * when the last request that went to it began, and when the first full reply came from it.
 * Microseconds of the monotonic clock, which all processes of a machine share (clock_gettime(2), CLOCK_MONOTONIC).
 */
export interface FlipTimes {
  readonly service: ServiceName
  readonly since: number
  lastBegin: number
  firstReply: number | null
}

export interface WorkerLedger {
  readonly releases: readonly ReleaseFigures[]
  readonly flips: readonly FlipTimes[]
  /** Broken invariants seen by this worker alone. */
  readonly violations: number
  readonly parked: number
  readonly held: number
}

/** All workers' ledgers added up, those of workers that are gone included. */
export interface ServiceFigures {
  readonly service: ServiceName
  readonly releases: readonly ReleaseFigures[]
  readonly violations: number
  readonly lost: number
  readonly parked: number
  readonly held: number
}

export function noFigures(service: ServiceName, release: ReleaseId): ReleaseFigures {
  return {
    service, release, inFlight: 0, streams: 0, upgraded: 0, requests: 0, errors: 0, lost: 0, cut: 0,
    retried: 0, clientGone: 0, streamsEnded: 0, upgradedEnded: 0, drained: 0,
  }
}

const counted = [
  'inFlight', 'streams', 'upgraded', 'requests', 'errors', 'lost', 'cut',
  'retried', 'clientGone', 'streamsEnded', 'upgradedEnded', 'drained',
] as const

/** Adds `more` into `sum`, field by field. */
export function addFigures(sum: ReleaseFigures, more: ReleaseFigures): void {
  for (const field of counted) sum[field] += more[field]
}

/**
 * How many flips were not atomic: a request that began after the first full reply of a later release
 * was still answered by an earlier one (promise 2).
 */
export function countFlipViolations(flips: readonly FlipTimes[]): number {
  const byService = groupByService(flips)
  let violations = 0
  for (const times of byService.values()) {
    const merged = new Map<number, { lastBegin: number; firstReply: number }>()
    for (const flip of times) {
      const one = merged.get(flip.since) ?? { lastBegin: -Infinity, firstReply: Infinity }
      one.lastBegin = Math.max(one.lastBegin, flip.lastBegin)
      one.firstReply = Math.min(one.firstReply, flip.firstReply ?? Infinity)
      merged.set(flip.since, one)
    }
    const ordered = [...merged.entries()].sort((a, b) => a[0] - b[0])
    for (const [index, [, earlier]] of ordered.entries()) {
      const later = ordered.slice(index + 1).some(([, other]) => earlier.lastBegin > other.firstReply)
      if (later) violations += 1
    }
  }
  return violations
}

function groupByService(flips: readonly FlipTimes[]): Map<ServiceName, FlipTimes[]> {
  const groups = new Map<ServiceName, FlipTimes[]>()
  for (const flip of flips) {
    const group = groups.get(flip.service)
    if (group === undefined) groups.set(flip.service, [flip])
    else group.push(flip)
  }
  return groups
}
