import type { IncomingMessage, ServerResponse } from 'node:http'
import { EventBoundary } from './event-boundary.ts'
import type { ReplyHead } from './reply-fields.ts'
import type { BodyRewrite } from './rewrite.ts'
import { trailerFields } from './trailers.ts'

/** What a reply tells the attempt it belongs to: one of the two at most, and once. That the client has everything is told by 'finish' of `res`. */
export interface ReplyOwner {
  /** The upstream left before the reply was complete. */
  replyBroken(): void
  /** The upstream has sent all of it; its connection is not lent to anybody else yet. */
  replyReceived(): void
}

/**
 * Writes an upstream's reply to the client: the head at once, the body under back-pressure, trailers where Node allows
 * them.
 */
export class Reply {
  readonly #res: ServerResponse
  readonly #incoming: IncomingMessage
  readonly #owner: ReplyOwner
  readonly #rewrite: BodyRewrite | null
  readonly #boundary: EventBoundary | null
  readonly #encoded: boolean
  #ending = false
  #over = false
  #begun = false
  /** Ended before its time, in order. */
  endedEarly = false

  /** Throws what `res.writeHead` throws on a head that cannot be written; then nothing was sent. */
  constructor(res: ServerResponse, incoming: IncomingMessage, head: ReplyHead, rewrite: BodyRewrite | null, owner: ReplyOwner) {
    this.#res = res
    this.#incoming = incoming
    this.#rewrite = rewrite
    this.#owner = owner
    this.#boundary = head.eventStream === 'plain' ? new EventBoundary() : null
    this.#encoded = head.eventStream === 'encoded'
    res.writeHead(incoming.statusCode ?? 0, incoming.statusMessage ?? '', rewrite === null ? head.fields : rewrite.fields)
    incoming.on('data', (chunk: Buffer) => this.#data(chunk))
    incoming.on('end', () => this.#end())
    incoming.on('error', () => this.#close())
    incoming.on('close', () => this.#close())
    res.on('drain', () => incoming.resume())
    // Body bytes mostly come with the head and then leave in one write. What has only a head (an event stream that is
    // silent so far) must not wait for them.
    process.nextTick(() => { if (!this.#begun && !this.#over) res.flushHeaders() })
  }

  /** Did the upstream send all of it? */
  get complete(): boolean {
    return this.#over || this.#incoming.complete
  }

  /** Ends an event stream after the event under way, or at once between two. */
  endAtBoundary(): void {
    if (this.#over || this.#ending) return
    this.#ending = true
    // A compressed stream cannot be looked into; a compressor in front of events flushes at the end of each.
    if (this.#boundary === null ? this.#encoded : this.#boundary.reached) this.#endEarly()
  }

  #data(chunk: Buffer): void {
    if (this.#over) return
    this.#begun = true
    let passed = chunk
    let atEnd = false
    if (this.#ending) {
      if (this.#boundary === null) atEnd = this.#encoded
      else {
        passed = chunk.subarray(0, this.#boundary.passToBoundary(chunk))
        atEnd = this.#boundary.reached
      }
    } else if (this.#boundary !== null) this.#boundary.pass(chunk)
    if (this.#rewrite !== null) passed = this.#rewrite.pass(passed)
    if (!this.#res.write(passed)) this.#incoming.pause()
    if (atEnd) this.#endEarly()
  }

  #end(): void {
    if (this.#over) return
    this.#over = true
    this.#owner.replyReceived()
    if (this.#incoming.rawTrailers.length > 0) {
      const trailers = trailerFields(this.#incoming.rawTrailers)
      if (trailers.length > 0 && this.#res.chunkedEncoding) this.#res.addTrailers(trailers)
    }
    if (this.#rewrite === null) this.#res.end()
    else this.#res.end(this.#rewrite.end())
  }

  #endEarly(): void {
    this.#over = true
    this.endedEarly = true
    this.#res.end()
    this.#incoming.destroy()
  }

  #close(): void {
    if (this.#over || this.#incoming.complete) return
    this.#over = true
    this.#owner.replyBroken()
  }
}
