import { readFileSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import type { z } from 'zod'
import { GracerError } from '../../inherit/gracer-error.ts'
import { matchesAll, type Match } from '../../proxy/match.ts'
import { completeFront } from './front-config.ts'
import { readEnvFile } from './env-file.ts'
import { crossProblems } from './cross-problems.ts'
import { findConfig } from './find-config.ts'
import { parseJsonText } from './json-text.ts'
import { invalidConfig, pathText, problemsFrom } from './problems.ts'
import type { ConfigProblem } from './problems.ts'
import { flatKeys, flatSchema, servicesSchema } from './schema.ts'
import type { TopValues } from './schema.ts'
import { completeService } from './service-config.ts'
import type { ServiceValues } from './service-schema.ts'
import { problemsBetween } from './services-together.ts'
import type { Config } from './types.ts'

/** What flags say, as text from the command line. They win over the file; paths are relative to `cwd`. */
export interface ConfigOverrides {
  readonly listen?: string
  readonly releases?: string
  readonly watch?: string
  readonly workers?: number
  readonly command?: readonly string[]
}

export interface LoadOptions {
  /** Path of the config; absent: gracer.json in `cwd` or the nearest folder above it, and without one the defaults. */
  readonly file?: string
  readonly cwd: string
  readonly overrides?: ConfigOverrides
}

export type Origin = 'default' | 'file' | 'flag'

/** Where the values of a config came from, by dotted path; what is missing here is a default. */
const originsByConfig = new WeakMap<Config, ReadonlyMap<string, Origin>>()

export function originsOf(config: Config): ReadonlyMap<string, Origin> {
  return originsByConfig.get(config) ?? new Map<string, Origin>()
}

/**
 * Reads, checks and completes the config; the result is frozen.
 * @throws GracerError 'config-invalid' with every error at once, 'config-missing', 'config-unreadable',
 * 'config-not-ours', 'env-file-unreadable' or 'env-file-invalid'; all exit 2.
 */
export function loadConfig(options: LoadOptions): Config {
  const file = options.file === undefined ? findConfig(options.cwd) : resolve(options.cwd, options.file)
  const base = file === null ? resolve(options.cwd) : dirname(file)
  const source = file === null ? 'the command line' : file
  const raw = file === null ? {} : readFile(file)

  const problems: ConfigProblem[] = []
  const origins = new Map<string, Origin>()
  const overrides = options.overrides ?? {}
  const form = isObject(raw) && Object.hasOwn(raw, 'services') ? 'services' : 'flat'
  const merged = mergeFlags(form === 'flat' ? raw : withoutFlatKeys(raw, overrides, problems), overrides, origins)
  const parsed = form === 'flat' ? parseFlat(merged) : parseServices(merged)
  if (parsed.issues.length > 0) {
    const found = problemsFrom(parsed.issues, merged)
    problems.push(...found.map((problem) => (origins.get(problem.path) === 'flag' ? { ...problem, path: `--${problem.path}` } : problem)))
  }
  for (const { name, values } of parsed.values?.services ?? []) problems.push(...crossProblems(values, form === 'flat' ? '' : `${pathText(['services', name])}.`))
  if (problems.length > 0 || parsed.values === null) throw invalidConfig(source, problems)

  const { top, services } = parsed.values
  const completed = services.map(({ name, match, values }) => {
    const flag = overrides.releases
    const releases = values.watch != null ? null : flag !== undefined ? resolve(options.cwd, flag) : form === 'flat' ? releasesFolder(values.releases, base) : ownReleases(name, values.releases, base)
    return completeService(values, { name, match, releases, watch: overrides.watch === undefined ? undefined : resolve(options.cwd, overrides.watch), base })
  })
  const config = freezeDeep<Config>({
    file, base, listen: top.listen, workers: top.workers, front: completeFront(top, base), log: { level: top.log.level }, metrics: top.metrics.listen, form, services: completed,
  })
  checkTogether(config, source)
  checkEnvFiles(config, source)
  originsByConfig.set(config, origins)
  return config
}

interface Parsed {
  readonly top: TopValues
  readonly services: readonly { readonly name: string; readonly match: Match; readonly values: ServiceValues }[]
}

type ParseResult = { readonly values: Parsed | null; readonly issues: readonly z.core.$ZodIssue[] }

function parseFlat(merged: unknown): ParseResult {
  const parsed = flatSchema.safeParse(merged)
  if (!parsed.success) return { values: null, issues: parsed.error.issues }
  return { values: { top: parsed.data, services: [{ name: 'default', match: matchesAll, values: parsed.data }] }, issues: [] }
}

function parseServices(merged: unknown): ParseResult {
  const parsed = servicesSchema.safeParse(merged)
  if (!parsed.success) return { values: null, issues: parsed.error.issues }
  const services = Object.entries(parsed.data.services).map(([name, values]) => ({ name, match: { host: values.host, path: values.path }, values }))
  return { values: { top: parsed.data, services }, issues: [] }
}

/** What no service can be wrong about alone. @throws GracerError 'config-invalid' */
function checkTogether(config: Config, source: string): void {
  const problems = problemsBetween(config.services)
  if (problems.length > 0) throw invalidConfig(source, problems)
}

/** @throws GracerError as readEnvFile, where one is bad; 'config-invalid' with all of them where several are. */
function checkEnvFiles(config: Config, source: string): void {
  const failed = config.services.flatMap(({ name, envFile }) => {
    try {
      if (envFile !== null) readEnvFile(envFile)
      return []
    } catch (error) {
      return [{ path: config.form === 'flat' ? 'envFile' : pathText(['services', name, 'envFile']), error: error as Error }]
    }
  })
  if (failed.length === 1) throw failed[0]?.error
  if (failed.length > 1) throw invalidConfig(source, failed.map(({ path, error }) => ({ path, message: error.message })))
}

function readFile(file: string): unknown {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code
    if (code === 'ENOENT') throw new GracerError(`${file} does not exist`, { code: 'config-missing', exitCode: 2, cause, hint: 'Without --config gracer takes gracer.json from this folder or one above it.' })
    throw new GracerError(`${file} cannot be read (${code ?? 'unknown error'})`, { code: 'config-unreadable', exitCode: 2, cause, hint: code === 'EISDIR' ? 'It is a folder: name a file with --config.' : 'The user who runs gracer must be able to read it.' })
  }
  const json = parseJsonText(text)
  if (json.ok) return json.value
  throw invalidConfig(basename(file), [{ path: `${file}:${json.line}:${json.column}`, message: json.message }])
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Beside `services` nothing stands at the top that belongs to one service: it would be anybody's guess to which. */
function withoutFlatKeys(raw: unknown, overrides: ConfigOverrides, problems: ConfigProblem[]): unknown {
  if (!isObject(raw)) return raw
  const flat = flatKeys.filter((key) => Object.hasOwn(raw, key))
  for (const key of flat) problems.push({ path: key, message: `stands beside "services" and belongs to one service; write it as ${JSON.stringify(`services.NAME.${key}`)}` })
  if (overrides.releases !== undefined) problems.push({ path: '--releases', message: 'is for one service, and the config has "services"; write "services.NAME.releases"' })
  if (overrides.watch !== undefined) problems.push({ path: '--watch', message: 'is for one service, and the config has "services"; write "services.NAME.watch"' })
  if (overrides.command !== undefined) problems.push({ path: '-- CMD', message: 'is for one service, and the config has "services"; write "services.NAME.command"' })
  return Object.fromEntries(Object.entries(raw).filter(([key]) => !flat.includes(key)))
}

function mergeFlags(raw: unknown, overrides: ConfigOverrides, origins: Map<string, Origin>): unknown {
  if (!isObject(raw)) return raw
  noteOrigins(raw, [], origins)
  const flags = Object.entries(overrides).filter(([key, value]) => value !== undefined && !(Object.hasOwn(raw, 'services') && flatKeys.includes(key)))
  for (const [key] of flags) origins.set(key, 'flag')
  return Object.fromEntries([...Object.entries(raw), ...flags])
}

/** Down to the keys of a service's groups. */
function noteOrigins(values: Record<string, unknown>, path: readonly string[], origins: Map<string, Origin>): void {
  for (const [key, value] of Object.entries(values)) {
    const here = [...path, key]
    origins.set(pathText(here), 'file')
    if (isObject(value) && here.length < 4) noteOrigins(value, here, origins)
  }
}

function releasesFolder(named: string | null | undefined, base: string): string | null {
  if (named === null) return null
  if (named !== undefined) return resolve(base, named)
  const usual = join(base, 'releases')
  return statSync(usual, { throwIfNoEntry: false })?.isDirectory() === true ? usual : null
}

/** Among several services each has a folder of its own, made where it is missing. */
function ownReleases(name: string, named: string | null | undefined, base: string): string | null {
  return named === null ? null : resolve(base, named ?? join('releases', name))
}

/** Freezes plain objects and arrays all the way down; Maps are read-only by their type. */
function freezeDeep<T>(value: T): T {
  if (typeof value !== 'object' || value === null || value instanceof Map) return value
  for (const inner of Object.values(value)) freezeDeep(inner)
  return Object.freeze(value)
}
