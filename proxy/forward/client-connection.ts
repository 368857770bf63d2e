import type { Socket } from 'node:net'
import { newMemo, type VisitorMemo } from '../canary/visitor.ts'
import type { FrontLimits } from '../front-settings.ts'
import { closeGently } from './gentle-close.ts'
import { sentBytes } from './sent-bytes.ts'

/** One request on a client's connection, as its connection sees it. */
export interface Occupant {
  /** Has its whole request been read? */
  readonly received: boolean
  /** The client's connection has closed. */
  clientGone(): void
  /** Its own input turned out to be malformed. True: nothing of a reply was sent yet. */
  inputBroken(): boolean
  /** We destroyed the connection: for the sake of another request on it, or because everything must go. */
  connectionDestroyed(how: 'lost' | 'cut'): void
  /** The client takes nothing of what waits for it; `clientGone` follows. */
  clientStalled(): void
  /** Has it, or its release, been waited for too long? Called every so often; `now`: performance.now(). */
  look(now: number, limits: FrontLimits): void
}

const connections = new WeakMap<Socket, ClientConnection>()

/**
 * One client's connection: which requests are on it, in order, and how it is closed without taking a reply away.
 * Node answers pipelined requests in order; what it does not do is to keep the connection until the last that was taken
 * up has its answer.
 */
export class ClientConnection {
  readonly socket: Socket
  readonly #occupants: Occupant[] = []
  #closing = false
  #lastWords: string | null = null
  #visitor: VisitorMemo | null = null
  /** What the client had taken when it was looked at last, and since when that has not changed. */
  #taken = -1
  #takenAt = 0

  constructor(socket: Socket) {
    this.socket = socket
    connections.set(socket, this)
    socket.on('error', () => {}) // 'close' follows, and says all there is to know
    socket.on('close', () => {
      this.#closing = true
      for (const occupant of this.#occupants.splice(0)) occupant.clientGone()
    })
    // Node's way of closing after the last reply destroys as soon as it is written.
    socket.destroySoon = () => closeGently(socket)
  }

  static of(socket: Socket): ClientConnection | undefined {
    return connections.get(socket)
  }

  /** No request that comes from now on is taken up; the client learns it from `Connection: close` or from FIN. */
  get closing(): boolean {
    return this.#closing
  }

  /** Who came on it last, for a canary. */
  get visitor(): VisitorMemo {
    return (this.#visitor ??= newMemo())
  }

  get busy(): boolean {
    return this.#occupants.length > 0
  }

  enter(occupant: Occupant): void {
    this.#occupants.push(occupant)
  }

  /** The occupant's reply is written, or it needs none any more. */
  leave(occupant: Occupant): void {
    const at = this.#occupants.indexOf(occupant)
    if (at !== -1) this.#occupants.splice(at, 1)
    if (this.#occupants.length === 0 && this.#lastWords !== null) this.#sayLastWords()
  }

  /** Is it the last in line? Only its reply may say `Connection: close`. */
  isLast(occupant: Occupant): boolean {
    return this.#occupants.at(-1) === occupant
  }

  /** The reply under way says `Connection: close`. */
  close(): void {
    this.#closing = true
  }

  /** Closes when nothing is on it. */
  closeWhenIdle(): void {
    if (this.#occupants.length > 0) return
    this.#closing = true
    closeGently(this.socket)
  }

  /**
   * The input cannot be read any further: requests before it get their replies, then `words` are written and it closes.
   * Behind a request that was to be the last, nothing is left to write to by then.
   */
  refuseInput(words: string): void {
    if (this.#closing) return
    this.#closing = true
    const last = this.#occupants.at(-1)
    if (last !== undefined && !last.received) {
      this.#occupants.pop()
      if (!last.inputBroken()) {
        this.socket.destroy()
        return
      }
    }
    this.#lastWords = words
    if (this.#occupants.length === 0) this.#sayLastWords()
  }

  /** The rest of the last request is not read any more: `words` are its reply, unless one has begun. */
  breakOff(words: string): void {
    this.#closing = true
    if (this.#occupants.pop()?.inputBroken() !== true) return void this.socket.destroy()
    this.#lastWords = words
    if (this.#occupants.length === 0) this.#sayLastWords()
  }

  /** Looks after what its client is given, and what is expected of it; called every so often. */
  look(now: number, limits: FrontLimits): void {
    const { socket } = this
    if (this.#occupants.length === 0) return
    if (socket.writableLength === 0 || limits.readStallMs === null) this.#taken = -1
    else if (sentBytes(socket) !== this.#taken) {
      this.#taken = sentBytes(socket)
      this.#takenAt = now
    } else if (now - this.#takenAt >= limits.readStallMs) {
      for (const occupant of this.#occupants) occupant.clientStalled()
      // A plain close would leave what the client does not take in the kernel, for minutes.
      socket.resetAndDestroy()
      return
    }
    for (const occupant of [...this.#occupants]) occupant.look(now, limits)
  }

  /** Destroys it; whoever else is on it is told. */
  destroy(how: 'lost' | 'cut'): void {
    this.#closing = true
    this.#lastWords = null
    for (const occupant of this.#occupants.splice(0)) occupant.connectionDestroyed(how)
    this.socket.destroy()
  }

  #sayLastWords(): void {
    const words = this.#lastWords ?? ''
    this.#lastWords = null
    if (this.socket.writable) this.socket.write(words, 'latin1')
    closeGently(this.socket)
  }
}
