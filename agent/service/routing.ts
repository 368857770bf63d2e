import type { ServiceConfig } from '../config/types.ts'
import type { ServiceLink, ServiceRoute } from '../service-link.ts'
import type { SwapEvent } from '../swap/events.ts'
import { findRelease, type RouteIntent, type ServiceState } from '../swap/state.ts'
import type { CanaryWatch } from './canary-watch.ts'
import { routeSettings } from './route-settings.ts'
import type { Teller } from './teller.ts'

export interface RoutingOptions {
  readonly link: ServiceLink
  readonly state: () => Readonly<ServiceState>
  readonly lastConfig: () => ServiceConfig
  readonly canary: CanaryWatch
  readonly teller: Teller
  readonly dispatch: (event: SwapEvent) => void
}

/** Asks the master for the route that the reducer wants, in the words of the table. */
export class Routing {
  readonly #options: RoutingOptions

  constructor(options: RoutingOptions) {
    this.#options = options
  }

  commit(intent: RouteIntent): void {
    const { link, teller, dispatch } = this.#options
    link.route(this.#proposed(intent), {
      committed: (number) => {
        teller.flipped(intent.live)
        teller.routed(intent)
        dispatch({ type: 'committed', number })
      },
      refused: (message) => dispatch({ type: 'refused', message }),
      done: (longestParkMs) => teller.parked(intent.canary?.release ?? intent.live, longestParkMs),
    })
  }

  #proposed(intent: RouteIntent): ServiceRoute {
    const { canary } = intent
    const target = canary === null || canary === undefined ? null : this.#target(canary.release, canary.port)
    return {
      ...(target === null || canary === null || canary === undefined ? {} : { canary: { ...this.#options.canary.route(canary), target } }),
      state: intent.state,
      live: this.#target(intent.live, intent.port),
      fallback: this.#target(intent.fallback, findRelease(this.#options.state(), intent.fallback)?.process?.port ?? null),
      reason: intent.reason,
      paused: intent.paused ?? null,
      settings: routeSettings(this.#options.lastConfig()),
    }
  }

  #target(release: string | null, port: number | null): ServiceRoute['live'] {
    if (release === null || port === null) return null
    const record = findRelease(this.#options.state(), release)
    return { release, host: '127.0.0.1', port, healthy: record?.process?.healthy ?? record?.everConfirmed ?? false }
  }
}
