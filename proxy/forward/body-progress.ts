import type { FrontLimits } from '../front-settings.ts'

/** A rate is judged over this at a time, or over `bodyStallMs` where that is less; milliseconds. */
const rateWindowMs = 30_000

/** How the body of one request comes in. Time in which nobody waits for the client does not count. */
export class BodyProgress {
  #lastAt: number
  #last: number
  #windowAt: number
  #window: number

  /** `bytes`: what has come over the connection so far. */
  constructor(now: number, bytes: number) {
    this.#lastAt = this.#windowAt = now
    this.#last = this.#window = bytes
  }

  /** The release does not take what is there: the client cannot send. */
  heldUp(now: number, bytes: number): void {
    this.#lastAt = this.#windowAt = now
    this.#last = this.#window = bytes
  }

  /** It is waited for: has it stalled, or does it bring too little? */
  isTooSlow(now: number, bytes: number, { bodyStallMs, bodyRate }: Pick<FrontLimits, 'bodyStallMs' | 'bodyRate'>): boolean {
    if (bytes > this.#last) {
      this.#last = bytes
      this.#lastAt = now
    } else if (bodyStallMs !== null && now - this.#lastAt >= bodyStallMs) return true
    if (bodyRate === null) return false
    const passed = now - this.#windowAt
    if (passed < Math.min(rateWindowMs, bodyStallMs ?? rateWindowMs)) return false
    const brought = bytes - this.#window
    this.#windowAt = now
    this.#window = bytes
    return brought < (bodyRate * passed) / 1_000
  }
}
