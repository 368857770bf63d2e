import { InvalidArgumentError, Option, type Command } from 'commander'
import { formatDuration, parseDuration } from '../config/units.ts'
import type { CommonOptions } from './options.ts'
import { parseSince } from './since.ts'

/** How the verbs read their options and arguments. */

/** Declares verbs on the program. The commands themselves are loaded only when they run; `done` gets the exit code. */
export type Declare = (program: Command, done: (exitCode: number) => void) => void

export function commonOf(command: Command): CommonOptions {
  const { config, state, service, json, color } = command.optsWithGlobals<Partial<CommonOptions>>()
  return { ...given({ config, state, service }), json: json === true, color: color !== false }
}

type Given<T> = { [K in keyof T]?: Exclude<T[K], undefined> }

/** Without the keys that have no value: an absent option is absent, not undefined. */
export function given<T extends object>(values: T): Given<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Given<T>
}

export function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (/^\d{1,9}$/.test(text) && value >= least && value <= most) return value
    throw new InvalidArgumentError(`expected a whole number from ${least} to ${most}, got ${JSON.stringify(text)}.`)
  }
}

export function duration(text: string): number {
  const ms = parseDuration(text)
  if (ms !== undefined && ms >= 1 && ms <= 24 * 3_600_000) return ms
  throw new InvalidArgumentError(`expected a duration from 1ms to 24h with its unit, such as "90s" or "2m", got ${JSON.stringify(text)}.`)
}

/** An option whose help shows its default as it would be typed. */
export function durationOption(flags: string, description: string, defaultMs: number): Option {
  return new Option(flags, description).argParser(duration).default(defaultMs, formatDuration(defaultMs))
}

/** To ms since 1970. */
export function pastTime(text: string): number {
  const time = parseSince(text, Date.now())
  if (time !== undefined) return Math.max(0, time)
  throw new InvalidArgumentError(`expected how long ago ("90s", "10m", "2h") or a time that has passed ("14:05", "2026-11-25 14:05", "2026-11-25T14:05:00Z"), got ${JSON.stringify(text)}.`)
}
