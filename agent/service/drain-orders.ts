import type { DrainDeadlines, DrainOrder } from '../../proxy/messages.ts'
import type { ServiceConfig } from '../config/types.ts'
import type { ServiceLink } from '../service-link.ts'
import type { ServiceState } from '../swap/state.ts'

export interface DrainOrdersOptions {
  readonly link: ServiceLink
  readonly state: () => Readonly<ServiceState>
  /** As the release was taken in with. */
  readonly config: (release: string) => ServiceConfig
}

/** The newest order to drain each release: the word of an earlier one counts for nothing. */
export class DrainOrders {
  readonly #options: DrainOrdersOptions
  readonly #orders = new Map<string, DrainOrder>()

  constructor(options: DrainOrdersOptions) {
    this.#options = options
  }

  give(release: string): void {
    this.#orders.set(release, this.#options.link.drain(release, this.#deadlines(release)))
  }

  isNewest(release: string, order: DrainOrder): boolean {
    return this.#orders.get(release) === order
  }

  exited(release: string): void {
    this.#orders.delete(release)
  }

  #deadlines(release: string): DrainDeadlines {
    const { timeoutMs, streamsMs, upgradedMs, spreadMs } = this.#options.config(release).drain
    // Everybody else waits until it has ended: what would last is ended at once, and its clients come again.
    if (this.#options.state().swap?.step === 'emptying') return { timeoutMs, streamsMs: 0, upgradedMs: 0, spreadMs: 0 }
    return { timeoutMs, streamsMs, upgradedMs, spreadMs }
  }
}
