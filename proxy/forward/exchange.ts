import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AccessEnd } from '../access/access-line.ts'
import { addressForLog } from '../access/address-for-log.ts'
import type { CanaryKey } from '../canary/route.ts'
import type { ShadowRequest } from '../canary/shadow.ts'
import { valueOf, Visitor, type HasVisitor } from '../canary/visitor.ts'
import type { FrontLimits } from '../front-settings.ts'
import { numberOfKey, type ReleaseId } from '../release-key.ts'
import { someUser, userByAddress, userNumber } from '../users/user-number.ts'
import type { PendingPick, Visit, VisitEnd } from '../visit.ts'
import { Attempt, type AttemptOwner } from './attempt.ts'
import { BodyProgress } from './body-progress.ts'
import type { ClientConnection, Occupant } from './client-connection.ts'
import type { EarlyBytes } from './early-bytes.ts'
import type { ClientSide, ExchangeHouse } from './exchange-house.ts'
import { isHashedAsset } from './hashed-asset.ts'
import { rawRefusal, writeRefusal, type FrontReply } from './refusal.ts'
import type { Rejected, Understood } from './request-checks.ts'
import { isNearby, plainAddress } from './forwarded.ts'
import { clientAddress, requestFields, type Origin } from './request-fields.ts'

/**
 * A failed dial is picked again; the picker holds the next try back while there is nothing else to try, and ends the
 * holding in its time. This is only against a picker that does neither.
 */
const maxDials = 1_000
/** Methods that change nothing (RFC 9110 9.2.1), so that sending them twice does no harm. */
const safe: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

/** One client's request, from its checked head to the end of its reply: picks, tries, tries again, refuses. */
export class Exchange implements Occupant, AttemptOwner, HasVisitor {
  readonly #house: ExchangeHouse
  readonly #connection: ClientConnection
  readonly #req: IncomingMessage
  readonly #res: ServerResponse
  readonly #early: EarlyBytes | null
  readonly #arrivedAt = process.hrtime.bigint()
  #service = ''
  #bodiless = false
  #requestId: string | null = null
  /** As the Host field says, where no release was picked. */
  #host: string | null = null
  /** Of the last words to a client that was broken off. */
  #lastStatus: number | null = null
  #client: ClientSide | null = null
  #failed: Set<ReleaseId> | null = null
  #dials = 0
  #retried = false
  /** A connection made for this request was closed without a word. */
  #deserted = false
  #over = false
  #accounted = false
  /** Of a reply that the front wrote itself, and whether a release owed one. */
  #code: string | null = null
  #lost = false
  #pending: PendingPick | null = null
  #attempt: Attempt | null = null
  /** Answered 404 for an asset; #attempt asks the release before. */
  #missed: Attempt | null = null
  #origin: Origin | null = null
  #visitor: Visitor | null = null
  #body: BodyProgress | null = null

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

  /** Picks a release and forwards. */
  begin(service: string, seen: Understood, origin: Origin): void {
    const { fields, requestId, claimed } = requestFields(this.#req.rawHeaders, seen, origin, this.#early !== null)
    if (claimed) this.#house.claimed(origin.peer)
    this.#bodiless = seen.body === 'none'
    this.#house.rewriter?.request(this.#req, fields)
    this.#service = service
    this.#requestId = requestId
    this.#client = {
      req: this.#req, res: this.#res, connection: this.#connection, early: this.#early, seen, fields,
      repeatable: seen.body === 'none' && safe.has(this.#req.method ?? ''),
    }
    this.#origin = origin
    this.#pick(this.#client)
  }

  /** Answers without picking anything, and closes: whether the client and we read the same is in doubt. */
  reject(rejected: Rejected): void {
    this.#connection.close()
    this.#house.refused('', rejected.code)
    this.#refuse(rejected, true)
  }

  /** Answers a request that was understood without picking anything. */
  refuse(reply: FrontReply, seen: Understood): void {
    this.#bodiless = seen.body === 'none'
    this.#host = seen.host.text
    this.#house.refused('', reply.code)
    this.#refuse(reply, false)
  }

  /** Lets the front's owner write the reply. */
  answer(write: (req: IncomingMessage, res: ServerResponse) => void, seen: Understood): void {
    this.#bodiless = seen.body === 'none'
    if (!this.received) this.#res.shouldKeepAlive = false
    this.replying()
    write(this.#req, this.#res)
    this.#req.resume()
  }

  visitor(): Visitor {
    if (this.#visitor !== null) return this.#visitor
    const client = this.#client as ClientSide
    const address = clientAddress(client.fields, this.#origin as Origin)
    return (this.#visitor = new Visitor({
      rawHeaders: client.req.rawHeaders,
      clientAddress: address,
      isTelling: !isNearby(address),
      memo: client.connection.visitor,
      isPlain: client.repeatable && client.early === null && client.req.method !== 'OPTIONS',
    }))
  }

  userNumber(key: CanaryKey | null): number {
    const { req, fields, connection } = this.#client as ClientSide
    const named = key === null ? null : valueOf(key, req.rawHeaders)
    if (named !== null) return userNumber(`k:${named}`)
    const origin = this.#origin as Origin
    // The front's word may differ from request to request, the peer of a connection does not.
    if (origin.trusted) return userByAddress(clientAddress(fields, origin)) ?? (connection.visitor.user ??= someUser())
    return (connection.visitor.user ??= userByAddress(origin.peer) ?? someUser())
  }

  /** A GET without a body, and none that would stay open. */
  copy(): ShadowRequest | null {
    const client = this.#client as ClientSide
    if (client.req.method !== 'GET' || !client.repeatable || client.early !== null || client.req.headers.accept?.includes('text/event-stream') === true) return null
    return { path: client.seen.target, fields: { ...client.fields } }
  }

  get received(): boolean {
    // Node calls a request complete only when it has parsed on behind the head.
    return this.#bodiless || this.#req.complete
  }

  clientGone(): void {
    this.#abandon('client-gone')
  }

  inputBroken(): boolean {
    const unsent = !this.#res.headersSent
    this.#abandon('client-gone')
    return unsent
  }

  connectionDestroyed(how: 'lost' | 'cut'): void {
    this.#abandon(how)
  }

  clientStalled(): void {
    this.#code = 'client-stalled'
    this.#house.refused(this.#service, this.#code)
    this.#house.log('info', 'forward.client-stalled', this.#facts('the client takes nothing of its reply'))
  }

  look(now: number, limits: FrontLimits): void {
    const attempt = this.#attempt
    if (this.#over || attempt === null || attempt.tunnelled) return
    // Once a reply is under way, both may talk at leisure.
    if (!this.received && !this.#res.headersSent) {
      const { bytesRead } = this.#connection.socket
      if (this.#body === null) this.#body = new BodyProgress(now, bytesRead)
      else if (this.#req.readableFlowing !== true) this.#body.heldUp(now, bytesRead)
      else if (this.#body.isTooSlow(now, bytesRead, limits)) return this.#breakOff(bodyTooSlow)
    }
    attempt.look(now, limits.firstByteMs)
  }

  bodyTooLarge(): void {
    this.#breakOff(bodyTooLarge)
  }

  firstByteOverdue(): void {
    if (this.foundNot()) return
    this.#house.log('warn', 'forward.first-byte', this.#facts('no reply within limits.firstByte'))
    this.#lose({ status: 504, code: 'first-byte', reason: 'The release did not begin its reply in time.' })
  }

  noDescriptors(error: Error): void {
    if (this.foundNot()) return
    this.#house.log('error', 'forward.no-descriptors', this.#facts(error.message))
    this.#attempt?.end('not-sent')
    this.#attempt = null
    this.#house.refused(this.#service, 'no-descriptors')
    this.#refuse({ status: 503, code: 'no-descriptors', reason: 'This server has no connection left to its release.', retryAfterSeconds: 1 }, false)
  }

  dialFailed(error: Error): void {
    if (this.foundNot()) return
    this.#house.log('debug', 'forward.dial-failed', this.#facts(error.message))
    this.#dials += 1
    const attempt = this.#attempt
    if (this.#dials >= maxDials || attempt === null || this.#client === null) {
      this.#lose({ status: 502, code: 'dial-failed', reason: 'The release takes no connection.', retryAfterSeconds: 1 })
      return
    }
    this.#failed ??= new Set()
    this.#failed.add(attempt.visit.release)
    attempt.end('not-sent')
    this.#pick(this.#client)
  }

  /**
   * A request that may be repeated is tried once more, on a new connection. Where a new connection ends like this the
   * release itself is going: it counts as failed, so that a fallback is taken where there is one.
   */
  unanswered(error: Error): void {
    if (this.foundNot()) return
    const client = this.#client
    const attempt = this.#attempt
    if (client?.repeatable === true && attempt !== null && (attempt.reused || !this.#deserted)) {
      this.#retried = true
      if (!attempt.reused) {
        this.#deserted = true
        this.#failed ??= new Set()
        this.#failed.add(attempt.visit.release)
      }
      attempt.end('retried')
      this.#pick(client)
      return
    }
    this.#house.log('warn', 'forward.unanswered', this.#facts(error.message))
    this.#lose({ status: 502, code: 'upstream-gone', reason: 'The release closed the connection without a reply.' })
  }

  badReply(why: string): void {
    if (this.foundNot()) return
    this.#house.log('warn', 'forward.bad-reply', this.#facts(why))
    this.#lose({ status: 502, code: 'bad-reply', reason: 'The release gave a reply that cannot be passed on.' })
  }

  missed(): boolean {
    const client = this.#client
    const attempt = this.#attempt
    const { method } = this.#req
    if (client === null || attempt === null || client.early !== null || !client.repeatable || (method !== 'GET' && method !== 'HEAD')) return false
    if (!isHashedAsset(withoutQuery(client.seen.target))) return false
    const visit = this.#house.picker.previous?.(attempt.visit) ?? null
    if (visit === null) return false
    this.#missed = attempt
    this.#attempt = new Attempt(this.#house, client, visit, this, true)
    // On a new connection: one more try is all there is.
    this.#attempt.start(true)
    return true
  }

  found(): void {
    this.#missed?.end('missed')
    this.#missed = null
  }

  /** Whatever the release before made of it, it is not passed on. False: none was asked. */
  foundNot(): boolean {
    const missed = this.#missed
    if (missed === null) return false
    this.#attempt?.end('not-sent')
    this.#attempt = missed
    this.#missed = null
    missed.passHeld()
    return true
  }

  /** A clean end would be a lie. */
  brokenOff(): void {
    this.#house.log('warn', 'forward.broken-off', this.#facts('the reply ended before its end'))
    this.#abandon('lost')
    this.#connection.leave(this)
    this.#connection.destroy('lost')
  }

  connected(): void {
    // Once only: who waits has a body, and what has a body is never sent twice.
    if (this.#client?.seen.awaitsContinue === true) this.#res.writeContinue()
  }

  /** During a drain the last reply in line says that the connection ends with it. */
  replying(): void {
    if (this.#house.draining() && this.#connection.isLast(this)) this.#res.shouldKeepAlive = false
    if (!this.#res.shouldKeepAlive) this.#connection.close()
  }

  tunnelEnded(how: VisitEnd): void {
    this.#over = true
    this.#account(how as AccessEnd)
    this.#connection.leave(this)
  }

  cut(): void {
    this.#abandon('cut')
    this.#connection.leave(this)
    this.#connection.destroy('lost')
  }

  #pick(client: ClientSide): void {
    let answered = false
    this.#attempt = null
    const pending = this.#house.picker.pick({
      service: this.#service,
      arrivedAt: this.#arrivedAt,
      path: this.#req.method === 'GET' || this.#req.method === 'HEAD' ? withoutQuery(client.seen.target) : null,
      failed: this.#failed,
      asker: this,
      picked: (visit: Visit) => {
        answered = true
        this.#pending = null
        this.#attempt = new Attempt(this.#house, client, visit, this)
        this.#attempt.start(this.#retried)
      },
      refused: (refusal) => {
        answered = true
        this.#pending = null
        this.#house.refused(this.#service, refusal.code)
        this.#refuse(refusal, false)
      },
    })
    if (!answered) this.#pending = pending
  }

  /** The client is there and gets an error instead of its reply. */
  #lose(reply: FrontReply): void {
    this.#lost = true
    this.#attempt?.end('lost')
    this.#refuse(reply, false)
  }

  #refuse(reply: FrontReply, close: boolean): void {
    if (close || !this.received) this.#res.shouldKeepAlive = false
    this.#code = reply.code
    this.replying()
    // Kept: who comes with the id of a reply finds it in the access log.
    writeRefusal(this.#req, this.#res, reply, (this.#requestId ??= randomUUID()))
    if (!this.#res.shouldKeepAlive) this.#connection.close()
  }

  /** The client's own doing: nothing is lost. What still comes of its body is thrown away. */
  #breakOff(reply: FrontReply): void {
    this.#code = reply.code
    this.#lastStatus = reply.status
    this.#house.refused(this.#service, reply.code)
    this.#connection.breakOff(rawRefusal(reply, this.#requestId ?? randomUUID()))
    this.#req.unpipe()
    this.#req.resume()
  }

  /** All of the reply has been handed to the kernel. */
  #finished(): void {
    if (this.#over) return
    this.#over = true
    const early = this.#attempt?.endedEarly === true
    this.#attempt?.end(early ? 'graceful' : 'complete')
    this.#account(this.#lost ? 'lost' : early ? 'graceful' : 'complete')
    if (!this.received) {
      // A reply before the whole request: what is left of it is thrown away.
      this.#req.unpipe()
      this.#req.resume()
    }
    this.#connection.leave(this)
    if (early) this.#connection.closeWhenIdle()
  }

  #abandon(how: VisitEnd): void {
    if (this.#over) return
    if (this.#attempt?.tunnelled !== true) this.#over = true
    this.#pending?.cancel()
    this.#attempt?.end(how)
    this.found()
    if (this.#over) this.#account(how as AccessEnd)
  }

  /** Its line in the access log, once. */
  #account(end: AccessEnd): void {
    const sink = this.#house.access
    if (sink === null || this.#accounted) return
    this.#accounted = true
    const attempt = this.#attempt
    const tunnelled = attempt?.tunnelled === true
    const status = tunnelled ? 101 : this.#res.headersSent ? this.#res.statusCode : this.#lastStatus
    if (!sink.wants({ status, end })) return
    const now = performance.now()
    const totalMs = Number(process.hrtime.bigint() - this.#arrivedAt) / 1e6
    const times = attempt?.times ?? null
    const peer = this.#origin?.peer ?? plainAddress(this.#connection.socket.remoteAddress)
    const named = this.#origin?.trusted === true ? this.#claimedFor() : null
    sink.write({
      service: this.#service, release: attempt === null ? null : numberOfKey(attempt.visit.release), status, end,
      method: this.#req.method ?? '', target: this.#client?.seen.target ?? this.#req.url ?? null, host: this.#client?.seen.host.text ?? this.#host,
      client: addressForLog(peer, named), forwardedFor: named?.includes(',') === true ? named : null, requestId: this.#requestId,
      bytesIn: times?.bytesIn ?? 0, bytesOut: times?.bytesOut ?? 0,
      waitMs: times === null ? null : Math.max(0, totalMs - (now - times.pickedAt)), firstByteMs: times?.headAt == null ? null : times.headAt - times.pickedAt,
      upstreamMs: times?.receivedAt == null ? null : times.receivedAt - times.pickedAt, totalMs,
      retry: this.#dials + (this.#retried ? 1 : 0), upgraded: tunnelled, code: this.#code,
    })
  }

  /** What a trusted peer said in X-Forwarded-For: all that the upstream gets but the peer itself, which stands last. */
  #claimedFor(): string | null {
    const all = String(this.#client?.fields['X-Forwarded-For'] ?? '')
    const at = all.lastIndexOf(', ')
    return at === -1 ? null : all.slice(0, at)
  }

  #facts(error: string): Record<string, unknown> {
    const release = this.#attempt?.visit.release
    return { service: this.#service, release: release === undefined ? undefined : numberOfKey(release), method: this.#req.method, requestId: this.#requestId, error }
  }
}

export const bodyTooLarge: FrontReply = Object.freeze({ status: 413, code: 'body-too-large', reason: 'The body of the request is larger than this server takes.' })
const bodyTooSlow: FrontReply = Object.freeze({ status: 408, code: 'body-too-slow', reason: 'The body of the request took too long to arrive.' })

function withoutQuery(target: string): string {
  const at = target.indexOf('?')
  return at === -1 ? target : target.slice(0, at)
}
