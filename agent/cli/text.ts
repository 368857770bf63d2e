/** Small pure helpers for text on a terminal. */

/** What a backend or a file name says must not steer the terminal: escape sequences and control characters are taken out. */
export function printable(text: string): string {
  return text
    .replace(/\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\-_])/g, '')
    .replace(/\t/g, '  ')
    .replace(/[\u0000-\u001f\u007f-\u009f]/g, '')
}

/** Cut to `width` columns, with an ellipsis where something is missing; Infinity cuts nothing. */
export function fit(text: string, width: number): string {
  const letters = [...text]
  if (letters.length <= width) return text
  return width <= 1 ? letters.slice(0, Math.max(0, width)).join('') : `${letters.slice(0, width - 1).join('')}…`
}

/** Milliseconds for a person: "3 ms", "4.21 s", "2 m 05 s". */
export function took(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${(ms / 1_000).toFixed(ms < 10_000 ? 2 : 1)} s`
  const seconds = Math.round(ms / 1_000)
  return `${Math.floor(seconds / 60)} m ${String(seconds % 60).padStart(2, '0')} s`
}

/** How long ago, in one unit: "5s", "12m", "3h", "4d". */
export function age(since: string, now: number): string {
  const seconds = Math.max(0, Math.floor((now - Date.parse(since)) / 1_000))
  if (Number.isNaN(seconds)) return '?'
  if (seconds < 60) return `${seconds}s`
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m`
  return seconds < 86_400 ? `${Math.floor(seconds / 3_600)}h` : `${Math.floor(seconds / 86_400)}d`
}

/** "2026-11-20 10:00:00" in the local time zone. */
export function localTime(iso: string): string {
  const date = new Date(iso)
  if (Number.isNaN(date.getTime())) return iso
  const two = (value: number): string => String(value).padStart(2, '0')
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
}

/** "v43 (2026-11-20)", or "v43" where it has no name. */
export function releaseLabel(id: string, name: string | null): string {
  return name === null ? id : `${id} (${printable(name)})`
}

export function count(n: number, one: string, many = `${one}s`): string {
  return `${n} ${n === 1 ? one : many}`
}

const colors = /\u001b\[[\d;]*m/g

/**
 * Lines wider than `width` columns broken at their spaces, what follows under the value that begins after a label
 * ("  label  value"), or a little in where that leaves too little room. A word is never broken, and a path longer
 * than a line is left to the terminal, so that it can be copied. Colors take no room.
 */
export function wrap(text: string, width: number): string {
  return text.split('\n').flatMap((line) => wrapLine(line, width)).join('\n')
}

function wrapLine(line: string, width: number): readonly string[] {
  if (visible(line) <= width) return [line]
  const lead = visible(/^ {2,}(?:\S+(?: \S+)* {2,}|\S* ?\| )/.exec(line)?.[0] ?? /^ */.exec(line)?.[0] ?? '')
  const hang = ' '.repeat(lead === 0 ? 2 : lead > width / 2 ? 4 : lead)
  const begin = line.slice(0, /[^ ]/.exec(line)?.index ?? 0)
  const lines: string[] = []
  let current = begin
  let empty = true
  // A number stays with its unit.
  for (const part of line.slice(begin.length).match(/ *(?:\d[\d.]* (?:ms|s|m)\b[^ ]*|[^ ]+)/g) ?? []) {
    const fitsNowhere = visible(part.trimStart()) > width - hang.length
    if (!empty && visible(current + part) > width && !(fitsNowhere && visible(current) < width)) {
      lines.push(current)
      current = hang
      empty = true
    }
    current += empty ? part.trimStart() : part
    empty = false
  }
  return [...lines, current]
}

function visible(text: string): number {
  return [...text.replace(colors, '')].length
}
