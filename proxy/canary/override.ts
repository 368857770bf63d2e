import { BlockList, isIP } from 'node:net'
import type { CanaryRoute } from './route.ts'
import { isSigned, sign } from './signature.ts'
import type { Arm } from './split.ts'

/** The header and the cookie by which a tester chooses a release. */
export const overrideName = 'gracer-release'

const purpose = 'override'
const signed = /^(.{1,64})\.(\d{1,11})\.([A-Za-z0-9_-]{22})$/
/** Looks like one, cut short or with something added: a slip in copying must not send a tester to the other release unsaid. */
const meantAsSigned = /\.\d{9,11}\.[^.]*$/

/** What testers send: `canary`, `stable` or a release, until when (seconds since 1970), and the signature of both. */
export function signOverride(secret: string, wish: string, untilSeconds: number): string {
  return `${wish}.${untilSeconds}.${sign(secret, purpose, `${wish}.${untilSeconds}`)}`
}

export type Override =
  | { readonly kind: 'arm'; readonly arm: Arm }
  /** Unsigned from where that does not count, a name that neither release has, or a cookie that is over. */
  | { readonly kind: 'none' }
  /** A header that claims a signature which is false or over: its sender wants to know. */
  | { readonly kind: 'bad'; readonly reason: string }

const none: Override = Object.freeze({ kind: 'none' })
const notValid: Override = Object.freeze({ kind: 'bad', reason: `The signature in ${overrideName} is not valid.` })

/** Reads an override. A header wins over a cookie; a stale cookie must lock nobody out, so it counts as none. */
export function readOverride(canary: CanaryRoute, header: string | null, cookie: string | null, address: string, nowSeconds: number): Override {
  const fromHeader = header === null ? none : judge(canary, header, address, nowSeconds)
  if (fromHeader.kind !== 'none' || cookie === null) return fromHeader
  const fromCookie = judge(canary, cookie, address, nowSeconds)
  return fromCookie.kind === 'bad' ? none : fromCookie
}

function judge(canary: CanaryRoute, text: string, address: string, nowSeconds: number): Override {
  const parts = signed.exec(text)
  if (parts === null) {
    const unsigned = isAllowed(canary.allow, address) ? named(canary, text) : none
    return unsigned.kind === 'none' && meantAsSigned.test(text) ? notValid : unsigned
  }
  const [, wish = '', until = '', signature = ''] = parts
  if (!isSigned(canary.secret, purpose, `${wish}.${until}`, signature)) return notValid
  if (Number(until) < nowSeconds) return { kind: 'bad', reason: `The signature in ${overrideName} is over.` }
  return named(canary, wish)
}

function named(canary: CanaryRoute, wish: string): Override {
  for (const arm of ['canary', 'stable'] as const) if (wish === arm || canary.names[arm].includes(wish)) return { kind: 'arm', arm }
  return none
}

const lists = new WeakMap<readonly string[], BlockList>()

function isAllowed(networks: readonly string[], address: string): boolean {
  if (networks.length === 0) return false
  let list = lists.get(networks)
  if (list === undefined) {
    list = new BlockList()
    for (const network of networks) {
      const [base = '', bits] = network.split('/')
      const family = isIP(base) === 6 ? 'ipv6' : 'ipv4'
      list.addSubnet(base, bits === undefined ? (family === 'ipv6' ? 128 : 32) : Number(bits), family)
    }
    lists.set(networks, list)
  }
  const family = isIP(address)
  return family !== 0 && list.check(address, family === 6 ? 'ipv6' : 'ipv4')
}
