import { readFileSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { GracerError } from '../../inherit/gracer-error.ts'
import { completeCanary } from './canary-schema.ts'
import { readEnvFile } from './env-file.ts'
import { crossProblems } from './cross-problems.ts'
import { findConfig } from './find-config.ts'
import { parseJsonText } from './json-text.ts'
import { invalidConfig, problemsFrom } from './problems.ts'
import type { ConfigProblem } from './problems.ts'
import { fileSchema, laterKeys } from './schema.ts'
import type { FileValues } from './schema.ts'
import type { Config } from './types.ts'

/** What flags say, as text from the command line. They win over the file; paths are relative to `cwd`. */
export interface ConfigOverrides {
  readonly listen?: string
  readonly releases?: string
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
  const merged = mergeFlags(withoutLaterKeys(raw, problems), options.overrides ?? {}, origins)
  const parsed = fileSchema.safeParse(merged)
  if (!parsed.success) {
    const found = problemsFrom(parsed.error.issues, merged)
    problems.push(...found.map((problem) => (origins.get(problem.path) === 'flag' ? { ...problem, path: `--${problem.path}` } : problem)))
  }
  else problems.push(...crossProblems(parsed.data))
  if (problems.length > 0 || !parsed.success) throw invalidConfig(source, problems)
  const envFile = parsed.data.envFile === null ? null : resolve(base, parsed.data.envFile)
  if (envFile !== null) readEnvFile(envFile)

  const flagReleases = options.overrides?.releases
  const releases = flagReleases !== undefined ? resolve(options.cwd, flagReleases) : releasesFolder(parsed.data.releases, base)
  const config = freezeDeep(completed(parsed.data, { file, base, releases, envFile }))
  originsByConfig.set(config, origins)
  return config
}

function readFile(file: string): unknown {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code
    if (code === 'ENOENT') throw new GracerError(`${file} does not exist`, { code: 'config-missing', exitCode: 2, cause, hint: 'Without --config gracer takes gracer.json from this folder or one above it.' })
    throw new GracerError(`${file} cannot be read (${code ?? 'unknown error'})`, { code: 'config-unreadable', exitCode: 2, cause })
  }
  const json = parseJsonText(text)
  if (json.ok) return json.value
  throw invalidConfig(basename(file), [{ path: `${file}:${json.line}:${json.column}`, message: json.message }])
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function withoutLaterKeys(raw: unknown, problems: ConfigProblem[]): unknown {
  if (!isObject(raw)) return raw
  for (const key of laterKeys) {
    if (Object.hasOwn(raw, key)) problems.push({ path: key, message: 'not supported by this version of gracer' })
  }
  return Object.fromEntries(Object.entries(raw).filter(([key]) => !laterKeys.includes(key)))
}

function mergeFlags(raw: unknown, overrides: ConfigOverrides, origins: Map<string, Origin>): unknown {
  if (!isObject(raw)) return raw
  for (const [key, value] of Object.entries(raw)) {
    origins.set(key, 'file')
    if (isObject(value)) for (const inner of Object.keys(value)) origins.set(`${key}.${inner}`, 'file')
  }
  const flags = Object.entries(overrides).filter(([, value]) => value !== undefined)
  for (const [key] of flags) origins.set(key, 'flag')
  return Object.fromEntries([...Object.entries(raw), ...flags])
}

function releasesFolder(named: string | null | undefined, base: string): string | null {
  if (named === null) return null
  if (named !== undefined) return resolve(base, named)
  const usual = join(base, 'releases')
  return statSync(usual, { throwIfNoEntry: false })?.isDirectory() === true ? usual : null
}

interface Resolved {
  readonly file: string | null
  readonly base: string
  readonly releases: string | null
  readonly envFile: string | null
}

function completed(values: FileValues, resolved: Resolved): Config {
  return {
    file: resolved.file,
    base: resolved.base,
    listen: values.listen,
    workers: values.workers,
    front: { trustProxy: values.trustProxy, idleMs: values.limits.idle },
    log: values.log,
    services: [
      {
        name: 'default',
        releases: resolved.releases,
        command: values.command,
        socket: values.socket,
        env: new Map(Object.entries(values.env)),
        envFile: resolved.envFile,
        keep: values.keep,
        settleMs: values.settle,
        health: {
          path: values.health.path,
          host: values.health.host,
          headers: new Map(Object.entries(values.health.headers)),
          expect: values.health.expect,
          intervalMs: values.health.interval,
          timeoutMs: values.health.timeout,
          successes: values.health.successes,
          deadlineMs: values.health.deadline,
        },
        drain: {
          timeoutMs: values.drain.timeout,
          streamsMs: values.drain.streams,
          upgradedMs: values.drain.upgraded,
          spreadMs: values.drain.spread,
          stopMs: values.drain.stop,
        },
        bakeMs: values.bake,
        onCrashLoop: values.onCrashLoop,
        canary: completeCanary(values.canary),
        overlap: values.overlap,
        hooks: { prepare: values.hooks.prepare, release: values.hooks.release, confirmed: values.hooks.confirmed, timeoutMs: values.hooks.timeout },
        ports: new Map(Object.entries(values.ports)),
        hold: { timeoutMs: values.hold.timeout, max: values.hold.max },
      },
    ],
  }
}

/** Freezes plain objects and arrays all the way down; Maps are read-only by their type. */
function freezeDeep<T>(value: T): T {
  if (typeof value !== 'object' || value === null || value instanceof Map) return value
  for (const inner of Object.values(value)) freezeDeep(inner)
  return Object.freeze(value)
}
