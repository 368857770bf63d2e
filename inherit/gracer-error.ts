/** What a caller may match on. A code never changes its meaning; message texts may. */
export interface GracerErrorOptions {
  /** Stable, kebab-case: 'port-taken', 'config-invalid', … */
  readonly code: string
  /** What the command line exits with; see docs/exit-codes in the README. Default 1. */
  readonly exitCode?: number
  /** What the person should do next, as one sentence. */
  readonly hint?: string
  readonly cause?: unknown
}

/** The one error class of gracer: says what happened and where, and in `hint` what to do next. */
export class GracerError extends Error {
  readonly code: string
  readonly exitCode: number
  readonly hint: string | undefined

  constructor(message: string, options: GracerErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'GracerError'
    this.code = options.code
    this.exitCode = options.exitCode ?? 1
    this.hint = options.hint
  }
}
