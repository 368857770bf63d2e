import { setTimeout as sleep } from 'node:timers/promises'
import { Fault, type Failure } from './failure.ts'
import type { Random } from './bytes.ts'
import type { Kind } from './kinds.ts'
import type { Ledger, OpenEntry } from './ledger.ts'
import { ReplyCheck, type Expected } from './reply-check.ts'
import { Wire, type Address } from './wire.ts'

export interface ContextOptions {
  readonly address: Address
  readonly plainPath: string
  /** Between the starts of two requests of one connection. */
  readonly intervalMs: number
  readonly connectTimeoutMs: number
  readonly requestTimeoutMs: number
  readonly maxRequests: number
  readonly random: Random
  readonly ledger: Ledger
  /** No new request from here on. */
  readonly stopping: AbortSignal
  /** The end of everything: waits are over at once. */
  readonly cut: AbortSignal
  readonly onExhausted: () => void
}

export interface Counters {
  opened: number
  openNow: number
  peakOpen: number
  idleClosed: number
  idleReset: number
}

/** What all connections of a load share: the address, the ledger, the pace and the end. */
export class Context {
  readonly options: ContextOptions
  readonly counters: Counters = { opened: 0, openNow: 0, peakOpen: 0, idleClosed: 0, idleReset: 0 }
  readonly wires = new Set<Wire>()
  #begun = 0

  constructor(options: ContextOptions) {
    this.options = options
  }

  begin(kind: OpenEntry['kind']): OpenEntry {
    return this.options.ledger.begin(kind)
  }

  /** Takes one request from the budget. False when there is to be no more. */
  take(): boolean {
    if (this.options.stopping.aborted) return false
    if (this.#begun++ < this.options.maxRequests) return true
    this.options.onExhausted()
    return false
  }

  /** Waits; cut short by the stop, or by the cut alone for what is under way. */
  async pause(ms: number, until: 'stopping' | 'cut' = 'cut'): Promise<void> {
    if (ms <= 0) return
    try {
      await sleep(ms, undefined, { signal: this.options[until] })
    } catch {
      // Aborted: the caller looks at the signal itself.
    }
  }

  /** Dials for a request. When that fails the entry says why, and null is returned. */
  async dial(entry: OpenEntry, kind: Kind): Promise<Wire | null> {
    try {
      const wire: Wire = await Wire.open(this.options.address, {
        connectTimeoutMs: this.options.connectTimeoutMs,
        onIdle: (event) => {
          if (event === 'closed') this.counters.idleClosed++
          else if (event === 'reset') this.counters.idleReset++
          else this.begin(kind).failed(event)
          this.forget(wire)
        },
      })
      this.wires.add(wire)
      const counters = this.counters
      counters.opened++
      counters.peakOpen = Math.max(counters.peakOpen, ++counters.openNow)
      return wire
    } catch (error) {
      if (!(error instanceof Fault)) throw error
      entry.failed(error.failure)
      return null
    }
  }

  /** Closes a wire and counts it no longer. */
  forget(wire: Wire, why?: Failure): void {
    if (this.wires.delete(wire)) this.counters.openNow--
    wire.close(why)
  }

  /** Resolves when the reply is in and judged, or the time limit has passed. Write the request right after calling. */
  reply(wire: Wire, entry: OpenEntry, expected: Expected): Promise<void> {
    const limit = this.options.requestTimeoutMs
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.forget(wire, { code: 'timeout', detail: `no complete reply after ${limit} ms` })
      }, limit)
      wire.owe(new ReplyCheck(entry, expected, () => {
        clearTimeout(timer)
        resolve()
      }))
    })
  }
}

/** The connection of a kind that keeps one: dials when there is none to use. */
export class Line {
  readonly #context: Context
  readonly #kind: Kind
  #wire: Wire | null = null

  constructor(context: Context, kind: Kind) {
    this.#context = context
    this.#kind = kind
  }

  async get(entry: OpenEntry): Promise<Wire | null> {
    if (this.#wire?.usable) return this.#wire
    this.drop()
    this.#wire = await this.#context.dial(entry, this.#kind)
    return this.#wire
  }

  drop(): void {
    if (this.#wire !== null) this.#context.forget(this.#wire)
    this.#wire = null
  }
}
