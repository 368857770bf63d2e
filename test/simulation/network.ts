import type { Clock } from './clock.ts'
import type { SimProcess } from './process.ts'
import type { Random } from './random.ts'

/** Mostly quick, sometimes slow, seldom very slow: the slow ones are where the orders of events change. */
export function latency(random: Random): number {
  const kind = random.next()
  if (kind < 0.85) return 0.05 + random.next() * 1.5
  if (kind < 0.97) return random.next() * 30
  return random.next() * 300
}

export interface ChannelEnds<M> {
  readonly from: SimProcess
  readonly to: SimProcess
  readonly deliver: (message: M) => void
  /** The sender is gone and everything that was still readable has been read. */
  readonly broken: () => void
}

/**
 * One direction of a pipe: first in, first out, with random delays. What a dead process had written may still be
 * read, up to a point drawn at its death; what is on its way to a dead process is lost.
 */
export class Channel<M> {
  readonly #clock: Clock
  readonly #random: Random
  readonly #ends: ChannelEnds<M>
  #last = 0
  #cutAt = Infinity

  constructor(clock: Clock, random: Random, ends: ChannelEnds<M>) {
    this.#clock = clock
    this.#random = random
    this.#ends = ends
    ends.from.onDeath(() => this.#senderDied())
  }

  send(message: M): void {
    const { from, to, deliver } = this.#ends
    if (!from.alive || !to.alive || this.#cutAt !== Infinity) return
    const time = Math.max(this.#last, this.#clock.now + latency(this.#random))
    this.#last = time
    this.#clock.at(time, to, () => {
      if (time <= this.#cutAt) deliver(message)
    })
  }

  /** The sender counts as dead for the receiver from now on. */
  #senderDied(): void {
    const { now } = this.#clock
    this.#cutAt = this.#random.chance(0.6) ? Math.max(this.#last, now) : this.#random.between(now, Math.max(this.#last, now))
    this.#clock.at(Math.max(this.#cutAt, now) + latency(this.#random), this.#ends.to, this.#ends.broken)
  }
}
