import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Server, Socket } from 'node:net'

/** One client connection, as far as a drain must know it. */
export interface Connection {
  readonly socket: Socket
  /** Requests without a complete reply yet, in their order. More than one where the client pipelines. */
  readonly requests: Set<ServerResponse>
  /** WebSocket and CONNECT: node:http has let go of the socket. */
  upgraded: boolean
  /** performance.now() since when nothing is in flight, and the bytes read by then: more of them are the start of a request. */
  restingSince: number
  restingBytes: number
}

/** What a drain hangs into; see soft-drain.ts. */
export interface DrainHooks {
  /** A request has come; `pass` gives it to the program. */
  request(connection: Connection, response: ServerResponse, pass: () => void): void
  answered(complete: boolean): void
  closed(connection: Connection): void
  session(session: Http2Session): void
}

/** The part of an http2 session that is used. */
export interface Http2Session {
  readonly destroyed: boolean
  /** Takes no new streams and ends when those under way have (RFC 9113, section 6.8). */
  close(): void
  destroy(): void
  once(event: 'close', listener: () => void): unknown
}

const requestEvents = new Set<unknown>(['request', 'checkContinue', 'checkExpectation'])

/** Knows every connection of one server: idle, answering, or upgraded. */
export class ConnectionTracker {
  readonly connections = new Map<Socket, Connection>()
  /** Those of a TLS server before and beneath encryption. */
  readonly rawSockets = new Set<Socket>()
  readonly sessions = new Set<Http2Session>()
  /** Open streams of http2 sessions: each is one request. */
  readonly streams = new Set<Http2Stream>()
  /** Of a plain TCP server's connections one knows no more than that they are open. */
  readonly protocol: 'http1' | 'http2' | 'plain'
  hooks: DrainHooks | null = null
  readonly #secure: boolean

  constructor(server: Server) {
    this.protocol = 'updateSettings' in server ? 'http2' : 'headersTimeout' in server ? 'http1' : 'plain'
    this.#secure = 'setSecureContext' in server
    this.#watch(server)
    for (const socket of openSocketsOf(server)) this.#adopt(socket)
  }

  /**
   * Events are observed as they are emitted, and not listened to: a listener for 'upgrade' or 'checkContinue' would
   * change what node:http does with those requests.
   */
  #watch(server: Server): void {
    const emit = server.emit.bind(server) as (...args: unknown[]) => boolean
    server.emit = ((...args: [unknown, ...unknown[]]): boolean => {
      const [event, first, second] = args
      if (requestEvents.has(event)) return this.#onRequest(first as IncomingMessage, second as ServerResponse, () => emit(...args))
      if (event === 'connection') this.#onConnection(first as Socket)
      else if (event === 'secureConnection') this.add(first as Socket)
      else if (event === 'upgrade' || event === 'connect') this.#onUpgrade(first as IncomingMessage)
      else if (event === 'session') this.#onSession(first as Http2Session)
      else if (event === 'stream') this.#onStream(first as Http2Stream)
      return emit(...args)
    }) as typeof server.emit
  }

  add(socket: Socket): Connection {
    const known = this.connections.get(socket)
    if (known !== undefined) return known
    const connection: Connection = { socket, requests: new Set(), upgraded: false, restingSince: performance.now(), restingBytes: 0 }
    this.connections.set(socket, connection)
    socket.once('close', () => {
      this.connections.delete(socket)
      this.hooks?.closed(connection)
    })
    return connection
  }

  #onConnection(socket: Socket): void {
    if (!this.#secure) {
      this.add(socket)
      return
    }
    this.rawSockets.add(socket)
    socket.once('close', () => this.rawSockets.delete(socket))
  }

  #onRequest(request: IncomingMessage, response: ServerResponse, emit: () => boolean): boolean {
    const connection = this.connections.get(request.socket)
    if (connection === undefined || connection.requests.has(response)) return emit()
    this.#begin(connection, response)
    if (this.hooks === null) return emit()
    this.hooks.request(connection, response, emit)
    return true
  }

  #begin(connection: Connection, response: ServerResponse): void {
    connection.requests.add(response)
    response.once('close', () => {
      connection.requests.delete(response)
      connection.restingSince = performance.now()
      connection.restingBytes = connection.socket.bytesRead
      this.hooks?.answered(response.writableFinished)
    })
  }

  #onUpgrade(request: IncomingMessage): void {
    const connection = this.connections.get(request.socket)
    if (connection !== undefined) connection.upgraded = true
  }

  #onSession(session: Http2Session): void {
    this.sessions.add(session)
    session.once('close', () => this.sessions.delete(session))
    this.hooks?.session(session)
  }

  #onStream(stream: Http2Stream): void {
    this.streams.add(stream)
    stream.once('close', () => {
      this.streams.delete(stream)
      this.hooks?.answered(stream.rstCode === 0)
    })
  }

  /** A connection older than the tracker: what it is doing is read off Node's own marks on the socket. */
  #adopt(socket: MarkedSocket): void {
    const connection = this.add(socket)
    if (this.protocol !== 'http1') return
    connection.restingBytes = socket.bytesRead
    if (socket.parser === null) connection.upgraded = true
    else if (socket._httpMessage !== undefined && socket._httpMessage !== null) this.#begin(connection, socket._httpMessage)
  }
}

interface Http2Stream {
  readonly rstCode: number
  once(event: 'close', listener: () => void): unknown
}

/** Undocumented and old: node:http puts its parser and the reply under way on the socket, and null for the parser at an upgrade. */
interface MarkedSocket extends Socket {
  readonly server?: unknown
  readonly parser?: unknown
  readonly _httpMessage?: ServerResponse | null
}

/** Undocumented, hence tested for; without it connections older than the tracker are not found. */
function openSocketsOf(server: Server): MarkedSocket[] {
  if (!server.listening) return []
  const handles = (process as { _getActiveHandles?: () => unknown[] })._getActiveHandles?.() ?? []
  return (handles as MarkedSocket[]).filter((handle) => handle.server === server && typeof handle.destroy === 'function')
}

const trackers = new WeakMap<Server, ConnectionTracker>()

/**
 * Begins to know a server's connections, so that softDrain can tell idle ones, those being answered and upgraded ones
 * apart. Call it before the server listens (`listen` of this library does); later calls return the same tracker.
 */
export function trackConnections(server: Server): ConnectionTracker {
  const known = trackers.get(server)
  if (known !== undefined) return known
  const tracker = new ConnectionTracker(server)
  trackers.set(server, tracker)
  return tracker
}
