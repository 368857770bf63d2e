import type { Failure } from '../control/shapes.ts'
import type { HealthConfig } from '../config/types.ts'
import { formatDuration } from '../config/units.ts'
import { pause } from './pause.ts'
import { probe, type ProbeResult } from './probe.ts'

const firstRetryMs = 5

export interface CheckOptions {
  readonly port: number
  readonly health: HealthConfig
  readonly signal: AbortSignal
  /** Resolves when the release has said READY: the wait before the next attempt is cut short. */
  readonly ready: Promise<void>
  /** Called after every attempt that failed. */
  readonly attempt: (attempts: number, result: ProbeResult) => void
}

export type CheckResult =
  | { readonly healthy: true; readonly attempts: number; readonly elapsedMs: number; readonly remark: string | null }
  | { readonly healthy: false; readonly aborted: boolean; readonly failure: Failure }

/**
 * Probes a release until it has answered well `successes` times in a row, or its deadline has passed: a timeout is
 * a failure. The first attempt is made at once, failed ones are repeated after 5 ms rising to the interval, and after
 * a success the rest follow without waiting. A TCP connection alone means nothing: the kernel makes it.
 */
export async function checkHealth(options: CheckOptions): Promise<CheckResult> {
  const { port, health, signal } = options
  const begun = performance.now()
  const elapsed = (): number => Math.round(performance.now() - begun)
  const deadline = AbortSignal.timeout(health.deadlineMs)
  const either = AbortSignal.any([signal, deadline])
  let attempts = 0
  let inRow = 0
  let waitMs = firstRetryMs
  let last: ProbeResult | null = null
  // READY cuts one wait short, the one it falls into; after that the pace is the usual one.
  let saidReady = false
  void options.ready.then(() => {
    saidReady = true
  })
  while (!either.aborted) {
    const result = await probe(port, health, either)
    if (signal.aborted) break
    attempts += 1
    // The deadline's own abort says less than what was seen before it.
    if (!deadline.aborted || last === null) last = result
    if (result.healthy) {
      inRow += 1
      if (inRow >= health.successes) return { healthy: true, attempts, elapsedMs: elapsed(), remark: result.remark }
      continue
    }
    inRow = 0
    options.attempt(attempts, result)
    await (saidReady ? pause(waitMs, either) : Promise.race([pause(waitMs, either), options.ready]))
    waitMs = Math.min(waitMs * 2, health.intervalMs)
  }
  return { healthy: false, aborted: signal.aborted, failure: failureOf(health, attempts, elapsed(), last) }
}

function failureOf(health: HealthConfig, attempts: number, elapsedMs: number, last: ProbeResult | null): Failure {
  const path = health.path ?? '/'
  const what = last?.remark ?? `GET ${path} was not answered`
  return {
    stage: 'health',
    message: `not healthy within ${formatDuration(health.deadlineMs)}: ${what}`,
    attempts,
    lastStatus: last?.status ?? null,
    lastLocation: last?.location ?? null,
    lastError: last?.error ?? null,
    elapsedMs,
    deadlineMs: health.deadlineMs,
    exit: null,
    lastLines: [],
    logFile: null,
  }
}
