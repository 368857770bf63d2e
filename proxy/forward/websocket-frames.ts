import { randomFillSync } from 'node:crypto'

const closeOpcode = 8

/**
 * Follows the frames of one direction of a WebSocket (RFC 6455 5.2) without looking into them: knows between which bytes
 * one ends and the next begins. It takes no offence at anything: judging frames is the peers' business.
 */
export class FrameTracker {
  #headBytes = 0
  #headLength = 2
  #lengthBytes = 0
  #opcode = 0
  #payload = 0
  #insidePayload = false
  #isMasked = false
  /** Of the close frame: how many bytes of its code have been seen. */
  #codeBytes = 0
  #code = 0
  /** A close frame has gone by, whole. */
  closed = false

  /** Of a close frame from a server, which is not masked; null: there was none, or it names no code. */
  get closeCode(): number | null {
    return this.closed && this.#codeBytes === 2 ? this.#code : null
  }

  /** Is the next byte the first of a frame? */
  get atBoundary(): boolean {
    return this.#headBytes === 0 && !this.#insidePayload
  }

  /**
   * Follows `chunk` from `from` on and returns how far it came: to the end, or with `stop` to the first boundary after
   * at least one byte.
   */
  pass(chunk: Buffer, from = 0, stop = false): number {
    let at = from
    while (at < chunk.length) {
      if (this.#insidePayload) {
        const step = Math.min(this.#payload, chunk.length - at)
        if (this.#opcode === closeOpcode && !this.#isMasked) this.#readCode(chunk.subarray(at, at + step))
        at += step
        this.#payload -= step
        if (this.#payload > 0) break
        this.#endFrame()
      } else {
        this.#head(chunk[at] as number)
        at += 1
      }
      if (stop && this.atBoundary) break
    }
    return at
  }

  #head(byte: number): void {
    this.#headBytes += 1
    if (this.#headBytes === 1) {
      this.#opcode = byte & 0x0f
    } else if (this.#headBytes === 2) {
      const length = byte & 0x7f
      this.#isMasked = (byte & 0x80) !== 0
      this.#lengthBytes = length === 126 ? 2 : length === 127 ? 8 : 0
      this.#payload = this.#lengthBytes === 0 ? length : 0
      this.#headLength = 2 + this.#lengthBytes + ((byte & 0x80) === 0 ? 0 : 4)
    } else if (this.#headBytes <= 2 + this.#lengthBytes) {
      this.#payload = this.#payload * 256 + byte
    }
    if (this.#headBytes < 2 || this.#headBytes < this.#headLength) return
    this.#headBytes = 0
    this.#headLength = 2
    if (this.#payload > 0) this.#insidePayload = true
    else this.#endFrame()
  }

  #readCode(payload: Buffer): void {
    for (const byte of payload.subarray(0, 2 - this.#codeBytes)) {
      this.#code = this.#code * 256 + byte
      this.#codeBytes += 1
    }
  }

  #endFrame(): void {
    this.#insidePayload = false
    if (this.#opcode === closeOpcode) this.closed = true
  }
}

/** A close frame with `code` and no reason. Towards a server it must be masked (RFC 6455 5.3), towards a client it must not. */
export function closeFrame(code: number, masked: boolean): Buffer {
  if (!masked) return Buffer.from([0x80 | closeOpcode, 2, code >> 8, code & 0xff])
  const key = randomFillSync(Buffer.alloc(4))
  return Buffer.from([0x80 | closeOpcode, 0x80 | 2, ...key, (code >> 8) ^ (key[0] as number), (code & 0xff) ^ (key[1] as number)])
}
