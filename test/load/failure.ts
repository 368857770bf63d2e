/** Why a request counts as failed. A code never changes its meaning. */
export type FailureCode =
  /** ECONNREFUSED: nobody listens on the port. */
  | 'refused'
  /** Any other failure to connect, the time limit included. */
  | 'connect'
  /** The connection was reset, or a write on it failed, with a request outstanding. */
  | 'reset'
  /** The connection was closed in order before the first byte of the reply. */
  | 'no-reply'
  /** The connection was closed in order within the reply. */
  | 'truncated'
  /** The reply's body differs from the expected one at some byte. */
  | 'wrong-byte'
  /** The body is complete by its framing, but shorter or longer than expected. */
  | 'wrong-length'
  /** The body is the one that another request on the same connection expects. */
  | 'wrong-order'
  | 'wrong-status'
  | 'wrong-header'
  /** The reply does not name its release. */
  | 'no-release'
  /** Not HTTP/1.1 as RFC 9112 has it, or not a WebSocket frame as RFC 6455 has it. */
  | 'malformed'
  /** Bytes came with no request outstanding. */
  | 'unexpected-data'
  | 'timeout'
  /** The WebSocket's connection ended with no close frame before. */
  | 'websocket-dropped'
  /** The server closed the WebSocket with a code other than 1000 and 1001. */
  | 'websocket-closed'
  /** An event's number does not follow the one before it. */
  | 'wrong-event'

export interface Failure {
  readonly code: FailureCode
  /** One sentence for a person: what was expected and what came. */
  readonly detail: string
}

export function failure(code: FailureCode, detail: string): Failure {
  return { code, detail }
}

/** For parsers, which give up in the middle of things. */
export class Fault extends Error {
  readonly failure: Failure

  constructor(code: FailureCode, detail: string) {
    super(detail)
    this.name = 'Fault'
    this.failure = { code, detail }
  }
}
