import { createHash, randomBytes } from 'node:crypto'
import type { Context } from './context.ts'
import { Fault, failure, type Failure } from './failure.ts'
import { requestHead } from './http-kinds.ts'
import type { OpenEntry } from './ledger.ts'
import type { ReplyHead } from './reply-parser.ts'
import { FrameReader, maskedFrame, opcodes, type Message } from './websocket-frames.ts'
import type { Sink, Wire } from './wire.ts'

/** How long the server may take to answer our close frame, or to close the connection after its own. */
const closeTimeoutMs = 3000

/**
 * One WebSocket of our own, over the wire of the load. Its life is an entry (`websocket-session`): ended when the
 * server closed with 1000 or 1001, ok when the client did, and failed when the connection ended without a word.
 */
export class WebSocketClient implements Sink {
  readonly #context: Context
  readonly #wire: Wire
  readonly #handshake: OpenEntry
  readonly #frames = new FrameReader((message) => this.#message(message))
  readonly #key = randomBytes(16).toString('base64')
  #session: OpenEntry | null = null
  #opened: ((open: boolean) => void) | null = null
  #echo: { readonly entry: OpenEntry; readonly payload: Buffer; readonly opcode: number; readonly settled: () => void } | null = null
  #weClosed = false
  #theyClosed = false
  #over = false
  readonly #ends: (() => void)[] = []

  private constructor(context: Context, wire: Wire, handshake: OpenEntry) {
    this.#context = context
    this.#wire = wire
    this.#handshake = handshake
  }

  /** Shakes hands (RFC 6455, 4.1). Null when that failed; the handshake's entry then says why. */
  static async open(context: Context, handshake: OpenEntry): Promise<WebSocketClient | null> {
    const wire = await context.dial(handshake, 'websocket')
    if (wire === null) return null
    const client = new WebSocketClient(context, wire, handshake)
    const opened = new Promise<boolean>((resolve) => {
      client.#opened = resolve
    })
    const limit = context.options.requestTimeoutMs
    const timer = setTimeout(() => client.#fail(failure('timeout', `no handshake after ${limit} ms`)), limit)
    wire.owe(client)
    handshake.sent(wire.number)
    wire.write(requestHead(context, 'GET', '/ws', [
      'connection: Upgrade', 'upgrade: websocket', 'sec-websocket-version: 13', `sec-websocket-key: ${client.#key}`,
    ]))
    const open = await opened
    clearTimeout(timer)
    return open ? client : null
  }

  get usable(): boolean {
    return !this.#over && !this.#theyClosed && !this.#weClosed
  }

  /** Sends one message and waits for its echo. */
  async echo(entry: OpenEntry, opcode: number, payload: Buffer): Promise<void> {
    const limit = this.#context.options.requestTimeoutMs
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => this.#fail(failure('timeout', `no echo after ${limit} ms`)), limit)
      this.#echo = {
        entry, payload, opcode, settled: () => {
          clearTimeout(timer)
          this.#echo = null
          resolve()
        },
      }
      entry.sent(this.#wire.number)
      this.#send(opcode, payload)
    })
  }

  /** Closes in order, from our side, and waits until that is done. */
  async close(): Promise<void> {
    if (this.usable) {
      this.#weClosed = true
      this.#send(opcodes.close, Buffer.from([0x03, 0xe8]))
    }
    await this.#ended()
  }

  head(head: ReplyHead): void {
    const release = head.headers.get('x-release') ?? null
    this.#handshake.head(head.status, release)
    const wrong = this.#wrongHandshake(head, release)
    if (wrong !== null) {
      this.#fail(wrong)
      return
    }
    this.#handshake.ok()
    this.#session = this.#context.begin('websocket-session')
    this.#session.sent(this.#wire.number)
    this.#session.head(head.status, release)
    this.#opened?.(true)
  }

  upgraded(chunk: Buffer): void {
    if (this.#over) return
    this.#frames.feed(chunk)
  }

  /** The body of a reply that was no 101: of no interest, the entry has failed. */
  data(): void {}

  end(): void {
    this.#fail(failure('wrong-status', 'the server answered the handshake with an ordinary reply'))
  }

  fail(why: Failure): void {
    if (this.#session === null || why.code === 'timeout' || why.code === 'malformed') this.#fail(why)
    else if (this.#weClosed || this.#theyClosed) this.#finish()
    else this.#fail(failure('websocket-dropped', `no close frame before the end of the connection (${why.detail})`))
  }

  #wrongHandshake({ status, headers }: ReplyHead, release: string | null): Failure | null {
    // RFC 6455, 1.3: the key with this fixed string behind it.
    const accept = createHash('sha1').update(`${this.#key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
    if (status !== 101) return failure('wrong-status', `${status} instead of 101`)
    if (headers.get('upgrade')?.toLowerCase() !== 'websocket') return failure('wrong-header', `Upgrade: ${headers.get('upgrade')}`)
    if (!/(^|[ ,])upgrade($|[ ,])/i.test(headers.get('connection') ?? '')) return failure('wrong-header', `Connection: ${headers.get('connection')}`)
    if (headers.get('sec-websocket-accept') !== accept) return failure('wrong-header', 'Sec-WebSocket-Accept does not fit the key')
    if (release === null) return failure('no-release', 'no x-release in the handshake')
    return null
  }

  #message({ opcode, payload }: Message): void {
    if (opcode === opcodes.ping) this.#send(opcodes.pong, payload)
    else if (opcode === opcodes.close) this.#closeFrame(payload)
    else if (opcode !== opcodes.pong) this.#answer(opcode, payload)
  }

  #answer(opcode: number, payload: Buffer): void {
    const echo = this.#echo
    if (echo === null) throw new Fault('malformed', 'a message that nobody sent')
    echo.entry.bytes = payload.length
    if (opcode === echo.opcode && payload.equals(echo.payload)) echo.entry.ok()
    else echo.entry.failed(failure('wrong-byte', `the echo differs from the ${echo.payload.length} bytes sent`))
    echo.settled()
  }

  #closeFrame(payload: Buffer): void {
    this.#theyClosed = true
    const code = payload.length >= 2 ? payload.readUInt16BE(0) : 1005
    if (this.#weClosed) {
      this.#finish()
      return
    }
    if (code !== 1000 && code !== 1001) {
      this.#fail(failure('websocket-closed', `close code ${code}: ${payload.toString('utf8', 2)}`))
      return
    }
    // What was sent and not echoed is no loss: the server said in order that it will answer no more.
    this.#echo?.entry.ended()
    this.#echo?.settled()
    this.#send(opcodes.close, payload.subarray(0, 2))
    this.#session?.ended()
    setTimeout(() => this.#finish(), closeTimeoutMs).unref()
  }

  #send(opcode: number, payload: Buffer): void {
    this.#wire.write(maskedFrame(opcode, payload, randomBytes(4)))
  }

  async #ended(): Promise<void> {
    if (this.#over) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        if (this.#theyClosed) this.#finish()
        else this.#fail(failure('timeout', `no close frame in answer to ours after ${closeTimeoutMs} ms`))
      }, closeTimeoutMs)
      this.#ends.push(() => {
        clearTimeout(timer)
        resolve()
      })
    })
  }

  #finish(): void {
    this.#session?.ok()
    this.#end()
  }

  #fail(why: Failure): void {
    this.#handshake.failed(why)
    this.#session?.failed(why)
    this.#echo?.entry.failed(why)
    this.#end()
  }

  #end(): void {
    if (this.#over) return
    this.#over = true
    this.#echo?.settled()
    this.#opened?.(false)
    this.#context.forget(this.#wire)
    for (const end of this.#ends) end()
  }
}
