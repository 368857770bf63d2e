import { addressGroup } from '../../proxy/users/address-group.ts'

/**
 * Whoever holds a canary's cookie can ask for replies that go bad. So one client address may bring in only so many
 * units, on either arm alike; what comes after is not counted, whatever its arm, which keeps the test exact.
 */
export class AddressCap {
  readonly #counts = new Map<string, number>()
  readonly #limit: number
  readonly #most: number

  /** @param limit units for each address; @param most addresses remembered: once there are more, new ones count no more. */
  constructor(limit: number, most: number, entries: Iterable<readonly [string, number]> = []) {
    this.#limit = limit
    this.#most = most
    for (const [address, count] of entries) this.#counts.set(address, count)
  }

  allows(address: string): boolean {
    const count = this.#counts.get(addressGroup(address))
    return count === undefined ? this.#limit > 0 && this.#counts.size < this.#most : count < this.#limit
  }

  count(address: string): void {
    const group = addressGroup(address)
    this.#counts.set(group, (this.#counts.get(group) ?? 0) + 1)
  }

  entries(): (readonly [string, number])[] {
    return [...this.#counts]
  }
}
