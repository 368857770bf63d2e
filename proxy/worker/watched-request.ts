import type { VisitEnd } from '../visit.ts'

export interface WatchedOptions {
  /** Its visitor's first request of the phase: told however it ends. */
  readonly isFirst: boolean
  readonly begunMs: number
  /** A reply whose head comes later is slow; null: its time is not judged. */
  readonly slowMs: number | null
  readonly nowMs: () => number
  readonly tell: (bad: readonly string[], good: readonly string[]) => void
  /** It is picked again: the next pick is the request that counts. */
  readonly again: () => void
  /** Its time is known, or will not be. */
  readonly timed: (watched: WatchedRequest) => void
}

/** What one request of a canary, on either arm, came to: an error, or how long its reply took. */
export class WatchedRequest {
  readonly #options: WatchedOptions
  #awaited: boolean
  #isTold: boolean
  #isBad = false

  constructor(options: WatchedOptions) {
    this.#options = options
    this.#awaited = options.slowMs !== null
    this.#isTold = !options.isFirst
  }

  /** The head of its reply is there, and whether that is an error. */
  answered(failed: boolean): void {
    const time = this.#time()
    this.#isBad ||= failed
    this.#tell([...(failed ? ['errors'] : []), ...(time === 'slow' ? ['latency'] : [])], time === 'quick' ? ['latency'] : [])
  }

  /** It turns out to be one later. */
  wentBad(): void {
    if (this.#isBad) return
    this.#isBad = true
    this.#tell(['errors'], [])
  }

  /** A client that left and a deadline of gracer's own say nothing of the release, but that it had not answered so far. */
  ended(how: VisitEnd): void {
    if ((how === 'not-sent' || how === 'retried') && !this.#isBad) {
      this.#untime()
      this.#options.again()
      return
    }
    const slow = this.#isLate() && this.#time() === 'slow'
    this.#untime()
    this.#tell([...(how === 'lost' && !this.#isBad ? ['errors'] : []), ...(slow ? ['latency'] : [])], [])
  }

  /** For a reply that never comes. */
  look(): void {
    if (this.#isLate() && this.#time() === 'slow') this.#tell(['latency'], [])
  }

  #tell(bad: readonly string[], good: readonly string[]): void {
    if (this.#isTold && bad.length === 0 && good.length === 0) return
    this.#isTold = true
    this.#options.tell(bad, good)
  }

  #isLate(): boolean {
    const { slowMs, begunMs, nowMs } = this.#options
    return this.#awaited && slowMs !== null && nowMs() - begunMs > slowMs
  }

  #time(): 'slow' | 'quick' | null {
    if (!this.#awaited) return null
    const late = this.#isLate()
    this.#untime()
    return late ? 'slow' : 'quick'
  }

  #untime(): void {
    if (!this.#awaited) return
    this.#awaited = false
    this.#options.timed(this)
  }
}
