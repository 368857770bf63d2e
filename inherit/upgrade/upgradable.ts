import { tailOf, UpgradeError } from './upgrade-error.ts'

export interface Upgraded {
  /** Of the process that serves now. */
  readonly pid: number
  readonly generation: number
}

export interface UpgradeOptions {
  /** Gives the upgrade up while the successor is not confirmed yet: code 'aborted'. */
  readonly signal?: AbortSignal | undefined
}

export interface ListenerDescription {
  readonly name: string
  /** HOST:PORT, or null for a unix socket. */
  readonly addr: string | null
  readonly fd: number | null
  /** The path of a unix socket. */
  readonly filename: string | null
}

export interface Description {
  readonly pid: number
  readonly generation: number
  readonly state: 'starting' | 'serving' | 'upgrading' | 'draining' | 'closed'
  /** The pid of the generation before, while it is still answering. */
  readonly leaving: number | null
  readonly listeners: readonly ListenerDescription[]
}

/** What signals, the control socket and the HTTP route act on: the program itself, or the parent in front of it. */
export interface Upgradable {
  upgrade(options?: UpgradeOptions): Promise<Upgraded>
  describe(): Description
}

/** How the outcome of an upgrade is told over HTTP. */
export async function upgradeReply(upgradable: Upgradable): Promise<{ status: number; body: object }> {
  try {
    return { status: 200, body: { ...(await upgradable.upgrade()) } }
  } catch (error) {
    return { status: (error as { code?: unknown }).code === 'busy' ? 409 : 500, body: errorBody(error) }
  }
}

export interface ErrorBody {
  readonly code: string
  readonly reason: string
  readonly lines: readonly string[]
  readonly hint: string | null
}

export function errorBody(error: unknown): ErrorBody {
  const { code, message, hint } = error as { code?: unknown; message?: unknown; hint?: unknown }
  return {
    code: typeof code === 'string' ? code : 'failed',
    reason: error instanceof UpgradeError ? error.reason : String(message),
    lines: error instanceof UpgradeError ? error.lines : [],
    hint: typeof hint === 'string' ? hint : null,
  }
}

/** For a log. */
export function failureText(error: unknown): string {
  const { message, hint } = error as { message?: unknown; hint?: unknown }
  return `${String(message)}${typeof hint === 'string' ? `\n${hint}` : ''}`
}

/** For a log, where nobody has asked for an upgrade: the front starts the program. */
export function startFailureText(error: unknown): string {
  return error instanceof UpgradeError ? `the program did not come up: ${error.reason}${tailOf(error.lines)}` : failureText(error)
}
