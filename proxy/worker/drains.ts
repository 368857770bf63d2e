import type { DrainDeadlines, DrainOrder } from '../messages.ts'
import type { ReleaseId } from '../table.ts'
import type { Ledger } from './ledger.ts'

/** After its grace a WebSocket has this long for the closing handshake (RFC 6455 7.1.1); then it is cut. */
const closingMs = 2_000

interface Drain {
  timers: NodeJS.Timeout[]
  order: DrainOrder
  quiet: boolean
}

export interface DrainsOptions {
  readonly ledger: Ledger
  /** Destroy the idle upstream sockets of the release, before it may be said to be quiet. */
  readonly retire: (release: ReleaseId) => void
  /** Of the close frame that WebSockets get; absent: 1001. */
  readonly closeCode?: number
  /** Assets may still be fetched from the release: they neither hold its drain up nor are ended by it. Default: none may. */
  readonly servesAssets?: (release: ReleaseId) => boolean
  readonly onQuiet: (release: ReleaseId, order: DrainOrder) => void
}

/** Ends what is still under way on releases that get no new requests, each kind at its own deadline. */
export class Drains {
  readonly #options: DrainsOptions
  readonly #drains = new Map<ReleaseId, Drain>()

  constructor(options: DrainsOptions) {
    this.#options = options
  }

  /**
   * Begins a drain. Where one is under way already (a new agent asks again) its deadlines stand, and the new order is
   * answered; after it was quiet the deadlines begin anew, for what came by the fallback meanwhile.
   */
  start(release: ReleaseId, order: DrainOrder, deadlines: DrainDeadlines): void {
    const known = this.#drains.get(release)
    const timers = known === undefined || known.quiet ? this.#arm(release, deadlines) : known.timers
    this.#drains.set(release, { timers, order, quiet: false })
    this.#options.ledger.setDraining(release, true)
    this.#options.retire(release)
    this.check(release)
  }

  /** The release is live again (a flip-back): nothing on it is ended any more. */
  cancel(release: ReleaseId): void {
    const drain = this.#drains.get(release)
    if (drain === undefined) return
    for (const timer of drain.timers) clearTimeout(timer)
    this.#drains.delete(release)
    this.#options.ledger.setDraining(release, false)
    this.#options.ledger.setQuiet(release, false)
  }

  /** Nothing of it is left: its process has ended. */
  forget(release: ReleaseId): void {
    for (const timer of this.#drains.get(release)?.timers ?? []) clearTimeout(timer)
    this.#drains.delete(release)
  }

  /** Says `quiet` once nothing is in flight. */
  check(release: ReleaseId): void {
    const drain = this.#drains.get(release)
    if (drain === undefined || drain.quiet || this.#inFlight(release) > 0) return
    drain.quiet = true
    for (const timer of drain.timers.splice(0)) clearTimeout(timer)
    this.#options.onQuiet(release, drain.order)
  }

  #inFlight(release: ReleaseId): number {
    const { ledger } = this.#options
    return ledger.inFlight(release) - (this.#servesAssets(release) ? ledger.assetsInFlight(release) : 0)
  }

  #servesAssets(release: ReleaseId): boolean {
    return this.#options.servesAssets?.(release) === true
  }

  #arm(release: ReleaseId, deadlines: DrainDeadlines): NodeJS.Timeout[] {
    const { ledger } = this.#options
    const timers: NodeJS.Timeout[] = []
    const last = Math.max(deadlines.timeoutMs, deadlines.streamsMs, deadlines.upgradedMs + deadlines.spreadMs) + closingMs
    timers.push(
      setTimeout(() => {
        for (const visit of ledger.visits(release)) if (visit.kind === 'stream') visit.graceOver()
      }, deadlines.streamsMs),
      setTimeout(() => {
        const upgraded = ledger.visits(release).filter((visit) => visit.kind === 'upgraded')
        // Spread, so that not all clients reconnect in the same moment.
        for (const [index, visit] of upgraded.entries()) {
          timers.push(setTimeout(() => visit.graceOver(this.#options.closeCode), (deadlines.spreadMs * index) / upgraded.length))
        }
      }, deadlines.upgradedMs),
      setTimeout(() => {
        for (const visit of ledger.visits(release)) if (visit.kind === 'request' && !(visit.isAsset && this.#servesAssets(release))) visit.cut()
      }, deadlines.timeoutMs),
      setTimeout(() => {
        for (const visit of ledger.visits(release)) if (!(visit.isAsset && this.#servesAssets(release))) visit.cut()
      }, last),
    )
    return timers
  }
}
