import type { Target } from '../../proxy/table.ts'
import type { PendingPick, Picker, PickRequest, Refusal } from '../../proxy/visit.ts'
import { nowUs, type Ledger } from '../../proxy/worker/ledger.ts'

/** Where a request goes that begins now. */
export type DevDecision =
  | { readonly kind: 'go'; readonly target: Target; readonly number: number }
  | { readonly kind: 'wait' }
  | { readonly kind: 'refuse'; readonly refusal: Refusal }

/** How long a request may wait for the word that an app which takes no connection has ended. */
const deadAppMs = 2_000
const done: PendingPick = Object.freeze({ cancel: () => {} })

interface Waiter {
  readonly request: PickRequest
  readonly sinceMs: number
  timer: NodeJS.Timeout | null
}

export interface WaitFigures {
  readonly held: number
  readonly longestMs: number
}

/** Chooses and counts in one step; keeps requests, in their order, while there is no code that may answer them. */
export class DevPicker implements Picker {
  readonly #decide: () => DevDecision
  readonly #ledger: Ledger
  readonly #max: number
  readonly #waiters = new Set<Waiter>()
  #held = 0
  #longestMs = 0

  /** `max`: so many requests wait at most. */
  constructor(decide: () => DevDecision, ledger: Ledger, max: number) {
    this.#decide = decide
    this.#ledger = ledger
    this.#max = max
  }

  get waiting(): number {
    return this.#waiters.size
  }

  pick(request: PickRequest): PendingPick {
    const decision = this.#decide()
    if (decision.kind === 'go' && request.failed?.has(decision.target.release) !== true) {
      this.#go(request, decision)
      return done
    }
    if (decision.kind === 'refuse') {
      request.refused(decision.refusal)
      return done
    }
    if (this.#waiters.size >= this.#max) {
      request.refused({ status: 503, code: 'hold-full', reason: `${this.#max} requests wait for the new code already (hold.max).`, retryAfterSeconds: 1 })
      return done
    }
    const waiter: Waiter = { request, sinceMs: performance.now(), timer: null }
    this.#waiters.add(waiter)
    // It refused the connection: it has ended, or it ends its listening. Its exit wakes us.
    if (decision.kind === 'go') waiter.timer = setTimeout(() => this.#giveUp(waiter), deadAppMs)
    return { cancel: () => this.#remove(waiter) }
  }

  /** Decides all that wait again, in order. */
  wake(): void {
    for (const waiter of [...this.#waiters]) {
      if (!this.#waiters.has(waiter)) continue
      const decision = this.#decide()
      if (decision.kind === 'wait') return
      if (decision.kind === 'go' && waiter.timer !== null && waiter.request.failed?.has(decision.target.release) === true) continue
      this.#remove(waiter)
      this.#held += 1
      this.#longestMs = Math.max(this.#longestMs, performance.now() - waiter.sinceMs)
      if (decision.kind === 'go') this.#go(waiter.request, decision)
      else waiter.request.refused(decision.refusal)
    }
  }

  /** Since the last call. */
  takeFigures(): WaitFigures {
    const figures = { held: this.#held, longestMs: this.#longestMs }
    this.#held = 0
    this.#longestMs = 0
    return figures
  }

  #go(request: PickRequest, decision: Extract<DevDecision, { kind: 'go' }>): void {
    request.picked(this.#ledger.open(request.service, decision.target, { viaFallback: false, since: decision.number, number: decision.number }, nowUs()))
  }

  #giveUp(waiter: Waiter): void {
    if (!this.#waiters.has(waiter)) return
    waiter.timer = null
    // New code is on its way by now.
    if (this.#decide().kind === 'wait') return
    this.#remove(waiter)
    waiter.request.refused({ status: 503, code: 'no-release', reason: 'The app runs but takes no connection. Its output is in the terminal.', retryAfterSeconds: 1 })
  }

  #remove(waiter: Waiter): void {
    if (waiter.timer !== null) clearTimeout(waiter.timer)
    this.#waiters.delete(waiter)
  }
}
