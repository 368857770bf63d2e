/** What an upstream's reply head says, read once from its raw fields. */
export interface ReplyHead {
  /** For the client: flat list of names and values in order, case and duplicates kept, those of this hop left out. */
  readonly fields: string[]
  /** The upstream's Keep-Alive hint in milliseconds; null: none. */
  readonly keepAliveMs: number | null
  readonly hasLength: boolean
  /** Content-Type is text/event-stream (and not of a known length): where one event ends can be found out. */
  readonly eventStream: 'no' | 'plain' | 'encoded'
  /** The app says that the request has failed for its user, whatever the status. */
  readonly failed: boolean
  /** Why the reply must not be forwarded; null: nothing is wrong with it. */
  readonly fault: string | null
}

const ofThisHop: ReadonlySet<string> = new Set([
  'connection', 'keep-alive', 'proxy-connection', 'proxy-authenticate', 'te', 'trailer', 'transfer-encoding', 'upgrade',
])
const none: readonly string[] = Object.freeze([])
/** How an app reports that a request has failed for its user where the status does not say so; whatever its value, it goes no further. */
export const failedField = 'gracer-failed'

/** Reads a reply's raw fields. A 204 has no body and must not say a length (RFC 9110 8.6): that field is left out. */
export function replyHead(raw: readonly string[], status: number): ReplyHead {
  const nominated = nominatedBy(raw)
  const fields: string[] = []
  let keepAliveMs: number | null = null
  let lengths = 0
  let chunked = 0
  let stream = false
  let encoded = false
  let failed = false
  let fault: string | null = null
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at] as string
    const value = raw[at + 1] as string
    const lower = name.toLowerCase()
    if (ofThisHop.has(lower)) {
      if (lower === 'keep-alive') keepAliveMs = hintOf(value)
      else if (lower === 'transfer-encoding') {
        chunked += 1
        if (value.toLowerCase() !== 'chunked') fault = 'its Transfer-Encoding is not "chunked"'
      } else if (lower === 'upgrade' && status === 426) fields.push(name, value) // 426 means nothing without it
      continue
    }
    if (lower === failedField) {
      failed = true
      continue
    }
    if (lower === 'content-length') {
      lengths += 1
      if (status === 204) continue
    } else {
      if (nominated.length > 0 && nominated.includes(lower)) continue
      if (lower === 'content-type') stream = /^text\/event-stream\s*(?:;|$)/i.test(value)
      else if (lower === 'content-encoding') encoded = value.toLowerCase() !== 'identity'
    }
    fields.push(name, value)
  }
  if (lengths > 1) fault = 'it has more than one Content-Length'
  else if (chunked > 1) fault = 'it has more than one Transfer-Encoding'
  else if (lengths + chunked > 1) fault = 'it has both Content-Length and Transfer-Encoding'
  return { fields, keepAliveMs, hasLength: lengths > 0, eventStream: !stream || lengths > 0 ? 'no' : encoded ? 'encoded' : 'plain', failed, fault }
}

/** The fields of a 101 for a WebSocket: as `replyHead`, with the two that make it one. */
export function switchedFields(raw: readonly string[]): string[] {
  return ['Upgrade', 'websocket', 'Connection', 'Upgrade', ...replyHead(raw, 101).fields]
}

function nominatedBy(raw: readonly string[]): readonly string[] {
  let names = none
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at] as string
    if (name.length !== 10 || name.toLowerCase() !== 'connection') continue
    const value = (raw[at + 1] as string).toLowerCase()
    if (value === 'keep-alive' || value === 'close') continue
    names = [...names, ...value.split(',').map((one) => one.trim())]
  }
  return names
}

function hintOf(value: string): number | null {
  const seconds = /(?:^|[\s,;])timeout\s*=\s*"?([0-9]{1,6})/i.exec(value)?.[1]
  return seconds === undefined ? null : Number(seconds) * 1000
}
