import type { Assignment, HasVisitor } from '../canary/visitor.ts'
import type { ToWorker } from '../messages.ts'
import { emptyTable, routeOf, servedBy, withoutCanaries, type ReleaseId, type Route, type ServiceName, type Table, type Target } from '../table.ts'
import type { Refusal } from '../visit.ts'

export type Decision =
  | { readonly kind: 'go'; readonly target: Target; readonly viaFallback: boolean; readonly since: number; readonly number: number; readonly assigned: Assignment | null }
  /** A flip is being prepared: wait, without a limit of one's own, for its commit or its undoing. */
  | { readonly kind: 'park' }
  /** Nothing can answer now: wait for the next table, up to the hold timeout. */
  | { readonly kind: 'hold'; readonly route: Route }
  /** A person has paused the service: wait for the resume. */
  | { readonly kind: 'pause'; readonly route: Route }
  | { readonly kind: 'refuse'; readonly refusal: Refusal }

/** What a table message changed, so that the shell can wake waiters and answer the master. */
export interface Applied {
  /** Waiting requests should be decided again. */
  readonly wake: boolean
  /** Said back to the master, in this order. */
  readonly replies: readonly ({ readonly type: 'prepared'; readonly flip: number } | { readonly type: 'committed'; readonly flip: number; readonly number: number })[]
  /** Whose flip was prepared, or is over; null: nobody's. */
  readonly service: ServiceName | null
}

/** What a request meets that comes before the first agent has said anything. */
const startingRoute: Route = Object.freeze({
  service: 'default', since: 0, state: 'holding', live: null, fallback: null, reason: 'gracer is starting',
  settings: { holdTimeoutMs: 10_000, holdMax: 1_000 },
})

const nothing: Applied = Object.freeze({ wake: false, replies: [], service: null })

/**
 * The worker's side of the two-phase flip, without clocks and sockets.
 * Holds the last table it was given and which services are prepared (their new requests park).
 */
export class WorkerRoutes {
  table: Table = emptyTable
  /** Whether the table's word on a pause still holds: its limit may have passed. */
  isPaused: (service: ServiceName, until: number) => boolean = () => true
  readonly #prepared = new Map<ServiceName, number>()

  /** Whether a flip of this service is prepared here and not yet decided. */
  isPrepared(service: ServiceName): boolean {
    return this.#prepared.has(service)
  }

  get anyPrepared(): boolean {
    return this.#prepared.size > 0
  }

  apply(message: Extract<ToWorker, { type: 'table' | 'prepare' | 'commit' | 'undo' }>): Applied {
    switch (message.type) {
      case 'table':
        this.#adopt(message.table)
        return { wake: true, replies: [], service: null }
      case 'prepare':
        this.#prepared.set(message.service, message.flip)
        return { wake: false, replies: [{ type: 'prepared', flip: message.flip }], service: message.service }
      case 'commit': {
        const service = this.#release(message.flip)
        this.#adopt(message.table)
        return { wake: true, replies: [{ type: 'committed', flip: message.flip, number: this.table.number }], service }
      }
      case 'undo': {
        const service = this.#release(message.flip)
        return service === null ? nothing : { wake: true, replies: [], service }
      }
    }
  }

  /**
   * The master has vanished. What it had prepared is decided by the table it may have written:
   * a newer one in the file was committed; an unchanged one was not.
   */
  masterVanished(written: Table | null): Applied {
    this.#prepared.clear()
    if (written !== null) this.#adopt(written)
    // Nobody judges a canary from here on.
    this.table = withoutCanaries(this.table)
    return { wake: true, replies: [], service: null }
  }

  /**
   * Where a request goes that is picked now. `failed`: releases whose dial has failed for this request under this table.
   * Without an `asker` it is sent to no canary.
   */
  decide(service: ServiceName, failed: ReadonlySet<ReleaseId> | null, asker?: HasVisitor, path: string | null = null): Decision {
    const route = routeOf(this.table, service)
    if (this.#prepared.has(service)) return { kind: 'park' }
    if (route === undefined) {
      // Before the first commit nobody can say what there will be.
      if (this.table.routes.length === 0) return { kind: 'hold', route: startingRoute }
      return { kind: 'refuse', refusal: { status: 404, code: 'no-service', reason: 'No service answers to this host and path.', retryAfterSeconds: null } }
    }
    const { number } = this.table
    const { paused } = route
    if (paused !== null && paused !== undefined && (path === null || path !== route.settings.healthPath) && this.isPaused(service, paused)) return { kind: 'pause', route }
    let assigned: Assignment | null = null
    if (route.canary !== null && route.canary !== undefined && asker !== undefined) {
      const drawn = asker.visitor().assign(route.canary)
      if ('refused' in drawn) return { kind: 'refuse', refusal: { status: 400, code: 'override', reason: drawn.refused, retryAfterSeconds: null } }
      assigned = drawn
      // A draw whose dial failed is answered by stable.
      if (drawn.arm === 'canary' && failed?.has(route.canary.target.release) !== true) return { kind: 'go', target: route.canary.target, viaFallback: false, since: route.since, number, assigned }
    }
    if (route.state === 'serving' && route.live !== null) {
      if (failed === null || !failed.has(route.live.release)) return { kind: 'go', target: route.live, viaFallback: false, since: route.since, number, assigned }
      if (route.fallback !== null && !failed.has(route.fallback.release)) return { kind: 'go', target: route.fallback, viaFallback: true, since: route.since, number, assigned }
      return { kind: 'hold', route }
    }
    if (route.state === 'down') {
      return { kind: 'refuse', refusal: { status: 503, code: 'no-release', reason: route.reason ?? 'No release is live.', retryAfterSeconds: 5 } }
    }
    return { kind: 'hold', route }
  }

  /**
   * The release that had what `missed` does not have, where it is warm and the config says that it may be asked: the one
   * before the live one during its bake, and the live one for a canary.
   */
  previousOf(service: ServiceName, missed: ReleaseId): Target | null {
    const route = routeOf(this.table, service)
    if (route?.settings.previousAssets !== true || route.state !== 'serving') return null
    if (route.canary?.target.release === missed) return route.live
    return route.live?.release === missed ? route.fallback : null
  }

  /** Whether new requests may go to the release, as live, as canary or as fallback. */
  mayPick(release: ReleaseId): boolean {
    return this.table.routes.some((route) => servedBy(route).includes(release) || route.fallback?.release === release)
  }

  /** A table never goes back: an older one arrives only from a part that does not know better. */
  #adopt(table: Table): void {
    if (table.epoch < this.table.epoch || table.number < this.table.number) return
    this.table = table
  }

  #release(flip: number): ServiceName | null {
    for (const [service, prepared] of this.#prepared) {
      if (prepared !== flip) continue
      this.#prepared.delete(service)
      return service
    }
    return null
  }
}
