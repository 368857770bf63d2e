import { isIP } from 'node:net'

/** The readers of "30s", "127.0.0.1:8080" and "200-299". Only the edge (config file, flags) uses them. */

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const

export const durationPattern = /^\d{1,9}(?:\.\d{1,3})?(?:ms|s|m|h)$/

/** A timer of Node overflows at 24.8 days; nothing here waits longer than a day. */
export const longestDurationMs = 24 * 3_600_000

/** "250ms", "30s", "1.5m", "1h" to milliseconds; undefined where the text is no duration. */
export function parseDuration(text: string): number | undefined {
  if (!durationPattern.test(text)) return undefined
  const unit = /[a-z]+$/.exec(text)?.[0] as keyof typeof unitMs
  return Math.round(Number(text.slice(0, -unit.length)) * unitMs[unit])
}

/** The shortest exact text for a number of milliseconds: 90000 is "90s", 120000 is "2m". */
export function formatDuration(ms: number): string {
  for (const unit of ['h', 'm', 's'] as const) {
    if (ms !== 0 && ms % unitMs[unit] === 0) return `${ms / unitMs[unit]}${unit}`
  }
  return ms === 0 ? '0s' : `${ms}ms`
}

export interface ListenAddress {
  readonly host: string
  readonly port: number
}

/**
 * "127.0.0.1:8080", "[::1]:80", "localhost:8080"; "8080" alone means loopback, ":8080" and "*:8080" every IPv4 address.
 * Port 0 means any free one. Undefined where the text is no address: names other than localhost are not looked up.
 */
export function parseListen(text: string): ListenAddress | undefined {
  const match = /^(?:(\[[0-9A-Fa-f:.]+\]|[^:[\]\s]*)(:))?(\d{1,5})$/.exec(text)
  if (match === null) return undefined
  const port = Number(match[3])
  if (port > 65_535) return undefined
  const named = match[1] ?? ''
  if (match[2] === undefined) return { host: '127.0.0.1', port }
  if (named === '' || named === '*') return { host: '0.0.0.0', port }
  if (named === 'localhost') return { host: '127.0.0.1', port }
  if (named.startsWith('[')) {
    const host = named.slice(1, -1)
    return isIP(host) === 6 ? { host, port } : undefined
  }
  return isIP(named) === 4 ? { host: named, port } : undefined
}

/** Host and port as one text, IPv6 in brackets. */
export function formatListen(address: ListenAddress): string {
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`
}

export interface StatusRange {
  readonly from: number
  readonly to: number
}

/** "200-299" or "200,204,300-399": HTTP status codes from 200 to 599, both ends included; undefined where it is neither. */
export function parseExpect(text: string): readonly StatusRange[] | undefined {
  const ranges: StatusRange[] = []
  for (const part of text.split(',')) {
    const match = /^\s*(\d{3})(?:-(\d{3}))?\s*$/.exec(part)
    if (match === null) return undefined
    const from = Number(match[1])
    const to = Number(match[2] ?? match[1])
    if (from < 200 || to > 599 || from > to) return undefined
    ranges.push({ from, to })
  }
  return ranges
}

export function formatExpect(ranges: readonly StatusRange[]): string {
  return ranges.map(({ from, to }) => (from === to ? String(from) : `${from}-${to}`)).join(',')
}
