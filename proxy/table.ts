import { raises, type CanaryKey, type CanaryRoute } from './canary/route.ts'
import type { FrontSettings } from './front-settings.ts'
import { matchesAll, type Match } from './match.ts'
import type { ReleaseId } from './release-key.ts'

/**
 * The committed table: where each service's requests go. It is the truth about routing; the master alone commits it.
 * Plain data throughout, because it crosses process boundaries as JSON and stands in a file.
 */

export type { ReleaseId }
export type ServiceName = string

/** Where a release listens. */
export interface Target {
  readonly release: ReleaseId
  readonly host: string
  readonly port: number
  /** True once the release has passed its health check: a pick of any other is a violation of promise 3. */
  readonly healthy: boolean
}

/** What the data plane must know of a service's settings. All times in milliseconds. */
export interface RouteSettings {
  readonly holdTimeoutMs: number
  /** Requests held at most, for the service over all workers. */
  readonly holdMax: number
  /** Requests a second with which a pause begins to let go what waited. */
  readonly pace?: number
  /** Answered by the release although it is paused, for a balancer in front that asks. */
  readonly healthPath?: string | null
  /** What names a user, beside the client's address; null or absent: nothing does. */
  readonly userKey?: CanaryKey | null
  /** Whether the release before, while it is warm, is asked for a hashed asset that the live one does not have. */
  readonly previousAssets?: boolean
}

export type RouteState =
  /** Requests go to `live`. */
  | 'serving'
  /** Nothing can answer now but something will soon: requests are held, then 503. */
  | 'holding'
  /** Nothing can answer and nothing is coming: 503 at once. */
  | 'down'

export interface Route {
  readonly service: ServiceName
  /** What it answers to; absent (one service, or a table of an earlier version): everything. */
  readonly match?: Match
  /** The table number at which `live` last moved; set by the commit. Two releases never share one. */
  readonly since: number
  readonly state: RouteState
  readonly live: Target | null
  /** During bake: the last confirmed release, used at once by a worker whose dial to `live` fails. */
  readonly fallback: Target | null
  /** A release that a share of the visitors is sent to, beside `live`. */
  readonly canary?: CanaryRoute | null
  /** Why the state is not 'serving', as one sentence for the client. */
  readonly reason: string | null
  /** New requests are held until this moment of the wall clock, in milliseconds; null or absent: they are not. */
  readonly paused?: number | null
  readonly settings: RouteSettings
}

export interface Table {
  /** Each start of an agent takes a new epoch; a lower one is refused. */
  readonly epoch: number
  /** Rises by one with every commit, over all epochs. */
  readonly number: number
  readonly routes: readonly Route[]
  /** How the public port is served since a reload; absent: as workers were told at their start. */
  readonly front?: FrontSettings
}

export const emptyTable: Table = Object.freeze({ epoch: 0, number: 0, routes: [] })

export function routeOf(table: Table, service: ServiceName): Route | undefined {
  return table.routes.find((route) => route.service === service)
}

/** What an agent proposes: a route, but for the number, which only a commit can give, and its place, which withServices gives. */
export type ProposedRoute = Omit<Route, 'since' | 'match'>

/** A service as the config has it: that it is there, and what it answers to. */
export interface ServicePlace {
  readonly service: ServiceName
  readonly match: Match
  readonly settings: RouteSettings
}

/** A copy of the table with one route replaced (or added), numbered for its commit. */
export function withRoute(table: Table, epoch: number, proposed: ProposedRoute): Table {
  const number = table.number + 1
  const before = routeOf(table, proposed.service)
  const since = before !== undefined && !movesLive(before, proposed) ? before.since : number
  const others = table.routes.filter((other) => other.service !== proposed.service)
  return { ...table, epoch, number, routes: [...others, { ...proposed, match: before?.match ?? matchesAll, since }] }
}

/**
 * A copy of the table with these services and no others: one that is new is held until its agent says where it is, one
 * that is gone has no route any more. `front`: how the public port is served from now on.
 */
export function withServices(table: Table, epoch: number, places: readonly ServicePlace[], front?: FrontSettings): Table {
  const number = table.number + 1
  const routes = places.map(({ service, match, settings }): Route => {
    const before = routeOf(table, service)
    if (before !== undefined) return { ...before, match, settings }
    return { service, match, settings, since: number, state: 'holding', live: null, fallback: null, reason: 'gracer is starting' }
  })
  return { ...table, epoch, number, routes, ...(front === undefined ? {} : { front }) }
}

/**
 * Does the change move requests from one release to another, or visitors to the canary? Then it needs the prepare phase.
 * Taking them back from a canary does not: that must wait for nobody.
 */
export function movesTraffic(before: Route | undefined, after: ProposedRoute): boolean {
  if (before === undefined) return false
  return movesLive(before, after) || raises(before.canary, after.canary)
}

function movesLive(before: Route, after: ProposedRoute): boolean {
  return before.live?.release !== after.live?.release || before.live?.port !== after.live?.port
}

/** The table without its canaries: what holds where nobody judges them. */
export function withoutCanaries(table: Table): Table {
  if (table.routes.every((route) => (route.canary ?? null) === null)) return table
  return { ...table, routes: table.routes.map((route) => ({ ...route, canary: null })) }
}

/** The releases that new requests go to in the usual course of things. */
export function servedBy(route: Route): ReleaseId[] {
  return [route.live?.release, route.canary?.target.release].filter((release) => release !== undefined)
}

/**
 * The table a new master may begin with: the old one's targets may be dead and their ports taken by strangers,
 * so every target whose release is not known to run is left out, and a service without a live one is held. A canary is
 * never taken over: what it was on trial for, nobody watched meanwhile. Nor is `front`: workers are told at their start.
 */
export function withoutDeadTargets(table: Table, epoch: number, runs: (target: Target) => boolean): Table {
  const number = table.number + 1
  const routes = withoutCanaries(table).routes.map((route): Route => {
    const live = route.live !== null && runs(route.live) ? route.live : null
    const fallback = route.fallback !== null && runs(route.fallback) ? route.fallback : null
    if (live !== null) return { ...route, fallback }
    return { ...route, since: number, live: null, fallback: null, state: 'holding', reason: 'gracer is starting' }
  })
  return { epoch, number, routes }
}
