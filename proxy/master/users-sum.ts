import { serviceOfKey, type ReleaseId } from '../release-key.ts'
import type { ServiceName, Table } from '../table.ts'
import { memoryMs, RecentUsers } from '../users/recent-users.ts'
import type { ServiceUsers, UserNews } from '../users/user-news.ts'
import { countAffected, note, UserSample, type Affected } from '../users/user-sample.ts'

/** Of a service: the live one, and those that it may be compared with. Those whose process has ended are forgotten anyway. */
const mostReleases = 4

interface Earlier {
  readonly users: RecentUsers
  /** When it was live last; null: it is. */
  endedMs: number | null
  /** Counted, and nothing new since. */
  last: Affected | null
}

interface OfService {
  live: { readonly release: ReleaseId; readonly since: number; readonly users: UserSample<boolean> } | null
  readonly recent: Map<ReleaseId, Earlier>
}

/**
 * Adds up what the workers tell of users. It is kept here because the master outlives workers and agent: an agent that
 * begins in the middle of a bake goes on with what is known, and a user of two workers is one.
 */
export class UsersSum {
  readonly #nowMs: () => number
  readonly #services = new Map<ServiceName, OfService>()

  /** @param nowMs milliseconds of the monotonic clock that all processes of the machine share. */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** The table is this from now on. */
  follow(table: Table): void {
    for (const name of this.#services.keys()) if (!table.routes.some((route) => route.service === name)) this.#services.delete(name)
    for (const { service, live, since } of table.routes) {
      let of = this.#services.get(service)
      if (of === undefined) this.#services.set(service, (of = { live: null, recent: new Map() }))
      if (of.live?.since === since && of.live.release === live?.release) continue
      if (of.live === null && live === null) continue
      const nowMs = this.#nowMs()
      for (const one of of.recent.values()) one.endedMs ??= nowMs
      of.live = live === null ? null : { release: live.release, since, users: new UserSample() }
      if (live === null) continue
      const again = of.recent.get(live.release)
      if (again === undefined) of.recent.set(live.release, { users: new RecentUsers(), endedMs: null, last: null })
      else again.endedMs = null
      for (const release of of.recent.keys()) if (of.recent.size > mostReleases && release !== live.release) of.recent.delete(release)
    }
  }

  take({ release, since, slice, seen, affected }: UserNews): void {
    const of = this.#services.get(serviceOfKey(release))
    const recent = of?.recent.get(release)
    if (of === undefined || recent === undefined) return
    recent.last = null
    const live = of.live?.release === release && of.live.since === since ? of.live : null
    for (const [users, isAffected] of [[seen, false], [affected, true]] as const) {
      for (const user of users) {
        recent.users.add(user, isAffected, slice)
        if (live !== null) note(live.users, user, isAffected)
      }
    }
  }

  /** Its process has ended. */
  forget(release: ReleaseId): void {
    const of = this.#services.get(serviceOfKey(release))
    if (of?.live?.release !== release) of?.recent.delete(release)
  }

  of(service: ServiceName): ServiceUsers | undefined {
    const of = this.#services.get(service)
    if (of === undefined) return undefined
    const { live, recent } = of
    const before: (Affected & { readonly release: ReleaseId })[] = []
    for (const [release, one] of recent) {
      if (one.endedMs === null) continue
      one.last ??= one.users.since(one.endedMs - memoryMs)
      before.push({ release, ...one.last })
    }
    return { live: live === null ? null : { release: live.release, since: live.since, ...countAffected(live.users) }, before }
  }
}
