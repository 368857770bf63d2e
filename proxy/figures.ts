import { addHistogram, copyHistogram, emptyHistogram, type Histogram } from './histogram.ts'
import type { ReleaseId, ServiceName } from './table.ts'
import type { ServiceUsers } from './users/user-news.ts'

/** What a worker counts of one release. All but the first three only grow (`requests`: but for those that are picked again). */
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
  /** Hashed assets that it did not have and the release before answered; not among its requests. */
  missed: number
  clientGone: number
  /** Streams and WebSockets ended in order when their grace was over. */
  streamsEnded: number
  upgradedEnded: number
  /** Requests that finished while the release was draining. */
  drained: number
  /**
   * Its replies by class: 1xx (a WebSocket's 101) at 1, to 5xx at 5. At 0 what ended without one: lost, cut, or the client
   * went away first. What is picked again stands nowhere.
   */
  readonly statuses: number[]
  /**
   * Connections that it did not take, that it closed without a byte of a reply, on which it did not begin its reply in time,
   * and replies that could not be passed on or broke off.
   */
  dialFailed: number
  reset: number
  slow: number
  badReply: number
  /** Over the connections to it, heads included. */
  bytesToRelease: number
  bytesFromRelease: number
  /** From the pick to the head of the reply. */
  readonly firstByte: Histogram
  /** From the pick until the whole reply is with the kernel; complete replies only, no streams and no WebSockets. */
  readonly total: Histogram
}

/** What a worker counts of a service, whichever release it would have been. Service '': nobody could say which. */
export interface WaitFigures {
  readonly service: ServiceName
  /** Waiting at this moment for a flip, and for something that can answer. */
  parked: number
  held: number
  /** Requests that a flip made wait, and the longest such wait in microseconds. */
  parks: number
  longestParkUs: number
  /** Requests that waited because nothing could answer, and those of them that waited in vain. */
  holds: number
  holdTimeouts: number
  /** Lines of the access log that could not be written. */
  accessDropped: number
  /** Requests that gracer answered itself without any release, by the code in its reply. */
  readonly refused: Record<string, number>
  /** Broken invariants seen by this worker alone. */
  violations: number
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
  readonly waits: readonly WaitFigures[]
}

/** All workers' ledgers of one service added up, those of workers that are gone included. */
export interface ServiceFigures {
  readonly service: ServiceName
  readonly releases: readonly ReleaseFigures[]
  /** Those seen by the workers, and flips that were not atomic over all of them. */
  readonly violations: number
  readonly lost: number
  readonly waits: WaitFigures
  /** Absent: the master is of a version that does not count them. */
  readonly users?: ServiceUsers
}

export function noFigures(service: ServiceName, release: ReleaseId): ReleaseFigures {
  return {
    service, release, inFlight: 0, streams: 0, upgraded: 0, requests: 0, errors: 0, lost: 0, cut: 0,
    retried: 0, missed: 0, clientGone: 0, streamsEnded: 0, upgradedEnded: 0, drained: 0,
    statuses: [0, 0, 0, 0, 0, 0], dialFailed: 0, reset: 0, slow: 0, badReply: 0, bytesToRelease: 0, bytesFromRelease: 0,
    firstByte: emptyHistogram(), total: emptyHistogram(),
  }
}

/** A copy that later counting does not change. */
export function copyFigures(figures: ReleaseFigures): ReleaseFigures {
  return { ...figures, statuses: figures.statuses.slice(), firstByte: copyHistogram(figures.firstByte), total: copyHistogram(figures.total) }
}

export function noWaits(service: ServiceName): WaitFigures {
  return { service, parked: 0, held: 0, parks: 0, longestParkUs: 0, holds: 0, holdTimeouts: 0, accessDropped: 0, refused: {}, violations: 0 }
}

export function addWaits(sum: WaitFigures, more: WaitFigures): void {
  for (const field of ['parked', 'held', 'parks', 'holds', 'holdTimeouts', 'accessDropped', 'violations'] as const) sum[field] += more[field]
  sum.longestParkUs = Math.max(sum.longestParkUs, more.longestParkUs)
  for (const [code, count] of Object.entries(more.refused)) sum.refused[code] = (sum.refused[code] ?? 0) + count
}

const counted = [
  'inFlight', 'streams', 'upgraded', 'requests', 'errors', 'lost', 'cut',
  'retried', 'missed', 'clientGone', 'streamsEnded', 'upgradedEnded', 'drained',
  'dialFailed', 'reset', 'slow', 'badReply', 'bytesToRelease', 'bytesFromRelease',
] as const

/** Adds `more` into `sum`, field by field. */
export function addFigures(sum: ReleaseFigures, more: ReleaseFigures): void {
  for (const field of counted) sum[field] += more[field]
  for (let index = 0; index < sum.statuses.length; index += 1) sum.statuses[index] = (sum.statuses[index] as number) + (more.statuses[index] ?? 0)
  addHistogram(sum.firstByte, more.firstByte)
  addHistogram(sum.total, more.total)
}

/** How many flips were not atomic. */
export function countFlipViolations(flips: readonly FlipTimes[]): number {
  return flipViolations(flips).length
}

/**
 * The flips that were not atomic, each by a name of its own: a request that began after the first full reply of a later
 * release was still answered by an earlier one (promise 2).
 */
export function flipViolations(flips: readonly FlipTimes[]): string[] {
  const byService = groupByService(flips)
  const violations: string[] = []
  for (const [service, times] of byService) {
    const merged = new Map<number, { lastBegin: number; firstReply: number }>()
    for (const flip of times) {
      const one = merged.get(flip.since) ?? { lastBegin: -Infinity, firstReply: Infinity }
      one.lastBegin = Math.max(one.lastBegin, flip.lastBegin)
      one.firstReply = Math.min(one.firstReply, flip.firstReply ?? Infinity)
      merged.set(flip.since, one)
    }
    const ordered = [...merged.entries()].sort((a, b) => a[0] - b[0])
    for (const [index, [since, earlier]] of ordered.entries()) {
      const later = ordered.slice(index + 1).some(([, other]) => earlier.lastBegin > other.firstReply)
      if (later) violations.push(`${service} ${since}`)
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
