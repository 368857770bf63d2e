import type { Context } from './context.ts'

/**
 * The beat of one connection: a turn every `intervalMs`, a fifth more or less, the first somewhere in the first
 * interval, so that the connections do not march in step. One that comes late goes at once and does not catch up:
 * a slow server is not punished with a burst.
 */
export class Pace {
  readonly #context: Context
  #nextAt: number

  constructor(context: Context) {
    this.#context = context
    const first = Math.min(Math.round(context.options.intervalMs), 1000)
    this.#nextAt = performance.now() + context.options.random.between(0, first)
  }

  /** Waits for the next turn and takes a request from the budget. False when the load is over. */
  async turn(): Promise<boolean> {
    await this.#context.pause(this.#nextAt - performance.now(), 'stopping')
    const { intervalMs, random } = this.#context.options
    this.#nextAt = Math.max(performance.now(), this.#nextAt) + intervalMs * (random.between(80, 120) / 100)
    return this.#context.take()
  }
}
