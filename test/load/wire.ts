import { connect, type Socket } from 'node:net'
import { Fault, failure, type Failure } from './failure.ts'
import { ReplyParser, type ReplyHead } from './reply-parser.ts'

export interface Address {
  readonly host: string
  readonly port: number
}

/** What waits for one reply. Exactly one of `end` and `fail` is called, once; after an upgrade only `fail`. */
export interface Sink {
  head(head: ReplyHead): void
  data(chunk: Buffer): void
  end(): void
  fail(why: Failure): void
  upgraded?(chunk: Buffer): void
}

/** What may happen to a connection on which nothing is outstanding. The first two lose no request. */
export type IdleEvent = 'closed' | 'reset' | Failure

export interface WireOptions {
  readonly connectTimeoutMs: number
  readonly onIdle: (event: IdleEvent) => void
}

let wires = 0

/** One TCP connection to the server under load, with the replies that are owed on it, in order. */
export class Wire {
  readonly number = ++wires
  readonly #socket: Socket
  readonly #options: WireOptions
  readonly #parser: ReplyParser
  #owed: Sink[] = []
  #mayFollow = true
  #closed = false

  private constructor(socket: Socket, options: WireOptions) {
    this.#socket = socket
    this.#options = options
    this.#parser = new ReplyParser({
      head: (head) => {
        if (!head.keepAlive) this.#mayFollow = false
        this.#first().head(head)
      },
      data: (chunk) => this.#first().data(chunk),
      end: () => {
        const sink = this.#first()
        this.#owed.shift()
        sink.end()
      },
      upgraded: (chunk) => this.#first().upgraded?.(chunk),
    })
    socket.setNoDelay(true)
    socket.on('data', (chunk) => this.#read(chunk))
    socket.on('end', () => this.#peerEnded())
    socket.on('close', () => this.#over(failure('reset', 'the connection closed'), 'reset'))
  }

  /** Dials. Throws Fault `refused` or `connect`. */
  static open(address: Address, options: WireOptions): Promise<Wire> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: address.host, port: address.port })
      let wire: Wire | null = null
      socket.on('error', (error: NodeJS.ErrnoException) => {
        clearTimeout(timer)
        if (wire !== null) wire.#over(failure('reset', `${error.code ?? error.message}`), 'reset')
        else reject(new Fault(error.code === 'ECONNREFUSED' ? 'refused' : 'connect', `${error.code ?? error.message}`))
      })
      const timer = setTimeout(() => {
        socket.destroy()
        reject(new Fault('connect', `no connection after ${options.connectTimeoutMs} ms`))
      }, options.connectTimeoutMs)
      socket.once('connect', () => {
        clearTimeout(timer)
        wire = new Wire(socket, options)
        resolve(wire)
      })
    })
  }

  get closed(): boolean {
    return this.#closed
  }

  /** May a request be sent on it, as far as the client can know? */
  get usable(): boolean {
    return !this.#closed && this.#mayFollow && this.#owed.length === 0
  }

  /** Call before writing the request that the sink's reply belongs to. A closed wire fails it at once. */
  owe(sink: Sink): void {
    if (this.#closed) sink.fail(failure('reset', 'the connection was already closed'))
    else this.#owed.push(sink)
  }

  write(data: Buffer | string): void {
    if (!this.#closed) this.#socket.write(data)
  }

  /** Ends the connection. What is still owed fails with `why`. */
  close(why = failure('reset', 'the client closed the connection')): void {
    if (this.#closed) return
    this.#closed = true
    this.#socket.destroy()
    this.#failAll(why)
  }

  #first(): Sink {
    const sink = this.#owed[0]
    if (sink === undefined) throw new Fault('unexpected-data', 'a reply that nobody asked for')
    return sink
  }

  #read(chunk: Buffer): void {
    if (this.#closed) return
    try {
      this.#parser.feed(chunk)
      if (this.#owed.length === 0 && !this.#parser.idle) throw new Fault('unexpected-data', 'bytes after the end of the reply')
    } catch (error) {
      if (!(error instanceof Fault)) throw error
      this.#over(error.failure, error.failure)
      this.#socket.destroy()
    }
  }

  // The socket's own half is closed by Node when the peer's is (allowHalfOpen is off).
  #peerEnded(): void {
    if (this.#closed) return
    const begun = !this.#parser.idle
    this.#parser.finish()
    this.#over(begun ? failure('truncated', 'the connection was closed within the reply')
      : failure('no-reply', 'the connection was closed before the reply'), 'closed')
  }

  #over(why: Failure, idle: IdleEvent): void {
    if (this.#closed) return
    this.#closed = true
    if (this.#owed.length === 0) this.#options.onIdle(idle)
    this.#failAll(why)
  }

  #failAll(why: Failure): void {
    const owed = this.#owed
    this.#owed = []
    for (const sink of owed) sink.fail(why)
  }
}
