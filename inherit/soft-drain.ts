import type { ServerResponse } from 'node:http'
import net from 'node:net'

import { closeAfterReply } from './close-after-reply.ts'
import { trackConnections, type Connection, type ConnectionTracker } from './track-connections.ts'

export interface SoftDrainOptions {
  /** Milliseconds until everything that is left is destroyed. Infinity: never. */
  readonly timeoutMs: number
  /** Brings the deadline forward, for a second SIGTERM. */
  readonly signal?: AbortSignal | undefined
}

export interface DrainReport {
  /** Requests answered in full since the drain began; of a plain TCP server, connections that ended by themselves. */
  readonly finished: number
  /** Requests, half-received requests, upgraded and plain connections that the deadline cut off. */
  readonly cut: number
  /** Upgraded connections (WebSocket, CONNECT) that were open when the drain began. */
  readonly upgraded: number
  /** Connections with nothing under way that were closed at the deadline. */
  readonly idle: number
  readonly milliseconds: number
}

/** Used where the server has keep-alive without a limit: node:http's own default. */
const defaultKeepAliveMs = 5_000
/** How much longer than it told its clients a server waits before it closes an idle connection, as node:http does. */
const keepAliveMarginMs = 1_000

/** 24 days: what setTimeout can count. */
const longestTimeoutMs = 2 ** 31 - 1

const drains = new WeakMap<net.Server, Promise<DrainReport>>()

/**
 * Ends a server without losing a request, where http.Server.close() loses those that have arrived on an idle keep-alive
 * connection. It stops accepting and closes nothing: every further reply says `Connection: close` (RFC 9112, section
 * 9.6), idle connections go at their keep-alive timeout, headersTimeout stays in force, http2 sessions get GOAWAY.
 * Upgraded connections are the program's own to end. At the deadline the rest is destroyed and counted.
 * Resolves when no connection is left; a call meanwhile gets the same drain.
 */
export function softDrain(server: net.Server, options: SoftDrainOptions): Promise<DrainReport> {
  const running = drains.get(server)
  if (running !== undefined) return running
  const drain = new Promise<DrainReport>((resolve) => new Drain(server, options, resolve).begin())
  drains.set(server, drain)
  return drain
}

class Drain {
  readonly #server: net.Server
  readonly #options: SoftDrainOptions
  readonly #resolve: (report: DrainReport) => void
  readonly #tracker: ConnectionTracker
  readonly #began = performance.now()
  readonly #timers: NodeJS.Timeout[] = []
  readonly #onAbort = (): void => this.#deadline()
  #stopped = false
  #over = false
  #finished = 0
  #cut = 0
  #upgraded = 0
  #idle = 0

  constructor(server: net.Server, options: SoftDrainOptions, resolve: (report: DrainReport) => void) {
    this.#server = server
    this.#options = options
    this.#resolve = resolve
    this.#tracker = trackConnections(server)
  }

  begin(): void {
    const tracker = this.#tracker
    for (const connection of tracker.connections.values()) {
      if (connection.upgraded) this.#upgraded++
      for (const response of connection.requests) if (!response.headersSent) this.#closeAfter(connection, response)
    }
    tracker.hooks = {
      request: (connection, response, pass) => this.#onRequest(connection, response, pass),
      answered: (complete) => {
        if (complete && !this.#over) this.#finished++
      },
      closed: () => this.#onClosed(),
      session: (session) => session.close(),
    }
    for (const session of tracker.sessions) session.close()
    this.#stopAccepting()
    const { timeoutMs } = this.#options
    // Node takes a longer delay for one of a millisecond.
    if (timeoutMs <= longestTimeoutMs) this.#timers.push(setTimeout(() => this.#deadline(), timeoutMs))
    if (tracker.protocol === 'http1') this.#timers.push(setInterval(() => this.#closeResting(), this.#sweepMs()))
    const { signal } = this.#options
    if (signal?.aborted === true) this.#deadline()
    else signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  /** Not http.Server.close(): that one closes idle connections with a request in their buffer, and ends headersTimeout. */
  #stopAccepting(): void {
    const stopped = (): void => {
      this.#stopped = true
      this.#endIfEmpty()
    }
    this.#server.once('close', stopped)
    if (this.#server.listening) net.Server.prototype.close.call(this.#server)
    else this.#server.getConnections((_error, count) => count === 0 && stopped())
  }

  #onRequest(connection: Connection, response: ServerResponse, pass: () => void): void {
    this.#closeAfter(connection, response)
    // A pipelined pair comes in one read. Without the wait a reply made at once would say close before the second
    // request is known, and that one would be lost with the connection.
    process.nextTick(pass)
  }

  #closeAfter(connection: Connection, response: ServerResponse): void {
    closeAfterReply(response, () => [...connection.requests].at(-1) === response)
  }

  #onClosed(): void {
    if (this.#over) return
    if (this.#tracker.protocol === 'plain') this.#finished++
    this.#endIfEmpty()
  }

  #sweepMs(): number {
    return Math.max(20, Math.min(500, this.#keepAliveMs() / 4))
  }

  #keepAliveMs(): number {
    const { keepAliveTimeout = 0 } = this.#server as net.Server & { keepAliveTimeout?: number }
    return keepAliveTimeout > 0 ? keepAliveTimeout : defaultKeepAliveMs
  }

  /** node:http closes what was idle after a reply; not what has never sent a byte, and nothing where keep-alive has no limit. */
  #closeResting(): void {
    const since = performance.now() - this.#keepAliveMs() - keepAliveMarginMs
    for (const connection of this.#tracker.connections.values()) {
      if (isResting(connection) && connection.restingSince < since) connection.socket.destroy()
    }
  }

  #deadline(): void {
    if (this.#over) return
    this.#over = true
    const { connections, rawSockets, sessions, streams } = this.#tracker
    this.#cut += streams.size
    for (const connection of connections.values()) {
      this.#count(connection)
      connection.socket.destroy()
    }
    for (const session of sessions) session.destroy()
    for (const socket of rawSockets) socket.destroy()
    // For connections that no tracker ever saw.
    const { closeAllConnections } = this.#server as net.Server & { closeAllConnections?: () => void }
    closeAllConnections?.call(this.#server)
    // The sockets' own 'close' comes in this turn's last phase.
    setImmediate(() => setImmediate(() => this.#end()))
  }

  #count(connection: Connection): void {
    const { protocol } = this.#tracker
    if (protocol === 'http1' && isResting(connection)) this.#idle++
    // An http2 connection is as much as the streams in it, which are counted already.
    else if (protocol === 'http2' && !connection.upgraded) this.#cut += connection.requests.size
    else this.#cut += Math.max(1, connection.requests.size)
  }

  #endIfEmpty(): void {
    if (this.#stopped && this.#tracker.connections.size === 0) this.#end()
  }

  #end(): void {
    this.#over = true
    // The server may be started again.
    this.#tracker.hooks = null
    drains.delete(this.#server)
    for (const timer of this.#timers) clearTimeout(timer)
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
    this.#resolve({
      finished: this.#finished,
      cut: this.#cut,
      upgraded: this.#upgraded,
      idle: this.#idle,
      milliseconds: Math.round(performance.now() - this.#began),
    })
  }
}

/** Nothing under way and not the first byte of a next request either. */
function isResting(connection: Connection): boolean {
  return !connection.upgraded && connection.requests.size === 0 && connection.socket.bytesRead === connection.restingBytes
}
