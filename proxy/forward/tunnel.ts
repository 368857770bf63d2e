import type { Socket } from 'node:net'
import type { VisitEnd } from '../visit.ts'
import { closeGently } from './gentle-close.ts'
import { closeFrame, FrameTracker } from './websocket-frames.ts'

/** "Going away", and "internal error": what a server says that cannot go on (RFC 6455 7.4.1). */
const goingAway = 1001
const internalError = 1011
/** How long a peer has to answer a close frame, in milliseconds. */
const closeAnswerMs = 2_000
/** How long a connection that one side has ended may lie silent, in milliseconds. */
const halfOpenMs = 30_000

/** One direction of the relay. Its close frame is put in by us ('wanted' until a frame boundary comes). */
interface Direction {
  readonly from: Socket
  readonly to: Socket
  readonly frames: FrameTracker
  readonly masked: boolean
  close: 'not-wanted' | 'wanted' | 'sent'
}

/**
 * Relays a WebSocket byte for byte, back-pressured both ways, and follows the frame heads, so that it can be ended in
 * order: with a close frame between two frames of either direction. `done` is called exactly once, `failed` at
 * most once and before: the upstream closes it with 1011, and not in answer to the client's close frame or to ours.
 */
export class Tunnel {
  readonly #client: Socket
  readonly #upstream: Socket
  readonly #toClient: Direction
  readonly #toUpstream: Direction
  readonly #done: (how: VisitEnd) => void
  readonly #failed: () => void
  #timer: NodeJS.Timeout | null = null
  #over = false
  #ending = false
  #closeCode = goingAway
  #firstToLeave: 'client' | 'upstream' | null = null

  constructor(client: Socket, upstream: Socket, done: (how: VisitEnd) => void, failed: () => void = () => {}) {
    this.#client = client
    this.#upstream = upstream
    this.#done = done
    this.#failed = failed
    this.#toClient = { from: upstream, to: client, frames: new FrameTracker(), masked: false, close: 'not-wanted' }
    this.#toUpstream = { from: client, to: upstream, frames: new FrameTracker(), masked: true, close: 'not-wanted' }
  }

  /** Begins with the bytes that each side sent behind its handshake. */
  start(fromClient: Buffer, fromUpstream: Buffer): void {
    this.#client.setTimeout(0)
    this.#upstream.setTimeout(0)
    this.#relay(this.#toClient, fromUpstream)
    this.#relay(this.#toUpstream, fromClient)
  }

  /**
   * Puts a close frame (1001 where nothing else is said) into both directions at their next frame boundaries; ends when
   * both peers have answered, or 2 s later.
   */
  endInOrder(closeCode = goingAway): void {
    if (this.#over || this.#ending) return
    this.#ending = true
    this.#closeCode = closeCode
    for (const direction of [this.#toClient, this.#toUpstream]) {
      // A peer that has sent its close frame sends nothing more: what is left is to wait for the other's.
      if (direction.frames.closed) direction.close = 'sent'
      else if (direction.frames.atBoundary) this.#putClose(direction)
      else direction.close = 'wanted'
    }
    this.#checkAnswers()
  }

  /** Destroys both sides. */
  cut(): void {
    this.#finish('cut')
  }

  #relay(direction: Direction, first: Buffer): void {
    const { from, to } = direction
    from.on('data', (chunk: Buffer) => this.#data(direction, chunk))
    to.on('drain', () => from.resume())
    from.on('end', () => this.#ended(direction))
    from.on('close', () => this.#closed(direction))
    if (first.length > 0) this.#data(direction, first)
    if (from.destroyed) this.#closed(direction)
    else if (from.readableEnded) this.#ended(direction)
    else from.resume()
  }

  #data(direction: Direction, chunk: Buffer): void {
    if (this.#over) return
    let passed = chunk.length
    if (direction.close === 'not-wanted') {
      const wasClosed = direction.frames.closed
      direction.frames.pass(chunk)
      if (!wasClosed && direction === this.#toClient && direction.frames.closeCode === internalError && !this.#toUpstream.frames.closed) this.#failed()
    } else if (direction.close === 'wanted') passed = direction.frames.pass(chunk, 0, true)
    else passed = 0
    if (passed > 0 && direction.to.writable && !direction.to.write(passed === chunk.length ? chunk : chunk.subarray(0, passed))) direction.from.pause()
    if (direction.close === 'not-wanted') return
    if (direction.close === 'wanted') {
      if (!direction.frames.atBoundary) return
      if (direction.frames.closed) direction.close = 'sent'
      else this.#putClose(direction)
    }
    // What comes now is not passed on, only followed, to see the answer.
    direction.from.resume()
    direction.frames.pass(chunk, passed)
    this.#checkAnswers()
  }

  #putClose(direction: Direction): void {
    direction.close = 'sent'
    if (direction.to.writable) direction.to.write(closeFrame(this.#closeCode, direction.masked))
  }

  #checkAnswers(): void {
    if (this.#toClient.close !== 'sent' || this.#toUpstream.close !== 'sent') return
    if (this.#answered(this.#toClient) && this.#answered(this.#toUpstream)) this.#finish('graceful')
    else this.#timer ??= setTimeout(() => this.#finish('graceful'), closeAnswerMs)
  }

  #answered(direction: Direction): boolean {
    return direction.frames.closed || direction.from.readableEnded || direction.from.destroyed
  }

  #ended(direction: Direction): void {
    if (this.#over) return
    this.#firstToLeave ??= direction.from === this.#client ? 'client' : 'upstream'
    if (this.#ending && direction.close !== 'wanted') {
      this.#checkAnswers()
      return
    }
    // Whoever said FIN may still be read to. No timer of ours bounds an open WebSocket, but one that is half gone is bounded.
    direction.to.end()
    for (const socket of [this.#client, this.#upstream]) socket.setTimeout(halfOpenMs, () => this.#finish(this.#verdict()))
  }

  #closed(direction: Direction): void {
    if (this.#over) return
    this.#firstToLeave ??= direction.from === this.#client ? 'client' : 'upstream'
    const other = direction.to
    // Closed in order, and the other side may still have bytes to read: it closes by itself when it has them.
    if (direction.from.readableEnded && direction.from.writableFinished && !other.destroyed) return
    if (this.#ending && this.#toClient.close === 'sent' && this.#toUpstream.close === 'sent') this.#checkAnswers()
    else this.#finish(this.#verdict())
  }

  /** A close frame of either side makes it an end in order; without one, whoever left first has broken off. */
  #verdict(): VisitEnd {
    if (this.#toClient.frames.closed || this.#toUpstream.frames.closed) return 'complete'
    return this.#firstToLeave === 'client' ? 'client-gone' : 'lost'
  }

  #finish(how: VisitEnd): void {
    if (this.#over) return
    this.#over = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    if (how === 'cut' || how === 'lost' || how === 'client-gone') {
      this.#client.destroy()
      this.#upstream.destroy()
    } else {
      // Read on and thrown away, so that what was written last is not taken back by a reset.
      closeGently(this.#client)
      closeGently(this.#upstream)
    }
    this.#done(how)
  }
}
