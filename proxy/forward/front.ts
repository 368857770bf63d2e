import { randomUUID } from 'node:crypto'
import { createServer, ServerResponse, type IncomingMessage, type Server } from 'node:http'
import { Server as NetServer, type Socket } from 'node:net'
import { defaultLimits, type FrontLimits } from '../front-settings.ts'
import type { ReleaseId } from '../table.ts'
import type { Picker } from '../visit.ts'
import { descriptorLimit, mostClients, TurnedAway } from './admission.ts'
import { replyToBadInput } from './bad-input.ts'
import { ClientConnection } from './client-connection.ts'
import { EarlyBytes } from './early-bytes.ts'
import { bodyTooLarge, Exchange } from './exchange.ts'
import type { AccessSink, ExchangeHouse, Log } from './exchange-house.ts'
import { isNearby, plainAddress } from './forwarded.ts'
import { FrontRequest } from './front-request.ts'
import { closeGently } from './gentle-close.ts'
import { rawRefusal, type FrontReply } from './refusal.ts'
import { checkHandshake, checkRequest, declaredLength } from './request-checks.ts'
import type { ReplyRewriter } from './rewrite.ts'
import { UpstreamPool } from './upstream-pool.ts'

export interface FrontOptions {
  readonly picker: Picker
  /** The service for a host (lower case, no port) and a path (without the query, never decoded); null is answered 404. */
  readonly serviceFor: (host: string, path: string) => string | null
  /** Whether what the connecting peer says about others is believed. Asked for each request. */
  readonly trustProxy: boolean | (() => boolean)
  /** Absent, or in part: the default ones. */
  readonly limits?: Partial<FrontLimits>
  /** Each takes its share of `limits.connections`; default 1. */
  readonly workers?: number
  readonly log: Log
  /** The front answers a request by itself, with this code; service '': it could not be said which. */
  readonly refused?: (service: string, code: string) => void
  /** Gets the line of each request; absent: no access log. Asked for each request, where it is a function. */
  readonly access?: AccessSink | null | (() => AccessSink | null)
  /** Changes replies on their way. Absent: they pass as they are, at no cost. */
  readonly rewriter?: ReplyRewriter
  /** Paths that the front's owner answers: asked with the path (without the query); null: goes to a release. */
  readonly own?: (path: string) => OwnAnswer | null
}

/** Writes the whole of a reply, from its head on; nothing of it is counted. */
export type OwnAnswer = (req: IncomingMessage, res: ServerResponse) => void

export interface Front {
  /** Not listening yet. */
  readonly server: Server
  /** Destroys the idle connections to a release; from now on each that becomes idle is destroyed too. */
  retire(release: ReleaseId): void
  /** Takes a retire back. */
  revive(release: ReleaseId): void
  idleUpstreams(release: ReleaseId): number
  /**
   * Stops accepting, and nothing else: each connection ends with the last of its replies, which says
   * `Connection: close`; an idle one keeps its time, in which a request on its way is still answered.
   */
  drain(): void
  /** Resolves when it has stopped accepting and the last client's connection is closed. */
  readonly drained: Promise<void>
  /** Holds from now on, for connections that are open too. */
  setLimits(limits: FrontLimits): void
  /** Clients' connections that are open, WebSockets included. */
  connections(): number
  /** Ends everything at once; requests in flight end as cut. */
  destroy(): void
}

/** How often Node looks for heads that are late; milliseconds. */
const checkMs = 1_000
/** How often all other limits are looked after, at least and at most; milliseconds. */
const soonestLookMs = 50
const latestLookMs = 1_000

/** Everything between a client's connection and the release that the picker chooses. */
export function createFront(options: FrontOptions): Front {
  const { picker, serviceFor, trustProxy, log, refused = () => {}, access = null } = options
  const connections = new Set<ClientConnection>()
  const pool = new UpstreamPool()
  const own = options.own ?? null
  const trusts = typeof trustProxy === 'function' ? trustProxy : () => trustProxy
  const accessNow = typeof access === 'function' ? access : () => access
  const turnedAway = new TurnedAway()
  const descriptors = descriptorLimit()
  let limits: FrontLimits = { ...defaultLimits, ...options.limits }
  let most = Infinity
  let looking: NodeJS.Timeout | null = null
  let draining = false
  let claimSaid = false

  const house: ExchangeHouse = {
    picker,
    pool,
    log,
    draining: () => draining,
    limits: () => limits,
    refused,
    get access() { return accessNow() },
    rewriter: options.rewriter ?? null,
    claimed: (peer) => {
      if (claimSaid || !isNearby(peer)) return
      claimSaid = true
      log('warn', 'front.proxy-not-trusted', {
        peer,
        message: 'A proxy in front sends X-Forwarded-For and is not believed: every client seems to have its address. Set "trustProxy": true if that proxy is yours.',
      })
    },
  }

  const server = createServer({
    IncomingMessage: FrontRequest,
    insecureHTTPParser: false, // also where NODE_OPTIONS says otherwise
    requireHostHeader: false, // checked here, with a reply that says so
    noDelay: true,
    headersTimeout: limits.headMs,
    // An upload may take as long as it takes, so long as it goes on.
    requestTimeout: 0,
    keepAliveTimeout: limits.idleMs,
    connectionsCheckingInterval: checkMs,
  })

  server.on('connection', (socket: Socket) => {
    if (connections.size >= most) {
      refused('', 'too-many-connections')
      turnedAway.turnAway(socket, randomUUID())
      return
    }
    const connection = new ClientConnection(socket)
    connections.add(connection)
    socket.on('close', () => connections.delete(connection))
  })
  server.on('request', take)
  server.on('checkContinue', take)
  server.on('checkExpectation', take)
  server.on('upgrade', (req: IncomingMessage, stream: unknown, head: Buffer) => takeHandshake(req, stream as Socket, head))
  server.on('clientError', (error, stream) => refuseInput(error, stream as Socket))
  // The keep-alive time of an idle connection is over.
  server.on('timeout', (socket: Socket) => ClientConnection.of(socket)?.closeWhenIdle())

  function take(req: IncomingMessage, res: ServerResponse): void {
    const connection = ClientConnection.of(req.socket)
    if (connection === undefined || connection.closing) {
      req.resume() // came behind the last reply's `Connection: close`: never answered (RFC 9112 9.6)
      return
    }
    const exchange = new Exchange(house, connection, req, res, null)
    if ((req as FrontRequest).upgradeIgnored) {
      res.shouldKeepAlive = false
      connection.close()
    }
    route(req, exchange, false)
  }

  function takeHandshake(req: IncomingMessage, socket: Socket, head: Buffer): void {
    const connection = ClientConnection.of(socket)
    if (connection === undefined || connection.closing) {
      closeGently(socket)
      return
    }
    const early = new EarlyBytes(socket, head)
    // Any reply but 101 is written the way all replies are.
    const res = new ServerResponse(req)
    res.shouldKeepAlive = false
    res.assignSocket(socket)
    const passDrain = (): void => { res.emit('drain') }
    socket.on('drain', passDrain)
    res.on('finish', () => {
      early.take()
      socket.off('drain', passDrain)
      res.detachSocket(socket)
      closeGently(socket)
    })
    route(req, new Exchange(house, connection, req, res, early), true)
  }

  function route(req: IncomingMessage, exchange: Exchange, handshake: boolean): void {
    const seen = checkRequest(req)
    const rejected = seen.kind === 'rejected' ? seen : handshake ? checkHandshake(req) : null
    if (seen.kind === 'rejected' || rejected !== null) {
      if (rejected !== null) exchange.reject(rejected)
      return
    }
    const query = seen.target.indexOf('?')
    const path = query === -1 ? seen.target : seen.target.slice(0, query)
    if (limits.bodyBytes !== null && declaredLength(req) > limits.bodyBytes) {
      exchange.refuse(bodyTooLarge, seen)
      return
    }
    const answer = own === null ? null : own(path)
    if (answer !== null) {
      exchange.answer(answer, seen)
      return
    }
    const service = serviceFor(seen.host.name, path)
    if (service === null) {
      exchange.refuse({ status: 404, code: 'no-service', reason: 'No service is configured for this host and path.' }, seen)
      return
    }
    exchange.begin(service, seen, { peer: plainAddress(req.socket.remoteAddress), trusted: trusts() })
  }

  function refuseInput(error: Error, socket: Socket): void {
    const reply = replyToBadInput(error)
    const connection = ClientConnection.of(socket)
    if (reply === null || connection === undefined || socket.bytesRead === 0) return void socket.destroy()
    const requestId = randomUUID()
    if (!connection.closing) unread(reply, socket, requestId)
    connection.refuseInput(rawRefusal(reply, requestId))
  }

  /** What no parser could read has no more to tell than this. */
  function unread({ status, code }: FrontReply, socket: Socket, requestId: string): void {
    refused('', code)
    const sink = accessNow()
    if (sink?.wants({ status, end: 'complete' }) !== true) return
    sink.write({
      service: '', release: null, status, end: 'complete', method: '', target: null, host: null, client: plainAddress(socket.remoteAddress), forwardedFor: null, requestId,
      bytesIn: 0, bytesOut: 0, waitMs: null, firstByteMs: null, upstreamMs: null, totalMs: 0, retry: 0, upgraded: false, code,
    })
  }

  function setLimits(next: FrontLimits): void {
    limits = next
    server.headersTimeout = next.headMs
    server.keepAliveTimeout = next.idleMs
    most = mostClients(next.connections, options.workers ?? 1, descriptors)
    const [body, read, firstByte] = [next.bodyStallMs, next.readStallMs, next.firstByteMs].map((ms) => (ms ?? Infinity) / 4) as [number, number, number]
    if (looking !== null) clearInterval(looking)
    looking = setInterval(look, Math.max(soonestLookMs, Math.min(latestLookMs, body, read, firstByte)))
    looking.unref()
  }

  function look(): void {
    const now = performance.now()
    for (const connection of connections) if (connection.busy) connection.look(now, limits)
  }

  setLimits(limits)
  const drained = new Promise<void>((resolve) => server.once('close', resolve))

  return {
    server,
    retire: (release) => pool.retire(release),
    revive: (release) => pool.revive(release),
    idleUpstreams: (release) => pool.count(release),
    drain: () => {
      if (draining) return
      draining = true
      // http.Server's own close() destroys idle connections with requests in their receive buffers.
      NetServer.prototype.close.call(server)
    },
    drained,
    setLimits,
    connections: () => connections.size,
    destroy: () => {
      draining = true
      if (looking !== null) clearInterval(looking)
      for (const connection of connections) connection.destroy('cut')
      pool.destroy()
      server.close()
    },
  }
}
