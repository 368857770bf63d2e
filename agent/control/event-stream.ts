import type { ServerResponse } from 'node:http'
import type { GracerError } from '../../inherit/gracer-error.ts'
import { errorBody } from './exchange.ts'
import type { ControlEvent } from './handlers.ts'

/** A reader that has let so much pile up has stalled and is dropped: the agent never waits for one. */
const mostBuffered = 1024 * 1024

/** An answer of one JSON document a line (NDJSON), for as long as the reader keeps up. */
export class EventStream {
  readonly #response: ServerResponse
  #opened = false

  constructor(response: ServerResponse) {
    this.#response = response
  }

  get opened(): boolean {
    return this.#opened
  }

  /** Sends the head; from now on an error can only be a line. */
  open(): void {
    if (this.#opened) return
    this.#opened = true
    if (this.#gone()) return
    this.#response.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' })
    this.#response.flushHeaders()
  }

  send(event: ControlEvent): void {
    this.#line(event)
  }

  /** The last line of an order that failed in mid-stream. */
  fail(error: GracerError): void {
    this.#line(errorBody(error))
    this.end()
  }

  end(): void {
    if (!this.#gone()) this.#response.end()
  }

  onGone(gone: () => void): void {
    if (this.#response.closed) gone()
    else this.#response.once('close', gone)
  }

  #line(value: unknown): void {
    if (this.#gone()) return
    this.#response.write(`${JSON.stringify(value)}\n`)
    if (this.#response.writableLength > mostBuffered) this.#response.destroy()
  }

  #gone(): boolean {
    return this.#response.destroyed || this.#response.writableEnded
  }
}
