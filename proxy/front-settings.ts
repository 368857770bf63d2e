/** What workers are told at their start of how the public port is served. Plain data. */
export interface FrontSettings {
  /** Whether X-Forwarded-* of the peer are believed. */
  readonly trustProxy: boolean
  /** A keep-alive connection of a client without a request is closed after this. */
  readonly idleMs: number
  /** null: no access log. */
  readonly access: AccessSettings | null
}

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
