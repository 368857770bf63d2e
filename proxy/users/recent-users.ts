import { countAffected, note, UserSample, type Affected } from './user-sample.ts'

/** Users are told in slices of this length, milliseconds of the monotonic clock that all processes of a machine share. */
export const sliceMs = 60_000
/** An old release is looked at this far back from the moment at which it was live last. */
export const memoryMs = 10 * sliceMs

export function sliceAt(nowMs: number): number {
  return Math.floor(nowMs / sliceMs)
}

/** Distinct users of a release in its last minutes and those affected among them, for the bake's rule. */
export class RecentUsers {
  readonly #slices = new Map<number, UserSample<boolean>>()
  readonly #most: number | undefined
  #newest = -Infinity

  /** @param most users held of each slice; the numbers are estimates beyond. */
  constructor(most?: number) {
    this.#most = most
  }

  /** What comes so late that its slice is forgotten belongs to the newest. */
  add(user: number, affected: boolean, slice: number): void {
    note(this.#slice(slice), user, affected)
  }

  /** Everybody since then, each once. Whole slices: up to one slice more than asked for. */
  since(fromMs: number): Affected {
    const all = new UserSample<boolean>(this.#most)
    for (const [slice, sample] of this.#slices) {
      if ((slice + 1) * sliceMs <= fromMs) continue
      // What one slice had no room for, another one's word does not stand for.
      all.lower(sample.limit)
      for (const [user, affected] of sample.entries()) note(all, user, affected)
    }
    return countAffected(all)
  }

  #slice(slice: number): UserSample<boolean> {
    const oldest = this.#newest - memoryMs / sliceMs
    const kept = slice < oldest ? this.#newest : slice
    const found = this.#slices.get(kept)
    if (found !== undefined) return found
    const made = new UserSample<boolean>(this.#most)
    this.#slices.set(kept, made)
    this.#newest = Math.max(this.#newest, kept)
    for (const one of this.#slices.keys()) if (one < this.#newest - memoryMs / sliceMs) this.#slices.delete(one)
    return made
  }
}
