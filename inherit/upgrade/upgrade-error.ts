import { GracerError } from '../gracer-error.ts'

/**
 * busy: an upgrade is under way, or the process before has not left yet. spawn: the successor could not be started.
 * exited, timeout, protocol: what it did instead of serving. aborted: by the caller, or because this process ends.
 */
export type UpgradeFailure = 'busy' | 'spawn' | 'exited' | 'timeout' | 'protocol' | 'aborted'

/** Why there is no successor. The process that rejects with it serves on, and may try again. */
export class UpgradeError extends GracerError {
  /** The cause in one sentence. */
  readonly reason: string
  /** What the successor wrote last, where it could be seen; oldest first. */
  readonly lines: readonly string[]

  constructor(code: UpgradeFailure, reason: string, details: { lines?: readonly string[]; hint?: string | undefined; cause?: unknown } = {}) {
    const { lines = [], hint, cause } = details
    super(`no upgrade: ${reason}${tailOf(lines)}`, { code, exitCode: code === 'busy' ? 4 : 1, cause, ...(hint === undefined ? {} : { hint }) })
    this.name = 'UpgradeError'
    this.reason = reason
    this.lines = lines
  }
}

/** What follows a reason in a message. */
export function tailOf(lines: readonly string[]): string {
  return lines.length === 0 ? '' : `. Its last lines:\n${lines.map((line) => `  ${line}`).join('\n')}`
}
