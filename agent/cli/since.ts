import { parseDuration } from '../config/units.ts'

/**
 * Pure: "10m" (so long ago), "14:05" (today, or yesterday where that is still to come), "2026-11-25", "2026-11-25 14:05"
 * (local), "2026-11-25T14:05:00Z" as ms since 1970; undefined where the text is none of these, or lies in the future.
 */
export function parseSince(text: string, now: number): number | undefined {
  const duration = parseDuration(text)
  if (duration !== undefined) return now - duration
  const clock = /^(\d{1,2}):(\d\d)(?::(\d\d))?$/.exec(text)
  if (clock !== null) return clockTime(now, Number(clock[1]), Number(clock[2]), Number(clock[3] ?? 0))
  const date = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?)(Z|[+-]\d\d:\d\d)?)?$/.exec(text)
  if (date === null) return undefined
  const time = Date.parse(`${date[1]}T${date[2] ?? '00:00'}${date[3] ?? ''}`)
  return Number.isNaN(time) || time > now ? undefined : time
}

function clockTime(now: number, hours: number, minutes: number, seconds: number): number | undefined {
  if (hours > 23 || minutes > 59 || seconds > 59) return undefined
  const date = new Date(now)
  date.setHours(hours, minutes, seconds, 0)
  if (date.getTime() > now) date.setDate(date.getDate() - 1)
  return date.getTime()
}

const keys = ['time', 'timestamp', '@timestamp', 'ts']

/**
 * Pure: the time a backend's line says of itself, in ms since 1970: in JSON a number or an ISO date under a usual key,
 * else an ISO date it begins with. Only with a time zone, because a wrong guess would hide lines. null: it says none.
 */
export function timeOfOutput(line: string): number | null {
  if (line.startsWith('{')) {
    try {
      const record = JSON.parse(line) as Record<string, unknown>
      return timeOf(keys.map((key) => record[key]).find((value) => value !== undefined))
    } catch {
      return null
    }
  }
  return timeOf(/^\[?(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*?)(?:\]|\s|$)/.exec(line)?.[1])
}

function timeOf(value: unknown): number | null {
  // Seconds until the year 5138, milliseconds from 1973 on.
  if (typeof value === 'number') return value > 1e11 ? value : value * 1_000
  if (typeof value !== 'string' || !/^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)$/.test(value)) return null
  const time = Date.parse(value.replace(' ', 'T').replace(',', '.'))
  return Number.isNaN(time) ? null : time
}

/** A line longer than this has no time that is looked for. */
const longestLine = 64 * 1024

/** Leaves out the first lines, for as long as each says itself that it is older: where a log begins is known to some seconds only. */
export class LeadingOlder {
  readonly #since: number
  #rest: Buffer = Buffer.alloc(0)
  #through = false

  constructor(since: number) {
    this.#since = since
  }

  push(bytes: Buffer): Buffer {
    if (this.#through) return bytes
    let rest = Buffer.concat([this.#rest, bytes])
    for (let end = rest.indexOf(0x0a); end >= 0; end = rest.indexOf(0x0a)) {
      const time = timeOfOutput(rest.toString('utf8', 0, end))
      if (time === null || time >= this.#since) return this.#end(rest)
      rest = rest.subarray(end + 1)
    }
    if (rest.length > longestLine) return this.#end(rest)
    this.#rest = rest
    return Buffer.alloc(0)
  }

  /** What is left where the log ends here. */
  end(): Buffer {
    const time = timeOfOutput(this.#rest.toString('utf8'))
    return this.#through || (time !== null && time < this.#since) ? Buffer.alloc(0) : this.#end(this.#rest)
  }

  #end(rest: Buffer): Buffer {
    this.#through = true
    this.#rest = Buffer.alloc(0)
    return rest
  }
}
