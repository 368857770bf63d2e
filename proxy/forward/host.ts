import { isIPv6 } from 'node:net'

/** One authority: what a Host field or the authority of an absolute target says. */
export interface Host {
  /** As it is forwarded: as the client wrote it, less a trailing dot. */
  readonly text: string
  /** For choosing a service: lower case, no port, no trailing dot; an IPv6 address keeps its brackets. */
  readonly name: string
  /** Digits, '' where none was given. */
  readonly port: string
}

// A registered name (RFC 3986 3.2.2) without percent-encoding and sub-delimiters: no DNS name needs them,
// and what they are decoded to is where two readers of one Host come to differ.
const nameAndPort = /^([A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_-])?)(\.?)(?::([0-9]{1,5}))?$/
const addressAndPort = /^(\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?$/

let lastText = ''
let lastHost: Host | null = null

/** Reads `host[:port]`; null where it is not one (RFC 9110 7.2 wants a 400 then). The last answer is remembered. */
export function parseHost(text: string): Host | null {
  if (text === lastText) return lastHost
  lastHost = readHost(text)
  lastText = text
  return lastHost
}

function readHost(text: string): Host | null {
  if (text.length > 300) return null
  const named = nameAndPort.exec(text)
  if (named !== null) {
    const [, name = '', dot = '', port = ''] = named
    if (name.includes('..') || !portIsValid(port)) return null
    return { text: dot === '' ? text : port === '' ? name : `${name}:${port}`, name: name.toLowerCase(), port }
  }
  const numbered = addressAndPort.exec(text)
  if (numbered === null) return null
  const [, address = '', port = ''] = numbered
  if (!isIPv6(address.slice(1, -1)) || !portIsValid(port)) return null
  return { text, name: address.toLowerCase(), port }
}

function portIsValid(port: string): boolean {
  if (port === '') return true
  const number = Number(port)
  return number >= 1 && number <= 65535
}

/** Do two authorities name the same place over http? */
export function sameHost(one: Host, other: Host): boolean {
  return one.name === other.name && (one.port || '80') === (other.port || '80')
}
