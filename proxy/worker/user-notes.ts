import type { ReleaseId } from '../release-key.ts'
import { sliceAt } from '../users/recent-users.ts'
import type { UserNews } from '../users/user-news.ts'
import { UserSample } from '../users/user-sample.ts'

export interface UserNotesOptions {
  readonly send: (news: UserNews) => void
  /** Milliseconds of the monotonic clock that all processes of the machine share. */
  readonly nowMs: () => number
}

/** Who asked the live release, and who of them met an error: what the bake's rule goes by. Bounded, see UserSample. */
export class UserNotes {
  readonly #options: UserNotesOptions
  readonly #slices = new Map<ReleaseId, Slice>()
  readonly #news = new Set<Slice>()

  constructor(options: UserNotesOptions) {
    this.#options = options
  }

  /** null: nothing more is to be noted of this one. */
  seen(release: ReleaseId, since: number, user: number): NotedUser | null {
    const number = sliceAt(this.#options.nowMs())
    let slice = this.#slices.get(release)
    if (slice === undefined || slice.number !== number || slice.since !== since) {
      slice = { release, since, number, users: new UserSample(), seen: [], affected: [] }
      this.#slices.set(release, slice)
    }
    const known = slice.users.get(user)
    if (known !== undefined) return known
    const noted = new NotedUser(user, slice, this.#news)
    if (!slice.users.set(user, noted)) return null
    slice.seen.push(user)
    this.#news.add(slice)
    return noted
  }

  flush(): void {
    for (const slice of this.#news) {
      const { release, since, number, seen, affected } = slice
      this.#options.send({ release, since, slice: number, seen: seen.splice(0), affected: affected.splice(0) })
    }
    this.#news.clear()
  }

  forget(release: ReleaseId): void {
    this.#slices.delete(release)
  }
}

interface Slice {
  readonly release: ReleaseId
  readonly since: number
  readonly number: number
  readonly users: UserSample<NotedUser>
  readonly seen: number[]
  readonly affected: number[]
}

/** A user in a slice of time. */
export class NotedUser {
  readonly #user: number
  readonly #slice: Slice
  readonly #news: Set<Slice>
  #isAffected = false

  constructor(user: number, slice: Slice, news: Set<Slice>) {
    this.#user = user
    this.#slice = slice
    this.#news = news
  }

  /** One of its requests met an error; the second one says nothing new. */
  affected(): void {
    if (this.#isAffected) return
    this.#isAffected = true
    this.#slice.affected.push(this.#user)
    this.#news.add(this.#slice)
  }
}
