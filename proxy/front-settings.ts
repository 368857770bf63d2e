/** What workers are told of how the public port is served: at their start, and with the table after a reload. Plain data. */
export interface FrontSettings {
  /** Whether X-Forwarded-* of the peer are believed. */
  readonly trustProxy: boolean
  readonly limits: FrontLimits
  /** null: no access log. */
  readonly access: AccessSettings | null
}

/** What one client may cost. Milliseconds and bytes; null: no limit. */
export interface FrontLimits {
  /** A keep-alive connection of a client without a request is closed after this. */
  readonly idleMs: number
  /** The head of a request must be there within this, from the first byte or from the connection's begin: 408. */
  readonly headMs: number
  /** Nothing of a request's body for so long, while it is waited for: 408. */
  readonly bodyStallMs: number | null
  /** Bytes a second that a body must bring at least, on average: 408. */
  readonly bodyRate: number | null
  /** A larger body is refused: 413. */
  readonly bodyBytes: number | null
  /** A client that takes nothing of what waits for it is disconnected. */
  readonly readStallMs: number | null
  /** From the whole request to the head of the release's reply: 504. */
  readonly firstByteMs: number | null
  /** Clients' connections over all workers: 503 beyond. null: what the process's file descriptors allow. */
  readonly connections: number | null
}

export const defaultLimits: FrontLimits = Object.freeze({
  idleMs: 75_000, headMs: 30_000, bodyStallMs: 300_000, bodyRate: null, bodyBytes: null, readStallMs: 300_000, firstByteMs: null, connections: null,
})

export interface AccessSettings {
  /** Absolute. */
  readonly file: string
  /** The share of requests that get a line, above 0 to 1. What went wrong always gets one. */
  readonly sample: number
  /** Whether the query stands in the line: it may hold secrets. */
  readonly query: boolean
  /** The file is moved aside once it is larger; as `.1`, `.2`, … so many are kept. */
  readonly maxBytes: number
  readonly keep: number
}
