import { isIPv4, isIPv6 } from 'node:net'
import type { Host } from './host.ts'

/** What the fields of a proxy in front said; null where they said nothing. Duplicates are merged in their order. */
export interface Claims {
  for: string | null
  forwarded: string | null
  proto: string | null
  host: string | null
  port: string | null
  realIp: string | null
}

/** The address of a peer as people write it: an IPv4 address mapped into IPv6 becomes IPv4 again. */
export function plainAddress(address: string | undefined): string {
  if (address === undefined) return 'unknown'
  const plain = address.startsWith('::ffff:') ? address.slice(7) : address
  const zone = plain.indexOf('%')
  return zone === -1 ? plain : plain.slice(0, zone)
}

/**
 * Adds X-Forwarded-For, -Proto, -Host, -Port, X-Real-IP (de facto) and Forwarded (RFC 7239) to `out`.
 * `claims` is null where the peer is not trusted: then only what the front saw itself is said.
 */
export function addForwarded(out: Record<string, string | string[]>, peer: string, host: Host, claims: Claims | null): void {
  const element = forwardedElement(peer, host.text)
  out['X-Forwarded-For'] = claims?.for ? `${claims.for}, ${peer}` : peer
  out['X-Forwarded-Proto'] = claims?.proto ?? 'http'
  out['X-Forwarded-Host'] = claims?.host ?? host.text
  // By the Host field and not by the listening port: what an app builds links with is the port the client knows.
  out['X-Forwarded-Port'] = claims?.port ?? (host.port || '80')
  out['X-Real-IP'] = claims?.realIp ?? peer
  out['Forwarded'] = claims?.forwarded ? `${claims.forwarded}, ${element}` : element
}

let lastPeer = ''
let lastHost = ''
let lastElement = ''

function forwardedElement(peer: string, host: string): string {
  if (peer === lastPeer && host === lastHost) return lastElement
  const node = isIPv4(peer) || peer === 'unknown' ? peer : `"[${peer}]"`
  lastElement = `for=${node};host="${host}";proto=http`
  lastPeer = peer
  lastHost = host
  return lastElement
}

/** Loopback, private (RFC 1918, RFC 4193) or link-local: an address from which a proxy in front would come. */
export function isNearby(address: string): boolean {
  if (isIPv4(address)) {
    const [first = 0, second = 0] = address.split('.').map(Number)
    return first === 127 || first === 10 || (first === 172 && second >= 16 && second <= 31)
      || (first === 192 && second === 168) || (first === 169 && second === 254)
  }
  return isIPv6(address) && (address === '::1' || /^f[cd]|^fe[89ab]/i.test(address))
}
