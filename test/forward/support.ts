import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import { connect, createServer as createNetServer, type AddressInfo, type Server as NetServer, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'
import { createFront, type Front, type FrontOptions } from '../../proxy/forward/front.ts'
import type { ReleaseId, Target } from '../../proxy/table.ts'
import type { Picker, PickRequest, Refusal, UpstreamFailure, Visit, VisitEnd, VisitKind } from '../../proxy/visit.ts'

/** Polls until `condition` holds, or fails after `ms` naming what was waited for. */
export async function until(what: string, condition: () => boolean, ms = 5_000): Promise<void> {
  const end = performance.now() + ms
  while (!condition()) {
    if (performance.now() > end) throw new Error(`waited ${ms} ms for: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

/** Waits until `value` has not changed for 300 ms, and gives it. */
export async function settled(what: string, value: () => number, ms = 10_000): Promise<number> {
  let last = value()
  let since = performance.now()
  await until(`${what} to settle`, () => {
    const now = value()
    if (now !== last) {
      last = now
      since = performance.now()
    }
    return performance.now() - since > 300
  }, ms)
  return last
}

/** A visit that writes down what is done to it, and can be told that its grace or its deadline is over. */
export class FakeVisit implements Visit {
  readonly target: Target
  readonly viaFallback = false
  readonly assigned = null
  readonly tableNumber = 1
  kind: VisitKind = 'request'
  status: number | null = null
  /** Every end that was said; a correct lane says exactly one. */
  readonly ends: VisitEnd[] = []
  grace: (closeCode?: number) => void = () => { throw new Error('became nothing with a grace') }
  cut: () => void = () => { throw new Error('has no cut') }

  constructor(target: Target) {
    this.target = target
  }

  get release(): ReleaseId {
    return this.target.release
  }

  becomes(kind: 'stream' | 'upgraded', onGrace: (closeCode?: number) => void): void {
    this.kind = kind
    this.grace = onGrace
  }

  onCut(cut: () => void): void {
    this.cut = cut
  }

  answered(status: number): void {
    this.status = status
  }

  readonly failures: UpstreamFailure[] = []
  failed(how: UpstreamFailure): void {
    this.failures.push(how)
  }

  /** Bytes to and from the release; more than one pair would count something twice. */
  readonly moves: (readonly [number, number])[] = []
  moved(toRelease: number, fromRelease: number): void {
    this.moves.push([toRelease, fromRelease])
  }

  end(how: VisitEnd): void {
    this.ends.push(how)
  }
}

/** Picks what `choose` says, in the same tick; null: the request waits until `wake`. */
export class FakePicker implements Picker {
  readonly visits: FakeVisit[] = []
  readonly requests: PickRequest[] = []
  readonly waiting = new Set<PickRequest>()
  choose: (request: PickRequest) => Target | Refusal | null

  constructor(choose: (request: PickRequest) => Target | Refusal | null) {
    this.choose = choose
  }

  pick(request: PickRequest): { cancel(): void } {
    this.requests.push(request)
    this.#decide(request)
    return { cancel: () => { this.waiting.delete(request) } }
  }

  wake(): void {
    for (const request of [...this.waiting]) {
      this.waiting.delete(request)
      this.#decide(request)
    }
  }

  /** The last visit. */
  get visit(): FakeVisit {
    const visit = this.visits.at(-1)
    if (visit === undefined) throw new Error('nothing was picked')
    return visit
  }

  get ends(): VisitEnd[][] {
    return this.visits.map((visit) => visit.ends)
  }

  /** What is asked for an asset that was not found; null: the 404 stands. */
  before: Target | null = null

  previous(): FakeVisit | null {
    if (this.before === null) return null
    const visit = new FakeVisit(this.before)
    this.visits.push(visit)
    return visit
  }

  #decide(request: PickRequest): void {
    const chosen = this.choose(request)
    if (chosen === null) {
      this.waiting.add(request)
    } else if ('status' in chosen) {
      request.refused(chosen)
    } else {
      const visit = new FakeVisit(chosen)
      this.visits.push(visit)
      request.picked(visit)
    }
  }
}

export function target(port: number, release: ReleaseId = 'shop/v1'): Target {
  return { release, host: '127.0.0.1', port, healthy: true }
}

export interface LogLine { readonly level: string; readonly event: string; readonly fields: Record<string, unknown> }

export interface RunningFront {
  readonly front: Front
  readonly port: number
  readonly picker: FakePicker
  readonly logs: LogLine[]
}

/** A front on a port of its own, destroyed with the test. `to`: a port, or how to choose. */
export async function startFront(
  to: number | ((request: PickRequest) => Target | Refusal | null), options: Partial<FrontOptions> = {},
): Promise<RunningFront> {
  const picker = new FakePicker(typeof to === 'number' ? () => target(to) : to)
  const logs: LogLine[] = []
  const front = createFront({
    picker, serviceFor: () => 'default', trustProxy: false,
    log: (level, event, fields) => logs.push({ level, event, fields }),
    ...options,
  })
  front.server.listen(0, '127.0.0.1')
  await once(front.server, 'listening')
  onTestFinished(() => front.destroy())
  return { front, port: (front.server.address() as AddressInfo).port, picker, logs }
}

export interface Seen {
  readonly method: string
  readonly url: string
  readonly rawHeaders: readonly string[]
  readonly body: string
  readonly rawTrailers: readonly string[]
}

export interface Backend {
  readonly port: number
  readonly server: Server
  /** Requests with their whole bodies, as a strict parser understood them. */
  readonly seen: Seen[]
  /** Every byte that came, by connection, in latin1. */
  readonly raw: string[]
  readonly sockets: Set<Socket>
  /** Connections ever made. */
  connections: number
}

/** A real HTTP backend that also writes down the raw bytes. Without `listener` it answers "ok" to all. */
export async function startBackend(listener?: RequestListener): Promise<Backend> {
  const seen: Seen[] = []
  const raw: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer((req, res) => {
    collect(req, seen)
    if (listener !== undefined) listener(req, res)
    else req.on('end', () => res.end('ok')).resume()
  })
  const backend: Backend = { port: 0, server, seen, raw, sockets, connections: 0 }
  server.on('connection', (socket: Socket) => {
    const at = backend.connections
    backend.connections += 1
    raw.push('')
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => { raw[at] += chunk.toString('latin1') })
    socket.on('close', () => sockets.delete(socket))
  })
  await listen(server)
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
    for (const socket of sockets) socket.destroy()
  })
  return Object.assign(backend, { port: portOf(server) })
}

function collect(req: IncomingMessage, seen: Seen[]): void {
  let body = ''
  req.on('data', (chunk: Buffer) => { body += chunk.toString('latin1') })
  req.on('end', () => seen.push({ method: req.method ?? '', url: req.url ?? '', rawHeaders: req.rawHeaders, body, rawTrailers: req.rawTrailers }))
}

/** A backend that speaks bytes: `onConnection` does with each socket what it likes. */
export async function startRawBackend(onConnection: (socket: Socket, number: number) => void, allowHalfOpen = false): Promise<{ port: number; server: NetServer; sockets: Set<Socket> }> {
  const sockets = new Set<Socket>()
  let number = 0
  const server = createNetServer({ allowHalfOpen }, (socket) => {
    socket.on('error', () => {})
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    onConnection(socket, number)
    number += 1
  })
  await listen(server)
  onTestFinished(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return { port: portOf(server), server, sockets }
}

/** A raw backend that waits for a whole request head and then writes `reply`, on every connection, once a head. */
export function answering(reply: string | Buffer, then?: (socket: Socket) => void): (socket: Socket) => void {
  return (socket) => {
    let text = ''
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      if (!text.includes('\r\n\r\n')) return
      text = ''
      socket.write(typeof reply === 'string' ? Buffer.from(reply, 'latin1') : reply)
      then?.(socket)
    })
  }
}

export async function listen(server: NetServer): Promise<void> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
}

export function portOf(server: NetServer): number {
  return (server.address() as AddressInfo).port
}

/** A port on which nobody listens. */
export async function closedPort(): Promise<number> {
  const server = createNetServer()
  await listen(server)
  const port = portOf(server)
  server.close()
  await once(server, 'close')
  return port
}

/** A client that speaks bytes. */
export class RawClient {
  readonly socket: Socket
  /** All that was received, in latin1. */
  text = ''
  ended = false
  closed = false
  error: NodeJS.ErrnoException | null = null

  constructor(port: number, allowHalfOpen = false) {
    this.socket = connect({ port, host: '127.0.0.1', allowHalfOpen, noDelay: true })
    this.socket.on('error', (error) => { this.error = error })
    this.socket.on('data', (chunk: Buffer) => { this.text += chunk.toString('latin1') })
    this.socket.on('end', () => { this.ended = true })
    this.socket.on('close', () => { this.closed = true })
    onTestFinished(() => { this.socket.destroy() })
  }

  send(text: string): this {
    this.socket.write(text, 'latin1')
    return this
  }

  async sees(part: string | RegExp, ms?: number): Promise<this> {
    try {
      await until(`the client to see ${String(part)}`, () => (typeof part === 'string' ? this.text.includes(part) : part.test(this.text)), ms)
    } catch (error) {
      throw new Error(`${String(error)}; it saw ${JSON.stringify(this.text.slice(0, 500))}`, { cause: error })
    }
    return this
  }

  async closes(ms?: number): Promise<this> {
    await until('the connection to close', () => this.closed, ms)
    return this
  }

  /** The status codes of all replies received, 1xx included. */
  get statuses(): number[] {
    return [...this.text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map((match) => Number(match[1]))
  }
}

/** Sends bytes and gives what came back once the connection is closed. */
export async function exchangeRaw(port: number, text: string, ms?: number): Promise<RawClient> {
  return await new RawClient(port).send(text).closes(ms)
}
