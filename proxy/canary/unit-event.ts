import type { Arm } from './split.ts'

/** The names of what is compared: 'errors', 'latency', and what the operator's app reports. */
export type MetricName = string

/**
 * What a worker tells the verdict of one request. Sent for the first request of a unit in a phase, for the first that is
 * eligible for a first-request metric, and for each that went bad; telling more often does no harm.
 */
export interface UnitEvent {
  /** The unit's name from the draw; null where each request is drawn by itself. */
  readonly unit: string | null
  /** Where the draw sent it, whoever served it in the end. */
  readonly arm: Arm
  /** The canary's share when it was drawn, from 0 to 1; never that of a later moment. */
  readonly share: number
  /** The number of the phase in force when it was drawn; each change of the share begins a phase. Below 1: before the canary. */
  readonly phase: number
  /** When the request began, milliseconds of the monotonic clock that all processes share. */
  readonly atMs: number
  /** The metrics in which it went bad. */
  readonly bad: readonly MetricName[]
  /** The first-request metrics for which it was eligible and went well; others need not be told. */
  readonly good: readonly MetricName[]
  /** Who sent it, for the cap of evidence; left out where that says nothing (loopback, an untrusted front end). */
  readonly address?: string
}
