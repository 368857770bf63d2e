import type { ReleaseFigures, WaitFigures } from '../../proxy/figures.ts'
import { countOf, quantileUs, type Histogram } from '../../proxy/histogram.ts'
import type { Latency, ReleaseTraffic, ServiceTraffic } from '../control/shapes.ts'

/** What `status` says of the traffic of a release. `own` undefined: nothing was counted of it. */
export function releaseTraffic(own: ReleaseFigures | undefined): ReleaseTraffic {
  const statuses = own?.statuses ?? []
  return {
    streams: own?.streams ?? 0,
    statuses: { none: statuses[0] ?? 0, '1xx': statuses[1] ?? 0, '2xx': statuses[2] ?? 0, '3xx': statuses[3] ?? 0, '4xx': statuses[4] ?? 0, '5xx': statuses[5] ?? 0 },
    errorRate: own === undefined || own.requests === 0 ? null : own.errors / own.requests,
    latencyMs: latencyOf(own?.total),
    firstByteMs: latencyOf(own?.firstByte),
    lost: own?.lost ?? 0,
    cut: own?.cut ?? 0,
    retried: own?.retried ?? 0,
    missed: own?.missed ?? 0,
    clientGone: own?.clientGone ?? 0,
    failures: { dial: own?.dialFailed ?? 0, reset: own?.reset ?? 0, slow: own?.slow ?? 0, badReply: own?.badReply ?? 0 },
    bytes: { toRelease: own?.bytesToRelease ?? 0, fromRelease: own?.bytesFromRelease ?? 0 },
  }
}

/** What `status` says of requests of a service that met no release at once, or none at all. */
export function serviceTraffic(waits: WaitFigures | undefined): ServiceTraffic {
  return {
    parked: waits?.parked ?? 0,
    held: waits?.held ?? 0,
    parks: waits?.parks ?? 0,
    longestParkMs: tenths(waits?.longestParkUs ?? 0),
    holds: waits?.holds ?? 0,
    holdTimeouts: waits?.holdTimeouts ?? 0,
    accessDropped: waits?.accessDropped ?? 0,
    refused: { ...waits?.refused },
  }
}

function latencyOf(histogram: Histogram | undefined): Latency | null {
  if (histogram === undefined) return null
  const [p50, p90, p99] = [0.5, 0.9, 0.99].map((q) => quantileUs(histogram, q))
  const count = countOf(histogram)
  if (p50 == null || p90 == null || p99 == null) return null
  return { p50: tenths(p50), p90: tenths(p90), p99: tenths(p99), mean: tenths(histogram.sumUs / count), count }
}

/** Milliseconds with one decimal. */
function tenths(us: number): number {
  return Math.round(us / 100) / 10
}
