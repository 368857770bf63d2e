/** So many users are held at most: up to here the numbers are exact, beyond some 2% wrong. */
const mostUsers = 4_096

/** Distinct users seen, and those of them that met an error. */
export interface Affected {
  readonly users: number
  readonly affected: number
}

/**
 * Distinct users in bounded memory: those whose number is below a limit, which is halved when there are too many (P. Gibbons,
 * "Distinct Sampling for Highly-Accurate Answers", VLDB 2001). Who is in depends on nothing but the number, so what
 * several processes have seen of the same users can be put together.
 */
export class UserSample<Known> {
  readonly #most: number
  readonly #users = new Map<number, Known>()
  #limit = 2 ** 32

  constructor(most = mostUsers) {
    this.#most = most
  }

  get limit(): number {
    return this.#limit
  }

  /** So many users stand for each that is held. */
  get scale(): number {
    return 2 ** 32 / this.#limit
  }

  get(user: number): Known | undefined {
    return this.#users.get(user)
  }

  /** False where the user is none of those that are held. */
  set(user: number, known: Known): boolean {
    if (user >= this.#limit) return false
    this.#users.set(user, known)
    while (this.#users.size > this.#most) this.lower(this.#limit / 2)
    return user < this.#limit
  }

  lower(limit: number): void {
    if (limit >= this.#limit) return
    this.#limit = limit
    for (const user of this.#users.keys()) if (user >= limit) this.#users.delete(user)
  }

  entries(): Iterable<readonly [number, Known]> {
    return this.#users
  }
}

/** Notes a user whose fate is kept as whether it was affected: once so, it stays so. */
export function note(sample: UserSample<boolean>, user: number, affected: boolean): void {
  if (affected || sample.get(user) === undefined) sample.set(user, affected)
}

export function countAffected(sample: UserSample<boolean>): Affected {
  let users = 0
  let affected = 0
  for (const [, isAffected] of sample.entries()) {
    users += 1
    if (isAffected) affected += 1
  }
  return { users: users * sample.scale, affected: affected * sample.scale }
}
