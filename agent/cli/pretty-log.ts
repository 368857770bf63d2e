import type { Palette } from './color.ts'
import { printable } from './text.ts'

/** Shown in a place of their own, or of no use to a person at a terminal. */
const placed = new Set(['level', 'time', 'event', 'msg', 'release', 'name', 'detail', 'component', 'pid', 'hostname', 'error', 'err', 'stack', 'lastLines'])

/** Pure: one line of gracer's own log (JSON) for a person; a line that is no JSON comes back as it is. */
export function prettyLine(line: string, palette: Palette): string {
  const record = parse(line)
  if (record === null) return printable(line)
  const fields = Object.entries(record)
    .filter(([key, value]) => !placed.has(key) && !(key === 'service' && value === 'default'))
    .filter(([, value]) => typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
    .map(([key, value]) => palette.dim(`${printable(key)}=${printable(String(value))}`))
  const parts = [palette.dim(clock(record['time'])), tint(record['level'], palette)(text(record['event'])), label(record), text(record['msg']), text(record['detail']), ...fields]
  const more = [...reasons(record['error'] ?? record['err']), ...lines(record['stack']), ...lines(record['lastLines'])]
  return [parts.filter((part) => part !== '').join(' '), ...more.map((part) => `    ${palette.dim('|')} ${part}`)].join('\n')
}

/** Milliseconds since 1970 of a log line; null where it has none. */
export function timeOfLine(line: string): number | null {
  const date = dateOf(parse(line)?.['time'])
  return date === null ? null : date.getTime()
}

function parse(line: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null
  } catch {
    return null
  }
}

function text(value: unknown): string {
  return typeof value === 'string' ? printable(value) : ''
}

function dateOf(time: unknown): Date | null {
  const date = new Date(typeof time === 'number' || typeof time === 'string' ? time : Number.NaN)
  return Number.isNaN(date.getTime()) ? null : date
}

function clock(time: unknown): string {
  const date = dateOf(time)
  return date === null ? '' : [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, '0')).join(':')
}

/** The level as a word, or as pino's number. */
function tint(level: unknown, palette: Palette): (text: string) => string {
  if (level === 'error' || level === 'fatal' || (typeof level === 'number' && level >= 50)) return palette.bad
  return level === 'warn' || level === 40 ? palette.warn : palette.strong
}

function label(record: Record<string, unknown>): string {
  const name = text(record['name'])
  return `${text(record['release'])}${name === '' ? '' : ` (${name})`}`.trim()
}

function reasons(error: unknown): readonly string[] {
  if (typeof error === 'object' && error !== null && 'message' in error) return lines(error.message)
  return lines(error)
}

function lines(value: unknown): readonly string[] {
  if (Array.isArray(value)) return value.map((line) => text(line))
  return typeof value === 'string' && value !== '' ? value.split('\n').map((line) => printable(line)) : []
}
