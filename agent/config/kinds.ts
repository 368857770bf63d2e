import { z } from 'zod'
import { parsePercent } from '../canary/step-text.ts'
import { durationPattern, formatDuration, longestDurationMs, parseDuration } from './units.ts'

/** What the keys of gracer.json are made of. Each message says only what was expected; see problems.ts. */

export function duration(description: string, leastMs = 1) {
  const expected = `a duration from ${formatDuration(leastMs)} to ${formatDuration(longestDurationMs)} with its unit, such as "250ms", "30s", "2m" or "1h"`
  return z
    .string({ error: expected })
    .regex(durationPattern, { error: expected, abort: true })
    .transform((text, context) => {
      const ms = parseDuration(text)
      if (ms !== undefined && ms >= leastMs && ms <= longestDurationMs) return ms
      context.addIssue(expected)
      return z.NEVER
    })
    .meta({ description })
}

export function whole(least: number, most: number, description: string) {
  const expected = `a whole number from ${least} to ${most}`
  return z.int({ error: expected }).min(least, { error: expected }).max(most, { error: expected }).meta({ description })
}

export function percent(description: string) {
  const expected = 'a percentage with at most two decimals, as a string such as "1%"'
  return z
    .string({ error: expected })
    .transform((written, context) => {
      const share = parsePercent(written)
      if (share !== undefined) return share
      context.addIssue(expected)
      return z.NEVER
    })
    .meta({ description, kind: 'percentage' })
}

export function number(least: number, most: number, description: string) {
  const expected = `a number from ${least} to ${most}`
  return z.number({ error: expected }).min(least, { error: expected }).max(most, { error: expected }).meta({ description })
}

export function yesOrNo(description: string) {
  return z.boolean({ error: 'true or false' }).meta({ description })
}

export function oneOf<const Names extends readonly [string, ...string[]]>(names: Names, description: string) {
  return z.enum(names, { error: names.map((name) => JSON.stringify(name)).join(' or ') }).meta({ description })
}

export function text(expected: string, pattern: RegExp, description: string) {
  return z.string({ error: expected }).regex(pattern, { error: expected, abort: true }).meta({ description })
}

export function group<Shape extends z.ZodRawShape>(shape: Shape, description: string) {
  return z
    .strictObject(shape, { error: (issue) => (issue.code === 'invalid_type' ? 'an object, { … }' : undefined) })
    .prefault({} as never)
    .meta({ description })
}

export const pathText = 'a path, as a string that is not empty'
 
export const noNul = /^[^\u0000]+$/
export const commandsText = 'a command as an array of strings, such as ["npm", "ci"], or a list of those; a line for a shell is ["sh", "-c", "…"]'
export const commandText = 'the program and its arguments as an array of strings, such as ["node", "server.mjs"]'
// RFC 9110, 5.6.2 (token) and 5.5 (field values).
export const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
export const fieldValue = /^(?:[\u0021-\u007e\u0080-\u00ff](?:[\t\u0020-\u007e\u0080-\u00ff]*[\u0021-\u007e\u0080-\u00ff])?)?$/

/** One command, or several in order; always several once read. */
export function commands(description: string) {
  const word = z.string({ error: commandsText }).regex(/^[^\u0000]*$/, { error: commandsText })
  const command = z.array(word, { error: commandsText }).min(1, { error: commandsText }).refine((words) => words[0] !== '', { error: commandsText })
  return z
    .union([z.array(command), command], { error: commandsText })
    .transform((value) => (typeof value[0] === 'string' ? [value as string[]] : (value as string[][])))
    .meta({ description })
}
