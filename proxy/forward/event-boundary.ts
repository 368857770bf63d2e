const lineFeed = 0x0a
const carriageReturn = 0x0d

/**
 * Knows whether the bytes of an event stream that went by ended with a blank line, which is where an event ends
 * (WHATWG HTML 9.2.6: lines end with LF, CR or CR LF).
 */
export class EventBoundary {
  // Line ends in a row at the end of what went by. Nothing at all is a boundary as well.
  #ends = 2
  #afterCarriageReturn = false

  get reached(): boolean {
    return this.#ends >= 2
  }

  /** Takes note of bytes that are forwarded. Looks at the last four only: a blank line with its line end is no longer. */
  pass(chunk: Buffer): void {
    let from = 0
    if (chunk.length >= 4) {
      from = chunk.length - 4
      this.#ends = 0
      this.#afterCarriageReturn = false
    }
    for (let at = from; at < chunk.length; at += 1) this.#step(chunk[at] as number)
  }

  /** How many bytes of `chunk` lead up to the next boundary; all of them, where there is none in it (see `reached`). */
  passToBoundary(chunk: Buffer): number {
    for (let at = 0; at < chunk.length; at += 1) {
      this.#step(chunk[at] as number)
      if (this.#ends < 2) continue
      // CR may be the first half of CR LF.
      return chunk[at] === carriageReturn && chunk[at + 1] === lineFeed ? at + 2 : at + 1
    }
    return chunk.length
  }

  #step(byte: number): void {
    if (byte === lineFeed) {
      if (!this.#afterCarriageReturn) this.#ends += 1
      this.#afterCarriageReturn = false
    } else if (byte === carriageReturn) {
      this.#ends += 1
      this.#afterCarriageReturn = true
    } else {
      this.#ends = 0
      this.#afterCarriageReturn = false
    }
  }
}
