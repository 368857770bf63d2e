import type { ConfigChange } from '../config/compare.ts'
import type { UpgradeReport } from '../../proxy/messages.ts'
import type { CanaryOrder } from '../canary/canary.ts'
import type { CanaryAnswer, CanaryToken, Explanation, Outcome, PauseAnswer, Progress, Receipt, Status, SwapRequest } from './shapes.ts'

export type ControlEvent = Progress | Outcome

/**
 * What stands behind the control socket. Any of these may throw, or reject with, a GracerError: it becomes a status by
 * its exitCode (2 is 400, 4 is 409, anything else 500).
 */
export interface ControlHandlers {
  status(): Status | Promise<Status>
  /** All figures in the text format of Prometheus. Rejects where the master does not answer. */
  metrics(): Promise<string>
  /** Newest first, `n` at most. */
  history(service: string, n: number): readonly Receipt[] | Promise<readonly Receipt[]>
  /** `release` null: the one under way, else the one tried last where it failed, else the live one. */
  explain(service: string, release: string | null): Explanation | Promise<Explanation>
  /** Where the output of a release lies (absolute path); `release` null: the live one. `since`: ms since 1970. */
  logs(service: string, release: string | null, since: number | null): LogPlace | Promise<LogPlace>
  /** Called with every Progress and Outcome from now on, until the function it returns is called. */
  events(listener: (event: ControlEvent) => void): () => void
  /**
   * The listener gets every Progress and at last one Outcome, which ends the answer. The promise may settle before or
   * after; a client that goes away changes nothing: the swap goes on.
   */
  swap(service: string, request: SwapRequest, listener: (event: ControlEvent) => void): void | Promise<void>
  rollback(service: string, release: string | null, listener: (event: ControlEvent) => void): void | Promise<void>
  restart(service: string, listener: (event: ControlEvent) => void): void | Promise<void>
  pause(service: string, forMs: number): Promise<PauseAnswer>
  resume(service: string): Promise<PauseAnswer>
  /** Ends a swap before its flip; throws where it is too late. */
  undo(service: string, release: string): Outcome | Promise<Outcome>
  canary(service: string): CanaryAnswer | Promise<CanaryAnswer>
  /** Throws, and changes nothing, where there is no canary or the order makes no sense for it. */
  orderCanary(service: string, order: CanaryOrder): CanaryAnswer | Promise<CanaryAnswer>
  /** What a tester sends to choose a release, for so long. */
  canaryToken(service: string, wish: string, forMs: number): CanaryToken | Promise<CanaryToken>
  /** Begins to end everything; what is under way drains. */
  down(): void | Promise<void>
  /** Reads the config again and makes it so. */
  reload(): Promise<ConfigChange>
  /** Begins to replace gracer's workers and agent by the version in this folder (absolute). */
  upgrade(root: string): UpgradeReport | Promise<UpgradeReport>
  upgradeReport(): UpgradeReport
}

export interface LogPlace {
  readonly release: string
  readonly file: string
  /** Where since was given: what was printed then begins here or after, in bytes; below 0: in `FILE.1`, so far before its end. null: at the oldest there is. */
  readonly from?: number | null
}

/** As much of a pino logger as the control server needs. */
export interface ControlLog {
  warn(fields: Record<string, unknown>, message: string): void
  error(fields: Record<string, unknown>, message: string): void
}
