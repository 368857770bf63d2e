import type { Agent, ClientRequest, IncomingMessage, InformationEvent } from 'node:http'
import type { Socket } from 'node:net'

/** What comes of one request to an upstream. Each call names the request, so that a late word on an old try is told apart. */
export interface UpstreamListener {
  onEarly(request: ClientRequest, information: InformationEvent): void
  onReply(request: ClientRequest, incoming: IncomingMessage): void
  onSwitched(request: ClientRequest, incoming: IncomingMessage, socket: Socket, head: Buffer): void
  /** No reply, or the reply broke off. May come after onReply, also after a complete one. */
  onFailed(request: ClientRequest, error: Error): void
}

interface Lending {
  readonly socket: Socket
  readonly path: string
  readonly listener: UpstreamListener
}

/**
 * An http.Agent in the only way that http.request needs one: it hands over a socket that is connected already.
 * When the request has its whole reply and the connection is to be kept, Node emits 'free' on the socket.
 * `send` makes the http.request, in the same tick, with this agent.
 */
class HandOver {
  readonly keepAlive = true
  readonly protocol = 'http:'
  readonly defaultPort = 80
  #next: Lending | null = null
  #made: ClientRequest | null = null

  lend(socket: Socket, path: string, listener: UpstreamListener, send: () => void): ClientRequest {
    this.#next = { socket, path, listener }
    this.#made = null
    try {
      send()
      if (this.#made === null) throw new Error('The lane made no request.')
      return this.#made
    } finally {
      this.#next = null
      this.#made = null
    }
  }

  addRequest(request: ClientRequest): void {
    if (this.#next === null) throw new Error('A request came to the agent without a socket.')
    const { socket, path, listener } = this.#next
    this.#made = request
    // The target as it came: http-proxy joins and collapses slashes, and Node's URL would normalise dots.
    request.path = path
    // NODE_OPTIONS=--insecure-http-parser must not reach this far; and no field is left out however many there are
    // (16 KiB bounds them).
    Object.assign(request, { insecureHTTPParser: false, maxHeadersCount: 0 })
    request.on('information', (information) => listener.onEarly(request, information))
    request.on('response', (incoming) => listener.onReply(request, incoming))
    request.on('upgrade', (incoming, upgraded, head) => listener.onSwitched(request, incoming, upgraded as Socket, head))
    request.on('error', (error) => listener.onFailed(request, error))
    request.onSocket(socket)
  }
}

export const handOver = new HandOver()
/** The same, under the name that http.request asks for: it calls nothing but addRequest. */
export const handOverAgent = handOver as unknown as Agent
