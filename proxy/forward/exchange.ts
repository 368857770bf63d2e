import { randomUUID } from 'node:crypto'
import type { ClientRequest, IncomingMessage, InformationEvent, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { ReleaseId } from '../table.ts'
import type { PendingPick, Picker, Refusal, Visit, VisitEnd } from '../visit.ts'
import type { ClientConnection, Occupant } from './client-connection.ts'
import { dial } from './dial.ts'
import type { UpstreamListener } from './hand-over.ts'
import { sendHandshake, switchedHead, switchFault } from './handshake.ts'
import { sendRequest } from './http-lane.ts'
import { writeRefusal, type FrontReply } from './refusal.ts'
import { replyHead } from './reply-fields.ts'
import { requestFields, type Origin, type RequestFields } from './request-fields.ts'
import type { Rejected, Understood } from './request-checks.ts'
import { Reply } from './response.ts'
import { Tunnel } from './tunnel.ts'
import type { Upstream, UpstreamPool } from './upstream-pool.ts'
import type { EarlyBytes } from './early-bytes.ts'

export type Log = (level: 'debug' | 'info' | 'warn' | 'error', event: string, fields: Record<string, unknown>) => void

/** What all exchanges of a front share. */
export interface ExchangeHouse {
  readonly picker: Picker
  readonly pool: UpstreamPool
  readonly log: Log
  readonly draining: () => boolean
  /** An untrusted peer sent X-Forwarded-For. */
  readonly claimed: (peer: string) => void
}

/** A failed dial is picked again; the picker holds the next try back while there is nothing else to try. */
const maxDials = 10
/** Interim replies (1xx) before the reply itself. */
const maxInterim = 16
const repeatable: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

/** One client's request, from its checked head to the end of its reply: picks, dials, forwards, tries again. */
export class Exchange implements Occupant, UpstreamListener {
  readonly #house: ExchangeHouse
  readonly #connection: ClientConnection
  readonly #req: IncomingMessage
  readonly #res: ServerResponse
  readonly #arrivedAt = process.hrtime.bigint()
  readonly #early: EarlyBytes | null
  #service = ''
  #seen: Understood | null = null
  #outgoing: RequestFields | null = null
  #failed: Set<ReleaseId> | null = null
  #dials = 0
  #interim = 0
  #retried = false
  #continued = false
  #over = false
  #pending: PendingPick | null = null
  #visit: Visit | null = null
  #giveUpDial: (() => void) | null = null
  #upstream: Upstream | null = null
  #request: ClientRequest | null = null
  #reply: Reply | null = null
  #tunnel: Tunnel | null = null

  /** `early`: what the client sends before its handshake is answered; null for everything but a WebSocket handshake. */
  constructor(house: ExchangeHouse, connection: ClientConnection, req: IncomingMessage, res: ServerResponse, early: EarlyBytes | null) {
    this.#house = house
    this.#connection = connection
    this.#req = req
    this.#res = res
    this.#early = early
    connection.enter(this)
    res.on('finish', () => this.#finished())
  }

  get received(): boolean {
    return this.#req.complete
  }

  /** Picks a release and forwards. */
  begin(service: string, seen: Understood, origin: Origin): void {
    this.#service = service
    this.#seen = seen
    this.#outgoing = requestFields(this.#req.rawHeaders, seen, origin, this.#early !== null)
    if (this.#outgoing.claimed) this.#house.claimed(origin.peer)
    this.#pick()
  }

  /** Answers without picking anything, and closes the connection: whether its peer and we read the same is in doubt. */
  reject(rejected: Rejected): void {
    this.#refuse(rejected, true)
  }

  /** Answers without picking anything. */
  refuse(reply: FrontReply): void {
    this.#refuse(reply, false)
  }

  clientGone(): void {
    this.#abandon('client-gone')
  }

  connectionDestroyed(): void {
    this.#abandon('lost')
  }

  inputBroken(): boolean {
    const unsent = !this.#res.headersSent
    this.#abandon('client-gone')
    return unsent
  }

  cut(): void {
    if (this.#over) return
    if (this.#tunnel !== null) {
      this.#tunnel.cut()
      return
    }
    this.#abandon('cut')
    this.#leaveDestroying()
  }

  onEarly(request: ClientRequest, information: InformationEvent): void {
    if (request !== this.#request) return
    this.#interim += 1
    if (this.#interim > maxInterim) {
      this.#badReply(`it sends more than ${maxInterim} interim replies`)
      return
    }
    if (information.statusCode !== 103 || this.#req.httpVersion === '1.0' || this.#early !== null) return
    try {
      this.#res.writeEarlyHints(information.headers as Record<string, string | string[]>)
    } catch {
      // Node takes well-formed Link fields only. A hint is not worth a request.
    }
  }

  onReply(request: ClientRequest, incoming: IncomingMessage): void {
    if (request !== this.#request) {
      incoming.destroy()
      return
    }
    const status = incoming.statusCode ?? 0
    const head = replyHead(incoming.rawHeaders, status)
    if (this.#upstream !== null) this.#upstream.keepAliveMs = head.keepAliveMs
    const fault = head.fault ?? (incoming.httpVersion.startsWith('1.') ? null : 'it is not HTTP/1')
    if (fault !== null) {
      this.#badReply(fault)
      return
    }
    // A reply that comes before the whole request: the rest of the request would stand where the next one begins.
    if (!this.received) this.#res.shouldKeepAlive = false
    this.#announceClose()
    try {
      this.#reply = new Reply(this.#res, incoming, head, () => this.#broken())
    } catch (error) {
      this.#badReply(String(error))
      return
    }
    this.#visit?.answered(status)
    if (head.eventStream !== 'no') {
      const reply = this.#reply
      this.#visit?.becomes('stream', () => reply.endAtBoundary())
    }
  }

  onSwitched(request: ClientRequest, incoming: IncomingMessage, socket: Socket, head: Buffer): void {
    if (request !== this.#request || this.#early === null) {
      socket.destroy()
      if (request === this.#request) this.#badReply('it switches protocols unasked')
      return
    }
    const fault = switchFault(this.#req, incoming)
    const visit = this.#visit
    if (fault !== null || visit === null) {
      socket.destroy()
      this.#badReply(fault ?? 'nobody waits for it')
      return
    }
    visit.answered(101)
    const client = this.#connection.socket
    this.#res.detachSocket(client)
    client.write(switchedHead(incoming), 'latin1')
    const tunnel = new Tunnel(client, socket, (how) => {
      this.#over = true
      visit.end(how)
      this.#connection.leave(this)
    })
    this.#tunnel = tunnel
    visit.becomes('upgraded', () => tunnel.endInOrder())
    tunnel.start(this.#early.take(), head)
  }

  onFailed(request: ClientRequest, error: Error): void {
    if (request !== this.#request || this.#over) return
    // After a complete reply it concerns the connection only, which Node has destroyed already.
    if (this.#reply?.complete === true) return
    if (this.#reply !== null) {
      this.#broken()
      return
    }
    const upstream = this.#upstream
    const untouched = upstream !== null && upstream.socket.bytesRead === upstream.readBefore
    if (untouched && !this.#retried && this.#mayRepeat()) {
      this.#retried = true
      this.#request = null
      this.#endVisit('retried')
      this.#pick()
      return
    }
    this.#house.log('warn', 'forward.failed', { ...this.#facts(), error: error.message })
    this.#lose({
      status: 502, code: untouched ? 'upstream-gone' : 'bad-reply',
      reason: untouched ? 'The release closed the connection without a reply.' : 'The release gave a reply that cannot be passed on.',
    })
  }

  #pick(): void {
    let answered = false
    const pending = this.#house.picker.pick({
      service: this.#service,
      arrivedAt: this.#arrivedAt,
      failed: this.#failed,
      picked: (visit) => {
        answered = true
        this.#pending = null
        this.#picked(visit)
      },
      refused: (refusal: Refusal) => {
        answered = true
        this.#pending = null
        this.#refuse(refusal, false)
      },
    })
    if (!answered) this.#pending = pending
  }

  #picked(visit: Visit): void {
    this.#visit = visit
    visit.onCut(() => { if (this.#visit === visit) this.cut() })
    const pooled = this.#retried || this.#early !== null ? null : this.#house.pool.take(visit.release, !this.#mayRepeat())
    if (pooled !== null) {
      this.#send(pooled)
      return
    }
    this.#dials += 1
    this.#giveUpDial = dial(visit.target, (error, socket) => {
      this.#giveUpDial = null
      if (error === null) this.#send(this.#house.pool.adopt(socket, visit.release))
      else this.#dialFailed(visit, error)
    })
  }

  #dialFailed(visit: Visit, error: Error): void {
    this.#house.log('debug', 'forward.dial-failed', { ...this.#facts(), error: error.message })
    if (this.#dials >= maxDials) {
      this.#lose({ status: 502, code: 'dial-failed', reason: 'The release takes no connection.', retryAfterSeconds: 1 })
      return
    }
    this.#failed ??= new Set()
    this.#failed.add(visit.release)
    this.#endVisit('not-sent')
    this.#pick()
  }

  #send(upstream: Upstream): void {
    const seen = this.#seen as Understood
    const { fields } = this.#outgoing as RequestFields
    this.#upstream = upstream
    upstream.idle = false
    upstream.readBefore = upstream.socket.bytesRead
    if (seen.awaitsContinue && !this.#continued) {
      this.#continued = true
      this.#res.writeContinue()
    }
    this.#request = this.#early === null
      ? sendRequest(this.#req, this.#res, fields, seen.target, upstream.socket, this)
      : sendHandshake(fields, seen.target, upstream.socket, this)
    if (seen.body === 'chunked') this.#forwardTrailers(this.#request)
  }

  /** The body is piped, and the pipe ends the request: trailers must be there just before. */
  #forwardTrailers(request: ClientRequest): void {
    this.#req.prependOnceListener('end', () => {
      if (this.#req.rawTrailers.length === 0 || request.destroyed) return
      const trailers = requestTrailers(this.#req.rawTrailers)
      if (trailers.length > 0) request.addTrailers(trailers)
    })
  }

  #mayRepeat(): boolean {
    return this.#seen?.body === 'none' && repeatable.has(this.#req.method ?? '')
  }

  /** The reply cannot be passed on, and nothing of it was. */
  #badReply(why: string): void {
    if (this.#over) return
    this.#house.log('warn', 'forward.bad-reply', { ...this.#facts(), error: why })
    this.#lose({ status: 502, code: 'bad-reply', reason: 'The release gave a reply that cannot be passed on.' })
  }

  /** The reply broke off when some of it was with the client already: a clean end would be a lie. */
  #broken(): void {
    if (this.#over) return
    this.#house.log('warn', 'forward.broken', this.#facts())
    this.#abandon('lost')
    this.#leaveDestroying()
  }

  /** The client is there and gets an error instead of its reply. */
  #lose(reply: FrontReply): void {
    const request = this.#request
    this.#request = null
    request?.destroy()
    this.#upstream?.socket.destroy()
    this.#endVisit('lost')
    this.#refuse(reply, false)
  }

  #refuse(reply: FrontReply, close: boolean): void {
    if (this.#over || this.#res.headersSent) return
    if (close) this.#connection.close()
    this.#announceClose()
    writeRefusal(this.#req, this.#res, reply, this.#outgoing?.requestId ?? randomUUID(), close)
    if (!this.#res.shouldKeepAlive) this.#connection.close()
  }

  /** During a drain the last reply in line says that the connection ends with it. */
  #announceClose(): void {
    if (this.#house.draining() && this.#connection.isLast(this)) this.#res.shouldKeepAlive = false
    if (!this.#res.shouldKeepAlive) this.#connection.close()
  }

  /** All of the reply has been handed to the kernel. */
  #finished(): void {
    if (this.#over) return
    this.#over = true
    const early = this.#reply?.endedEarly === true
    this.#endVisit(early ? 'graceful' : 'complete')
    const request = this.#request
    // A reply before the whole request: what is left of it is read and thrown away, and its connection upstream with it.
    if (request !== null && !request.writableFinished) {
      this.#req.unpipe()
      request.destroy()
    }
    if (!this.received) this.#req.resume()
    this.#connection.leave(this)
    if (early) this.#connection.closeWhenIdle()
  }

  /** Ends everything that is under way for this request; its client's connection is left to the caller. */
  #abandon(how: VisitEnd): void {
    if (this.#over || this.#tunnel !== null) return
    this.#over = true
    this.#pending?.cancel()
    this.#giveUpDial?.()
    this.#endVisit(how)
    this.#request?.destroy()
    this.#upstream?.socket.destroy()
  }

  #leaveDestroying(): void {
    this.#connection.leave(this)
    this.#connection.destroy()
  }

  #endVisit(how: VisitEnd): void {
    const visit = this.#visit
    this.#visit = null
    visit?.end(how)
  }

  #facts(): Record<string, unknown> {
    return { service: this.#service, release: this.#visit?.release, method: this.#req.method, requestId: this.#outgoing?.requestId }
  }
}
