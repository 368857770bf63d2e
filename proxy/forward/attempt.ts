import type { ClientRequest, IncomingMessage, InformationEvent } from 'node:http'
import type { Socket } from 'node:net'
import { isMarkedPublic, setVisit } from '../canary/visit-cookie.ts'
import type { Visit, VisitEnd } from '../visit.ts'
import { dial } from './dial.ts'
import type { ClientSide, ExchangeHouse } from './exchange-house.ts'
import type { UpstreamListener } from './hand-over.ts'
import { sendHandshake, switchedHead, switchFault } from './handshake.ts'
import { isAssetReply } from './hashed-asset.ts'
import { sendRequest } from './http-lane.ts'
import { replyHead, type ReplyHead } from './reply-fields.ts'
import { Reply, type ReplyOwner } from './response.ts'
import { sentBytes } from './sent-bytes.ts'
import { trailerFields } from './trailers.ts'
import { Tunnel } from './tunnel.ts'
import type { Upstream } from './upstream-pool.ts'

/** What an attempt tells the exchange it belongs to. The first three are the end of it but for `end`. */
export interface AttemptOwner {
  /** No connection: nothing was sent. */
  dialFailed(error: Error): void
  /** No connection, and not the release's fault: nothing was sent. */
  noDescriptors(error: Error): void
  /** The client's body turned out to be larger than is taken. */
  bodyTooLarge(): void
  /** The release has not begun its reply in time. */
  firstByteOverdue(): void
  /** The release closed the connection without a byte of a reply. */
  unanswered(error: Error): void
  /** The reply cannot be passed on, and nothing of it was. */
  badReply(why: string): void
  /** It answers 404. True: the release before is asked, and its reply is held until that has answered. */
  missed(): boolean
  /** Asked in the place of another that missed: it has the asset, or it has not. */
  found(): void
  foundNot(): void
  /** The reply broke off when some of it was with the client. */
  brokenOff(): void
  /** Connected; nothing of the client's body has been read. */
  connected(): void
  /** The head of the reply is about to be written. */
  replying(): void
  /** The WebSocket has ended and its visit with it. */
  tunnelEnded(how: VisitEnd): void
  /** The last deadline has passed. */
  cut(): void
}

/** Why a dial failed that no other release would change. */
const ownTrouble: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'EADDRNOTAVAIL'])

/** Interim replies (1xx) before the reply itself. */
const maxInterim = 16

/** performance.now() each; bytes over the connection to the release, in to it, out of it. */
export interface AttemptTimes {
  readonly pickedAt: number
  headAt: number | null
  receivedAt: number | null
  bytesIn: number
  bytesOut: number
}

/** One visit to a release: from the pick over the connection and the request to the end of the reply. */
export class Attempt implements UpstreamListener, ReplyOwner {
  readonly visit: Visit
  readonly #house: ExchangeHouse
  readonly #client: ClientSide
  readonly #owner: AttemptOwner
  #over = false
  #interim = 0
  #reused = false
  #counted = false
  /** Measured for an access log only. */
  readonly times: AttemptTimes | null
  /** Of a 404, while the release before is asked. */
  #held: { readonly incoming: IncomingMessage; readonly head: ReplyHead } | null = null
  readonly #isPrevious: boolean
  #giveUpDial: (() => void) | null = null
  #upstream: Upstream | null = null
  #request: ClientRequest | null = null
  #reply: Reply | null = null
  #tunnel: Tunnel | null = null
  /** What the release had taken of the request when it was looked at last, and since when its reply is waited for. */
  #askedBytes = -1
  #askedAt = 0

  constructor(house: ExchangeHouse, client: ClientSide, visit: Visit, owner: AttemptOwner, isPrevious = false) {
    this.#house = house
    this.#client = client
    this.visit = visit
    this.#owner = owner
    this.#isPrevious = isPrevious
    this.times = house.access === null ? null : { pickedAt: performance.now(), headAt: null, receivedAt: null, bytesIn: 0, bytesOut: 0 }
  }

  /** The reply was ended in order before the release ended it. */
  get endedEarly(): boolean {
    return this.#reply?.endedEarly === true
  }

  /** It went over a connection that had been used before, which may have been closed for that alone. */
  get reused(): boolean {
    return this.#reused
  }

  get tunnelled(): boolean {
    return this.#tunnel !== null
  }

  /** `fresh`: take no connection that was used before. */
  start(fresh: boolean): void {
    this.visit.onCut(() => { if (!this.#over) this.#owner.cut() })
    const { release, target } = this.visit
    const pooled = fresh ? null : this.#house.pool.take(release, !this.#client.repeatable)
    if (pooled !== null) {
      this.#reused = true
      this.#send(pooled)
      return
    }
    this.#giveUpDial = dial(target, (error, socket) => {
      this.#giveUpDial = null
      if (error === null) this.#send(this.#house.pool.adopt(socket, release))
      else if (ownTrouble.has((error as NodeJS.ErrnoException).code ?? '')) this.#owner.noDescriptors(error)
      else {
        this.visit.failed('dial')
        this.#owner.dialFailed(error)
      }
    })
  }

  /** Ends the visit and whatever of it is under way. The client's connection is left to the caller. */
  end(how: VisitEnd): void {
    if (this.#over) return
    if (this.#tunnel !== null) {
      // A tunnel knows best how it ended, but for a deadline.
      if (how === 'cut') this.#tunnel.cut()
      return
    }
    this.#over = true
    this.#countBytes()
    this.visit.end(how)
    this.#giveUpDial?.()
    // A complete reply has freed the connection, which may serve somebody else by now. What is not written yet then is
    // the rest of a body that the release did not wait for.
    const request = this.#request
    const isWhole = how === 'complete' || (how === 'missed' && this.#held?.incoming.complete === true)
    if (request !== null && (!isWhole || !request.writableFinished)) request.destroy()
    else if (how === 'missed') this.#held?.incoming.resume()
  }

  /** The 404 that was held stands. */
  passHeld(): void {
    const held = this.#held
    this.#held = null
    if (held === null || this.#over) return
    if (held.incoming.destroyed && !held.incoming.complete) this.#badReply('its 404 broke off')
    else this.#pass(held.incoming, held.head)
  }

  /** For the first byte: time in which the client is waited for, or in which the release takes more of the request, does not count. */
  look(now: number, firstByteMs: number | null): void {
    const upstream = this.#upstream
    if (firstByteMs === null || this.#over || this.#reply !== null || upstream === null) return
    const { req, seen } = this.#client
    const asked = sentBytes(upstream.socket)
    const awaitsClient = seen.body !== 'none' && !req.complete && req.readableFlowing === true
    if (asked !== this.#askedBytes || awaitsClient) {
      this.#askedBytes = asked
      this.#askedAt = now
    } else if (now - this.#askedAt >= firstByteMs) {
      this.visit.failed('slow')
      this.#owner.firstByteOverdue()
    }
  }

  onEarly(_request: ClientRequest, information: InformationEvent): void {
    if (this.#over) return
    this.#interim += 1
    if (this.#interim > maxInterim) {
      this.#badReply(`it sends more than ${maxInterim} interim replies`)
      return
    }
    const { req, res, early } = this.#client
    if (information.statusCode !== 103 || req.httpVersion === '1.0' || early !== null) return
    try {
      res.writeEarlyHints(information.headers as Record<string, string | string[]>)
    } catch {
      // Node takes well-formed Link fields only. A hint is not worth a request.
    }
  }

  onReply(request: ClientRequest, incoming: IncomingMessage): void {
    if (this.#over) {
      request.destroy()
      return
    }
    if (this.times !== null) this.times.headAt = performance.now()
    const status = incoming.statusCode ?? 0
    const head = replyHead(incoming.rawHeaders, status)
    if (this.#upstream !== null) this.#upstream.keepAliveMs = head.keepAliveMs
    // A 101 without an Upgrade field comes here, not as a switch.
    const fault = head.fault ?? (incoming.httpVersionMajor !== 1 ? 'it is not HTTP/1' : status < 200 ? `its status is ${status}` : null)
    if (fault !== null) {
      this.#badReply(fault)
      return
    }
    if (this.#isPrevious) {
      if (!isAssetReply(status, head.fields)) return this.#owner.foundNot()
      this.#owner.found()
    } else if (status === 404) {
      this.#held = { incoming, head }
      incoming.on('error', () => {}) // passHeld sees it
      if (this.#owner.missed()) return
      this.#held = null
    }
    this.#pass(incoming, head)
  }

  #pass(incoming: IncomingMessage, head: ReplyHead): void {
    const { req, res } = this.#client
    const status = incoming.statusCode ?? 0
    // A reply before the whole request: the rest of the request would stand where the next one begins.
    if (!req.complete) res.shouldKeepAlive = false
    this.#owner.replying()
    this.#tellVisit(head.fields)
    let reply: Reply
    try {
      const rewrite = this.#house.rewriter === null ? null : this.#house.rewriter.reply(req, status, head.fields, this.visit.release)
      reply = new Reply(res, incoming, head, rewrite, this)
    } catch (error) {
      this.#badReply(String(error))
      return
    }
    this.#reply = reply
    this.visit.answered(status)
    if (head.eventStream !== 'no') this.visit.becomes('stream', () => reply.endAtBoundary())
  }

  onSwitched(_request: ClientRequest, incoming: IncomingMessage, socket: Socket, head: Buffer): void {
    const { req, res, connection, early } = this.#client
    const fault = early === null ? 'it switches protocols unasked' : switchFault(req, incoming)
    if (this.#over || early === null || fault !== null) {
      socket.destroy()
      if (!this.#over) this.#badReply(fault ?? '')
      return
    }
    if (this.times !== null) this.times.headAt = performance.now()
    this.visit.answered(101)
    res.detachSocket(connection.socket)
    connection.socket.write(switchedHead(incoming), 'latin1')
    const tunnel = new Tunnel(connection.socket, socket, (how) => {
      this.#over = true
      this.#countBytes()
      this.visit.end(how)
      this.#owner.tunnelEnded(how)
    })
    this.#tunnel = tunnel
    this.visit.becomes('upgraded', (closeCode) => tunnel.endInOrder(closeCode))
    tunnel.start(early.take(), head)
  }

  onFailed(_request: ClientRequest, error: Error): void {
    if (this.#over || this.#held !== null) return
    if (this.#reply !== null) {
      // After a complete reply it concerns the connection only, and Node has destroyed that already.
      if (!this.#reply.complete) this.replyBroken()
      return
    }
    const upstream = this.#upstream
    if (upstream !== null && upstream.socket.bytesRead === upstream.readBefore) {
      this.visit.failed('reset')
      this.#owner.unanswered(error)
    } else this.#badReply(error.message)
  }

  replyBroken(): void {
    if (this.#over) return
    this.visit.failed('bad-reply')
    this.#owner.brokenOff()
  }

  replyReceived(): void {
    this.#countBytes()
  }

  #badReply(why: string): void {
    this.visit.failed('bad-reply')
    this.#owner.badReply(why)
  }

  /** Once, while the connection is still this visit's own: the next request over it counts from there. */
  #countBytes(): void {
    const upstream = this.#upstream
    if (upstream === null || this.#counted) return
    this.#counted = true
    const { socket } = upstream
    const toRelease = socket.bytesWritten - upstream.writtenBefore
    const fromRelease = socket.bytesRead - upstream.readBefore
    this.visit.moved(toRelease, fromRelease)
    if (this.times !== null) Object.assign(this.times, { receivedAt: performance.now(), bytesIn: toRelease, bytesOut: fromRelease })
  }

  /** A visitor of a canary gets gracer's cookie with its first reply that is for itself alone. */
  #tellVisit(fields: string[]): void {
    const { assigned } = this.visit
    if (assigned === null || assigned.newVisit === null || isMarkedPublic(fields)) return
    const isSecure = /^https(?:$|[\s,])/.test(String(this.#client.fields['X-Forwarded-Proto']))
    fields.push('Set-Cookie', setVisit(assigned.canary.secret, assigned.newVisit, isSecure))
  }

  /** Of a body that does not say how long it is. */
  #countBody(): void {
    const { bodyBytes } = this.#house.limits()
    if (bodyBytes === null) return
    const { req } = this.#client
    let bytes = 0
    const count = (chunk: Buffer): void => {
      bytes += chunk.length
      if (bytes <= bodyBytes) return
      req.off('data', count)
      if (!this.#over) this.#owner.bodyTooLarge()
    }
    // Not `on`, which would set it flowing.
    req.prependListener('data', count)
  }

  #send(upstream: Upstream): void {
    const { req, res, seen, fields, early } = this.#client
    this.#upstream = upstream
    upstream.idle = false
    upstream.readBefore = upstream.socket.bytesRead
    upstream.writtenBefore = upstream.socket.bytesWritten
    this.#owner.connected()
    const request = early === null
      ? sendRequest(req, res, fields, seen.target, upstream.socket, this)
      : sendHandshake(fields, seen.target, upstream.socket, this)
    this.#request = request
    if (seen.body === 'none') return
    // Node keeps the head back until the first bytes of the body, to send both in one write. A client that waits with
    // its body for the release's word would wait for ever.
    setImmediate(() => { if (!request.headersSent && !request.destroyed) request.flushHeaders() })
    if (seen.body === 'length') return
    this.#countBody()
    // The body is piped, and the pipe ends the request: trailers must be there just before.
    req.prependOnceListener('end', () => {
      const trailers = trailerFields(req.rawTrailers)
      if (trailers.length > 0 && !request.destroyed) request.addTrailers(trailers)
    })
  }
}
