import type { MetricName } from '../../proxy/canary/unit-event.ts'

export interface Metric {
  readonly name: MetricName
  /**
   * first-bad: a unit counts when it goes bad for the first time. first-request: only its first eligible request in each
   * phase is looked at, because of fifty requests one is slow on any release.
   */
  readonly counts: 'first-bad' | 'first-request'
  /** Its part of alpha, relative to the other metrics. */
  readonly weight: number
  /** Not compared where the share was larger: there latency says more of the load than of the code. */
  readonly frozenAbove: number
  /** Requests that began sooner after the start of the canary are not looked at. Milliseconds. */
  readonly warmUpMs: number
}

/** 5xx, upstream reset, failed dial, WebSocket closed abnormally, what the app reports as failed. */
export const errorsMetric: Metric = Object.freeze({ name: 'errors', counts: 'first-bad', weight: 1, frozenAbove: 1, warmUpMs: 0 })

/** Above a threshold that is fixed before the canary starts. */
export const latencyMetric: Metric = Object.freeze({ name: 'latency', counts: 'first-request', weight: 1, frozenAbove: 0.5, warmUpMs: 30_000 })

/** What the app reports by itself, by its name. */
export function reportedMetric(name: MetricName, weight = 1): Metric {
  return { ...errorsMetric, name, weight }
}
