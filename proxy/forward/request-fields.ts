import { randomUUID } from 'node:crypto'
import { withoutOwnCookies } from '../canary/cookies.ts'
import { addForwarded, type Claims } from './forwarded.ts'
import type { Understood } from './request-checks.ts'

/** Names in their original case; a name that came more than once has an array, in order. */
export type Fields = Record<string, string | string[]>

/** What the front knows about where a request came from. */
export interface Origin {
  /** Address of the peer that connected. */
  readonly peer: string
  /** Whether what that peer says about others is believed. */
  readonly trusted: boolean
}

export interface RequestFields {
  readonly fields: Fields
  readonly requestId: string
  /** The peer was not trusted and yet sent X-Forwarded-For. */
  readonly claimed: boolean
}

/** Not forwarded whatever they say: of this hop only (RFC 9110 7.6.1), or written anew here. */
const ofThisHop: ReadonlySet<string> = new Set([
  'connection', 'keep-alive', 'proxy-connection', 'proxy-authorization', 'te', 'trailer', 'transfer-encoding', 'upgrade',
  'http2-settings', 'expect', 'host', 'content-length',
])

// What is safe to write into logs, and to repeat.
const saneId = /^[A-Za-z0-9._~:+/=@-]{1,128}$/

/**
 * The fields that the upstream gets: order and case kept, those of this hop left out, the forwarding ones written.
 * `handshake`: the two fields that ask for a WebSocket are added again.
 */
export function requestFields(raw: readonly string[], seen: Understood, origin: Origin, handshake: boolean): RequestFields {
  const fields: Fields = {}
  const spelling = new Map<string, string>()
  const claims: Claims | null = origin.trusted ? { for: null, forwarded: null, proto: null, host: null, port: null, realIp: null } : null
  let requestId: string | null = null
  let claimed = false
  fields['Host'] = seen.host.text
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at] as string
    const value = raw[at + 1] as string
    const lower = name.toLowerCase()
    if (ofThisHop.has(lower)) {
      if (lower === 'content-length') fields[name] = value
      else if (lower === 'transfer-encoding') fields[name] = 'chunked'
      continue
    }
    // An underscore and a hyphen are one in CGI's variables, so X_Forwarded_For would speak for X-Forwarded-For.
    if (name.includes('_')) continue
    if (lower.startsWith('x-forwarded-') || lower === 'forwarded' || lower === 'x-real-ip') {
      if (claims === null) claimed ||= lower === 'x-forwarded-for'
      else if (!note(claims, lower, value)) append(fields, spelling, name, lower, value)
      continue
    }
    if (lower === 'x-request-id') {
      requestId = requestId === null && saneId.test(value) ? value : ''
      continue
    }
    if (lower.startsWith('gracer-') || lower.startsWith('x-gracer-')) continue
    if (seen.nominated.length > 0 && seen.nominated.includes(lower)) continue
    if (lower === 'cookie') {
      const rest = withoutOwnCookies(value)
      if (rest !== '' || value === '') append(fields, spelling, name, lower, rest)
      continue
    }
    append(fields, spelling, name, lower, value)
  }
  if (requestId === null || requestId === '') requestId = randomUUID()
  fields['X-Request-Id'] = requestId
  addForwarded(fields, origin.peer, seen.host, claims)
  if (handshake) {
    fields['Connection'] = 'Upgrade'
    fields['Upgrade'] = 'websocket'
  }
  return { fields, requestId, claimed }
}

/** Who asks: the peer, or whom a trusted one names last in X-Forwarded-For. */
export function clientAddress(fields: Fields, origin: Origin): string {
  if (!origin.trusted) return origin.peer
  const chain = String(fields['X-Forwarded-For']).split(',')
  return chain.at(-2)?.trim() ?? origin.peer
}

function append(fields: Fields, spelling: Map<string, string>, name: string, lower: string, value: string): void {
  const before = spelling.get(lower)
  if (before === undefined) {
    spelling.set(lower, name)
    fields[name] = value
    return
  }
  const values = fields[before]
  if (Array.isArray(values)) values.push(value)
  else fields[before] = [values as string, value]
}

/** Takes a trusted peer's word on one of the fields that are written anew; false where it is none of them. */
function note(claims: Claims, lower: string, value: string): boolean {
  switch (lower) {
    case 'x-forwarded-for': claims.for = merged(claims.for, value); return true
    case 'forwarded': claims.forwarded = merged(claims.forwarded, value); return true
    case 'x-forwarded-proto': claims.proto = merged(claims.proto, value); return true
    case 'x-forwarded-host': claims.host = merged(claims.host, value); return true
    case 'x-forwarded-port': claims.port = merged(claims.port, value); return true
    case 'x-real-ip': claims.realIp = value; return true
    default: return false
  }
}

function merged(before: string | null, value: string): string {
  return before === null ? value : `${before}, ${value}`
}
