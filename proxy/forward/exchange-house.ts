import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AccessRecord } from '../access/access-line.ts'
import type { FrontLimits } from '../front-settings.ts'
import type { Picker } from '../visit.ts'
import type { ClientConnection } from './client-connection.ts'
import type { EarlyBytes } from './early-bytes.ts'
import type { Understood } from './request-checks.ts'
import type { Fields } from './request-fields.ts'
import type { ReplyRewriter } from './rewrite.ts'
import type { UpstreamPool } from './upstream-pool.ts'

export type Log = (level: 'debug' | 'info' | 'warn' | 'error', event: string, fields: Record<string, unknown>) => void

/** Where the lines of an access log go. */
export interface AccessSink {
  wants(end: Pick<AccessRecord, 'status' | 'end'>): boolean
  write(record: AccessRecord): void
}

/** What all exchanges of a front share. */
export interface ExchangeHouse {
  readonly picker: Picker
  readonly pool: UpstreamPool
  readonly log: Log
  readonly draining: () => boolean
  readonly limits: () => FrontLimits
  /** The front answers by itself; service '': it could not be said which. */
  readonly refused: (service: string, code: string) => void
  /** null: no access log, and nothing is measured for one. */
  readonly access: AccessSink | null
  /** null: replies pass as they are. */
  readonly rewriter: ReplyRewriter | null
  /** An untrusted peer sent X-Forwarded-For. */
  readonly claimed: (peer: string) => void
}

/** The client's side of an exchange, as an attempt to answer it needs it. */
export interface ClientSide {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly connection: ClientConnection
  readonly seen: Understood
  /** What the upstream gets. */
  readonly fields: Fields
  /** What the client sends before its handshake is answered; null: it is no WebSocket handshake. */
  readonly early: EarlyBytes | null
  /** May be sent twice: nothing changes by it, and it has no body that would be gone. */
  readonly repeatable: boolean
}
