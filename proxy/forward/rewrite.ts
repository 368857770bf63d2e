import type { IncomingMessage } from 'node:http'
import type { ReleaseId } from '../table.ts'
import type { Fields } from './request-fields.ts'

/** One reply's body, changed as it streams by. Bytes may be held back and given with a later chunk, or at the end. */
export interface BodyRewrite {
  /** For the client instead of the upstream's: without a Content-Length where the body becomes longer. */
  readonly fields: string[]
  pass(chunk: Buffer): Buffer
  /** What was held back, and what is to stand last. */
  end(): Buffer
}

/** What a front may be given that changes replies on their way. Without one nothing is asked and nothing is paid. */
export interface ReplyRewriter {
  /** Before a request is sent: `fields` is what the upstream gets, and may be changed. */
  request(req: IncomingMessage, fields: Fields): void
  /** When the head of a reply has come; null: it passes as it is. `fields` are those for the client. */
  reply(req: IncomingMessage, status: number, fields: readonly string[], release: ReleaseId): BodyRewrite | null
}
