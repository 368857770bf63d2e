import { isIP } from 'node:net'

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

/** An IPv6 client has a whole /64 to choose from, which is one client here; IPv4 addresses stand for themselves. */
export function addressGroup(address: string): string {
  if (isIP(address) !== 6) return address
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)
  if (mapped?.[1] !== undefined) return mapped[1]
  const [head = '', tail] = (address.split('%')[0] ?? '').toLowerCase().split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length - (right.at(-1)?.includes('.') === true ? 1 : 0))
  const groups = [...left, ...Array.from({ length: zeros }, () => '0'), ...right]
  return `${groups.slice(0, 4).map((group) => group.replace(/^0+(?=.)/, '')).join(':')}::/64`
}
