import type { ServiceName, Table } from '../table.ts'

/** How often waiting requests are let go after a pause. */
const tickMs = 20
/** The pace doubles about every 300 ms, so that any queue comes to its end although new requests join it. */
const growth = 1.05
export const defaultPace = 100

interface Ramp {
  /** Requests a tick; may be a fraction. */
  allowance: number
  credit: number
  readonly timer: NodeJS.Timeout
}

export interface PausesOptions {
  readonly workers: number
  /** Lets up to `most` of the service's requests go that a pause made wait, in their order; returns how many are left that may go. */
  readonly letGo: (service: ServiceName, most: number) => number
  /** A pause has ended by its own limit. */
  readonly over: (service: ServiceName) => void
}

/**
 * The worker's part in pauses: each ends at its limit even where nobody is left to say so, and what waited goes on at a
 * growing pace and in its order. A request that comes meanwhile stands behind those.
 */
export class Pauses {
  readonly #options: PausesOptions
  readonly #limits = new Map<ServiceName, { readonly until: number; readonly timer: NodeJS.Timeout | null }>()
  readonly #ramps = new Map<ServiceName, Ramp>()

  constructor(options: PausesOptions) {
    this.#options = options
  }

  /** A table came: limits that are new are watched, those of pauses that ended are not any more. */
  take(table: Table): void {
    for (const { service, paused } of table.routes) {
      const known = this.#limits.get(service)
      if (known?.until === paused) continue
      if (known?.timer != null) clearTimeout(known.timer)
      this.#limits.delete(service)
      if (paused === null || paused === undefined) continue
      // By the wall clock once, to be the same for a worker that starts later; by a timer from there on.
      const timer = setTimeout(() => {
        this.#limits.set(service, { until: paused, timer: null })
        this.#options.over(service)
      }, Math.max(0, paused - Date.now()))
      this.#limits.set(service, { until: paused, timer })
    }
  }

  /** Whether the table's word that the service is paused still holds. */
  holds(service: ServiceName, until: number): boolean {
    const known = this.#limits.get(service)
    return known === undefined ? until > Date.now() : known.timer !== null
  }

  isLettingGo(service: ServiceName): boolean {
    return this.#ramps.has(service)
  }

  /** Begins to let go, at `pace` requests a second over all workers. */
  begin(service: ServiceName, pace: number): void {
    if (this.#ramps.has(service)) return
    const ramp: Ramp = { allowance: (pace * tickMs) / 1_000 / this.#options.workers, credit: 0, timer: setInterval(() => this.#tick(service, ramp), tickMs) }
    this.#ramps.set(service, ramp)
  }

  #tick(service: ServiceName, ramp: Ramp): void {
    ramp.credit += ramp.allowance
    ramp.allowance *= growth
    const most = Math.floor(ramp.credit)
    if (most === 0) return
    ramp.credit -= most
    if (this.#options.letGo(service, most) > 0) return
    clearInterval(ramp.timer)
    this.#ramps.delete(service)
  }
}
