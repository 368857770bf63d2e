import type { IncomingMessage } from 'node:http'
import { parseHost, sameHost, type Host } from './host.ts'

/** What the front understood of a request. The upstream must see exactly this, or nothing. */
export interface Understood {
  readonly kind: 'understood'
  readonly host: Host
  /** Origin-form (or '*' with OPTIONS), byte for byte as it came: never decoded, never normalised. */
  readonly target: string
  readonly body: 'none' | 'length' | 'chunked'
  /** Names that the client's Connection field nominates, in lower case. */
  readonly nominated: readonly string[]
  /** The client holds its body back until it is told to go on (RFC 9110 10.1.1). */
  readonly awaitsContinue: boolean
}

/** Why a request is refused before anything is picked for it; the connection is closed after the reply. */
export interface Rejected {
  readonly kind: 'rejected'
  readonly status: number
  readonly code: string
  readonly reason: string
}

/** More fields than this are refused with 431. */
export const maxFields = 100

const none: readonly string[] = Object.freeze([])
// What Node's serialiser would throw at: refused here, before a release is chosen.
const unwritable = /[^\t\x20-\x7e\x80-\xff]/
const websocketKey = /^[A-Za-z0-9+/]{22}==$/

/**
 * Checks what Node's parser lets through and a proxy must not (see the table in the docs): after this the request has
 * one meaning only. Reads the raw fields, never `req.headers`, which joins and drops.
 */
export function checkRequest(req: IncomingMessage): Understood | Rejected {
  const version = req.httpVersion
  if (version !== '1.1' && version !== '1.0') return rejected(505, 'version', 'Only HTTP/1.0 and HTTP/1.1 are spoken here.')
  const method = req.method ?? ''
  if (method === 'TRACE' || method === 'CONNECT') return rejected(405, 'method', `${method} is not forwarded.`)

  const raw = req.rawHeaders
  if (raw.length > maxFields * 2) return rejected(431, 'too-many-fields', `The request has more than ${maxFields} header fields.`)
  let hostText: string | null = null
  let length: string | null = null
  let chunked = false
  let awaitsContinue = false
  let nominated = none
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at] as string
    const value = raw[at + 1] as string
    if (unwritable.test(value)) return rejected(400, 'field-value', 'A header field holds a control character.')
    switch (name.length) { // the length alone rules out nearly every field, and costs nothing
      case 4:
        if (name.toLowerCase() !== 'host') break
        if (hostText !== null) return rejected(400, 'host', 'The request has more than one Host field.')
        hostText = value
        break
      case 6:
        if (name.toLowerCase() !== 'expect') break
        if (awaitsContinue || value.toLowerCase() !== '100-continue') return rejected(417, 'expect', 'Only "Expect: 100-continue" can be met.')
        awaitsContinue = true
        break
      case 10:
        if (name.toLowerCase() !== 'connection') break
        nominated = withNominated(nominated, value)
        break
      case 14:
        if (name.toLowerCase() !== 'content-length') break
        if (length !== null) return rejected(400, 'framing', 'The request has more than one Content-Length field.')
        if (!/^[0-9]+$/.test(value) || !Number.isSafeInteger(Number(value))) return rejected(400, 'framing', 'Content-Length is not a number that can be counted to.')
        length = value
        break
      case 17:
        if (name.toLowerCase() !== 'transfer-encoding') break
        if (chunked || value.toLowerCase() !== 'chunked') return rejected(400, 'framing', 'The only Transfer-Encoding taken is exactly "chunked".')
        if (version === '1.0') return rejected(400, 'framing', 'HTTP/1.0 has no Transfer-Encoding.')
        chunked = true
        break
    }
  }
  if (chunked && length !== null) return rejected(400, 'framing', 'The request has both Content-Length and Transfer-Encoding.')
  const guarded = nominated.find(mayNotBeNominated)
  if (guarded !== undefined) return rejected(400, 'connection', `The Connection field may not remove ${guarded}.`)

  let host: Host | null = null
  if (hostText !== null) {
    host = parseHost(hostText)
    if (host === null) return rejected(400, 'host', 'The Host field is not host[:port].')
  } else if (version === '1.1') {
    return rejected(400, 'host', 'The request has no Host field.')
  }

  let target = req.url ?? ''
  if (target.charCodeAt(0) !== 0x2f) {
    if (target !== '*' || method !== 'OPTIONS') {
      const absolute = /^http:\/\/([^/?#]*)(.*)$/i.exec(target)
      const authority = absolute === null ? null : parseHost(absolute[1] as string)
      if (absolute === null || authority === null) return rejected(400, 'target', 'The request target is not a path.')
      if (host !== null && !sameHost(host, authority)) return rejected(400, 'host', 'The request target and the Host field name different hosts.')
      host = authority
      const rest = absolute[2] as string
      target = rest.startsWith('/') ? rest : `/${rest}`
    }
  }
  if (target.includes('#')) return rejected(400, 'target', 'The request target holds a fragment.')
  const body = chunked ? 'chunked' : length === null || length === '0' ? 'none' : 'length'
  return {
    kind: 'understood',
    host: host ?? ownHost(req),
    target,
    body,
    nominated,
    awaitsContinue: awaitsContinue && version === '1.1' && body !== 'none',
  }
}

/** What the Content-Length of a checked request says; 0 where it has none. */
export function declaredLength(req: IncomingMessage): number {
  return Number(req.headers['content-length'] ?? 0)
}

/** Checks what makes a request with `Upgrade: websocket` a handshake (RFC 6455 4.2.1); null: it is one. */
export function checkHandshake(req: IncomingMessage): Rejected | null {
  let keys = 0
  const raw = req.rawHeaders
  for (let at = 0; at < raw.length; at += 2) {
    if ((raw[at] as string).toLowerCase() !== 'sec-websocket-key') continue
    keys += 1
    if (!websocketKey.test(raw[at + 1] as string)) return rejected(400, 'websocket', 'Sec-WebSocket-Key is not 16 bytes in base64.')
  }
  return keys === 1 ? null : rejected(400, 'websocket', 'A WebSocket handshake has exactly one Sec-WebSocket-Key.')
}

function rejected(status: number, code: string, reason: string): Rejected {
  return { kind: 'rejected', status, code, reason }
}

function withNominated(before: readonly string[], value: string): readonly string[] {
  const lower = value.toLowerCase()
  if (lower === 'keep-alive' || lower === 'close') return before
  const names = lower.split(',').map((name) => name.trim()).filter((name) => name !== '' && name !== 'close' && name !== 'keep-alive')
  return names.length === 0 ? before : [...before, ...names]
}

const guardedNames: ReadonlySet<string> = new Set([
  'host', 'content-length', 'authorization', 'cookie', 'forwarded', 'x-real-ip', 'x-request-id',
])

/** Fields that say who asks, for what and how long it is: a client must not have them taken away on its way in. */
function mayNotBeNominated(name: string): boolean {
  return guardedNames.has(name) || name.startsWith('x-forwarded-') || name.startsWith('gracer-') || name.startsWith('x-gracer-')
}

/** HTTP/1.0 needs no Host; the upstream is spoken to in 1.1, which does. The address the client dialled is the truth. */
function ownHost(req: IncomingMessage): Host {
  const address = req.socket.localAddress ?? '127.0.0.1'
  const port = String(req.socket.localPort ?? 80)
  const name = address.includes(':') && !address.startsWith('::ffff:') ? `[${address}]` : address.replace('::ffff:', '')
  return { text: `${name}:${port}`, name, port }
}
