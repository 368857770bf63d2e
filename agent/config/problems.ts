import type { z } from 'zod'
import { GracerError } from '../../inherit/gracer-error.ts'
import { nearest } from './nearest.ts'
import { knownKeys } from './schema.ts'

/** One thing wrong with the config. */
export interface ConfigProblem {
  /** As in 'health.interval' or 'command[0]'; '--listen' for a flag; '' for the file as a whole. */
  readonly path: string
  readonly message: string
}

/** What zod found, as problems: where, what was expected, what came. Values of env and headers are not shown. */
export function problemsFrom(issues: readonly z.core.$ZodIssue[], raw: unknown): readonly ConfigProblem[] {
  const problems: ConfigProblem[] = []
  const seen = new Set<string>()
  for (const issue of issues) {
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys) problems.push({ path: pathText([...issue.path, key]), message: unknownKey(issue.path.map(String), key) })
      continue
    }
    const path = pathText(issue.path)
    if (seen.has(path)) continue
    seen.add(path)
    // For a bad key of a record the message of the key's own schema says more than "Invalid key in record".
    const expected = issue.code === 'invalid_key' ? (issue.issues[0]?.message ?? issue.message) : issue.message
    const came = issue.code === 'invalid_key' ? JSON.stringify(String(issue.path.at(-1))) : shown(issue.path, valueAt(raw, issue.path))
    problems.push({ path, message: `expected ${expected}, got ${came}` })
  }
  return problems
}

function unknownKey(parents: readonly string[], key: string): string {
  const here = groupOf(parents)
  const known = knownKeys.get(here) ?? []
  const elsewhere = placesOf(key, here, parents)
  if (elsewhere.length > 0) return `unknown key here; did you mean ${elsewhere.join(' or ')}?`
  const near = nearest(key, known)
  return near === undefined ? `unknown key; expected one of ${known.join(', ')}` : `unknown key; did you mean ${JSON.stringify(near)}?`
}

/** Where else a key of this name stands: of a service that is named, in the same service before the top. */
function placesOf(key: string, here: string, [services, service]: readonly string[]): string[] {
  const groups = [...knownKeys.keys()].filter((group) => group !== here && knownKeys.get(group)?.includes(key) === true)
  const name = services === 'services' && service !== undefined ? service : null
  const own = groups.filter((group) => (name === null ? !group.startsWith('services.*.') : group.startsWith('services.*')))
  return (own.length > 0 ? own : groups.slice(0, 1)).map((group) => (group === '' ? `"${key}" at the top` : `"${group.replace('*', name ?? 'NAME')}.${key}"`))
}

/** The name in knownKeys of the group at this path. */
function groupOf(path: readonly string[]): string {
  return (path[0] === 'services' && path.length > 1 ? ['services', '*', ...path.slice(2)] : path).join('.')
}

/** ['command', 0] is 'command[0]'; a key that is no plain word is quoted. */
export function pathText(path: readonly PropertyKey[]): string {
  let text = ''
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`
    else if (/^[$A-Za-z_][\w$-]*$/.test(String(step))) text += `${text === '' ? '' : '.'}${String(step)}`
    else text += `[${JSON.stringify(String(step))}]`
  }
  return text
}

function valueAt(raw: unknown, path: readonly PropertyKey[]): unknown {
  let value = raw
  for (const step of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined
    value = (value as Record<PropertyKey, unknown>)[step]
  }
  return value
}

function shown(path: readonly PropertyKey[], value: unknown): string {
  if (value === undefined) return 'nothing'
  if (value === null) return 'null'
  const own = path[0] === 'services' ? path.slice(2) : path
  const secret = own[0] === 'env' || own[1] === 'headers'
  if (Array.isArray(value)) return value.length === 0 ? 'an empty array' : 'an array'
  if (typeof value === 'object') return 'an object'
  if (secret) return `a ${typeof value} (not shown)`
  const text = JSON.stringify(value)
  return text.length > 60 ? `${text.slice(0, 57)}…` : text
}

/** All problems in one error; the list itself is its `cause`. */
export function invalidConfig(source: string, problems: readonly ConfigProblem[]): GracerError {
  const lines = problems.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`))
  const head = `${source} has ${problems.length === 1 ? 'an error' : `${problems.length} errors`}`
  return new GracerError(`${head}:\n${lines.map((line) => `  ${line}`).join('\n')}`, {
    code: 'config-invalid',
    exitCode: 2,
    hint: 'Mend it; "gracer check" tells whether it is right. A gracer that runs goes on by what it had.',
    cause: problems,
  })
}

/** The single problems of an error made by invalidConfig; empty for any other error. */
export function problemsOf(error: unknown): readonly ConfigProblem[] {
  return error instanceof GracerError && error.code === 'config-invalid' && Array.isArray(error.cause) ? (error.cause as ConfigProblem[]) : []
}
