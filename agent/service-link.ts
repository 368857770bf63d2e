import type { CanaryRoute } from '../proxy/canary/route.ts'
import type { ReleaseFigures } from '../proxy/figures.ts'
import type { DrainDeadlines, DrainOrder, HookOrder, HookResult, SpawnOrder, ToAgent } from '../proxy/messages.ts'
import { numberOfKey, releaseKey, serviceOfKey, type ReleaseId } from '../proxy/release-key.ts'
import { routeOf, type ProposedRoute, type Target } from '../proxy/table.ts'
import type { Figures, MasterLink, RouteAnswer } from './master-link.ts'
import { nothingLive, type RouteIntent } from './swap/state.ts'

type ByNumber<M> = M extends { readonly release: ReleaseId } ? Omit<M, 'release'> & { readonly release: string } : never

/** What the master says of a release of this service, by its number. */
export type ServiceMessage = ByNumber<ToAgent>

type TargetByNumber = ByNumber<Target>

/** A route as its service knows it. */
export type ServiceRoute = Omit<ProposedRoute, 'service' | 'live' | 'fallback' | 'canary'> & {
  readonly live: TargetByNumber | null
  readonly fallback: TargetByNumber | null
  readonly canary?: Omit<CanaryRoute, 'target'> & { readonly target: TargetByNumber }
}

export type ServiceSpawn = Omit<SpawnOrder, 'service' | 'release'> & { readonly release: string }

/** One service's end of the channel to the master. On this side releases go by their numbers, on the master's by key. */
export class ServiceLink {
  readonly service: string
  readonly #link: MasterLink
  readonly #begins: 'with-agent' | 'later'

  /** `begins` later: the service was added to an agent that ran; nothing of it runs. */
  constructor(link: MasterLink, service: string, begins: 'with-agent' | 'later' = 'with-agent') {
    this.#link = link
    this.service = service
    this.#begins = begins
  }

  get masterIsNew(): boolean {
    return this.#begins === 'with-agent' && this.#link.hello.masterIsNew
  }

  /** The number of the table that the master had when this service began. */
  get tableNumber(): number {
    return this.#link.table.number
  }

  /** What that table says of this service. */
  committed(): RouteIntent {
    const route = routeOf(this.#link.table, this.service)
    if (route === undefined) return nothingLive
    const number = (target: Target | null): string | null => (target === null ? null : numberOfKey(target.release))
    const { canary } = route
    return {
      state: route.state, live: number(route.live), port: route.live?.port ?? null, fallback: number(route.fallback), reason: route.reason, paused: route.paused ?? null,
      ...(canary === null || canary === undefined ? {} : { canary: { release: numberOfKey(canary.target.release), port: canary.target.port, share: canary.share, phase: canary.phase } }),
    }
  }

  /** The backends of this service that ran when this agent began, by release. */
  running(): Map<string, { readonly pid: number; readonly port: number }> {
    if (this.#begins === 'later') return new Map()
    const own = this.#link.hello.backends.filter((one) => one.service === this.service)
    return new Map(own.map((one) => [numberOfKey(one.release), { pid: one.pid, port: one.port }]))
  }

  route(route: ServiceRoute, answer: RouteAnswer): void {
    const keyed = (target: TargetByNumber | null): Target | null => (target === null ? null : { ...target, release: this.#key(target.release) })
    const { canary, ...rest } = route
    const stable: ProposedRoute = { ...rest, service: this.service, live: keyed(route.live), fallback: keyed(route.fallback) }
    if (canary === undefined) return this.#link.route(stable, null, answer)
    const target = keyed(canary.target) as Target
    // Should this agent die, nobody judges the canary: the master takes it out by itself.
    this.#link.route({ ...stable, canary: { ...canary, target } }, stable, answer)
  }

  /** A canary gets no new request from now on, before anything is written down. The route that follows says the same. */
  goSafe(): void {
    this.#link.goSafe(this.service)
  }

  /** The master tells a backend its service and number in GRACER_SERVICE and GRACER_RELEASE. */
  spawn(order: ServiceSpawn): void {
    this.#link.spawn({ ...order, service: this.service, release: this.#key(order.release) })
  }

  signal(release: string, signal: 'SIGTERM' | 'SIGKILL'): void {
    this.#link.signal(this.#key(release), signal)
  }

  runHook(order: Omit<HookOrder, 'service' | 'release'> & { readonly release: string }): void {
    this.#link.say({ type: 'run-hook', epoch: this.#link.hello.epoch, order: { ...order, service: this.service, release: this.#key(order.release) } })
  }

  endHook(run: number): void {
    this.#link.say({ type: 'end-hook', epoch: this.#link.hello.epoch, service: this.service, run })
  }

  /** The hooks of this service that the master was ordered before this agent began, by run; null: it runs. */
  hooks(): Map<number, HookResult | null> {
    if (this.#begins === 'later') return new Map()
    return new Map(this.#link.hello.hooks.filter((one) => one.service === this.service).map((one) => [one.run, one.result]))
  }

  /** Returns the order's name, which the master's `quiet` carries. */
  drain(release: string, deadlines: DrainDeadlines): DrainOrder {
    return this.#link.drain(this.#key(release), deadlines)
  }

  /** Of all services, as of now; null where the master does not answer. */
  figures(): Promise<Figures | null> {
    return this.#link.figures()
  }

  #key(release: string): ReleaseId {
    return releaseKey(this.service, release)
  }
}

/** For which service a word of the master's is, and that word with the number in it; null: it is about no release. */
export function forService(message: ToAgent): { readonly service: string; readonly message: ServiceMessage } | null {
  if (!('release' in message)) return null
  return { service: serviceOfKey(message.release), message: { ...message, release: numberOfKey(message.release) } }
}

/** What the workers have counted of one release of a service. */
export function releaseFigures(figures: Figures | null, service: string, release: string): ReleaseFigures | undefined {
  const key = releaseKey(service, release)
  return figures?.services.find((one) => one.service === service)?.releases.find((one) => one.release === key)
}
