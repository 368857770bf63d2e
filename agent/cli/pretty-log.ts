import type { Palette } from './color.ts'
import { printable } from './text.ts'

const ours = new Set(['level', 'time', 'event', 'msg', 'pid', 'hostname', 'name', 'v', 'schema', 'err', 'error', 'lastLines'])

/** Pure: one line of gracer's own log (pino's JSON) for a person; a line that is no JSON comes back as it is. */
export function prettyLine(line: string, palette: Palette): string {
  const record = parse(line)
  if (record === null) return printable(line)
  const level = typeof record['level'] === 'number' ? record['level'] : 30
  const event = text(record['event'])
  const tint = level >= 50 ? palette.bad : level >= 40 ? palette.warn : palette.strong
  const fields = Object.entries(record)
    .filter(([key, value]) => !ours.has(key) && (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'))
    .map(([key, value]) => palette.dim(`${printable(key)}=${printable(String(value))}`))
  const parts = [palette.dim(clock(record['time'])), event === '' ? '' : tint(event), text(record['msg']), ...fields]
  const more = [failure(record['err'] ?? record['error']), ...lastLines(record['lastLines'])].filter((part) => part !== '')
  return [parts.filter((part) => part !== '').join(' '), ...more.map((part) => `    ${palette.dim('|')} ${part}`)].join('\n')
}

/** Milliseconds since 1970 of a log line; null where it has none. */
export function timeOfLine(line: string): number | null {
  const time = parse(line)?.['time']
  return typeof time === 'number' ? time : null
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

function clock(time: unknown): string {
  const date = new Date(typeof time === 'number' || typeof time === 'string' ? time : Number.NaN)
  if (Number.isNaN(date.getTime())) return ''
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, '0')).join(':')
}

function failure(error: unknown): string {
  return typeof error === 'object' && error !== null && 'message' in error ? text(error.message) : text(error)
}

function lastLines(lines: unknown): readonly string[] {
  return Array.isArray(lines) ? lines.map((line) => text(line)) : []
}
