import { readFileSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { readEnvFile } from '../config/env-file.ts'
import { parseJsonText } from '../config/json-text.ts'
import { healthHost, healthPath, variableName } from '../config/patterns.ts'
import type { Config, ServiceConfig } from '../config/types.ts'
import { longestDurationMs, parseDuration, parseExpect, parseListen } from '../config/units.ts'
import { plainConfig } from './plain-config.ts'

/** What becomes of a key's value; undefined: that is for the schema to judge. */
type Read = (value: unknown) => unknown
/** By the key as it is written: what the config has it under, and how it is read. */
type Keys = ReadonlyMap<string, readonly [field: string, read: Read]>

/**
 * What loadConfig() gives for a gracer.json of usual keys with good values, without the schema, which takes longer to load
 * than a small app to boot. null: the schema must read it, be it to say what is wrong. A test holds the two together.
 */
export function plainFileConfig(file: string, address?: string): Config | null {
  const raw = objectIn(file)
  if (raw === null) return null
  const base = dirname(file)
  // A flag wins over the file, whatever stands there.
  const values = readKeys(address === undefined ? raw : new Map([...raw, ['listen', address]]), topKeys) as PlainValues | null
  const config = plainConfig(base, address)
  const [service] = config?.services ?? []
  if (values === null || config === null || service === undefined) return null
  const { listen = config.listen, workers = config.workers, log = config.log, trustProxy = config.front.trustProxy, $schema: _schema, ...own } = values
  const envFile = own.envFile == null ? null : resolve(base, own.envFile)
  if (envFile !== null && !isGoodEnvFile(envFile)) return null
  return {
    ...config, file, listen, workers, log: { ...config.log, ...log }, front: { ...config.front, trustProxy },
    services: [{
      ...service, ...own, envFile, releases: releasesFolder(own.releases, base),
      health: { ...service.health, ...own.health }, drain: { ...service.drain, ...own.drain },
      hooks: { ...service.hooks, ...own.hooks }, hold: { ...service.hold, ...own.hold },
    }],
  }
}

/** The test that compares with the schema's result holds this together with the tables below. */
type PlainValues = Partial<Omit<ServiceConfig, 'health' | 'drain' | 'hooks' | 'hold'> & Pick<Config, 'listen' | 'workers' | 'log'>> & {
  readonly $schema?: string
  readonly trustProxy?: boolean
  readonly health?: Partial<ServiceConfig['health']>
  readonly drain?: Partial<ServiceConfig['drain']>
  readonly hooks?: Partial<ServiceConfig['hooks']>
  readonly hold?: Partial<ServiceConfig['hold']>
}

function objectIn(file: string): ReadonlyMap<string, unknown> | null {
  try {
    const json = parseJsonText(readFileSync(file, 'utf8'))
    return json.ok ? entriesOf(json.value) : null
  } catch {
    return null
  }
}

function entriesOf(value: unknown): ReadonlyMap<string, unknown> | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? new Map(Object.entries(value)) : null
}

/** null: one of them is not plain. */
function readKeys(entries: ReadonlyMap<string, unknown>, keys: Keys): Record<string, unknown> | null {
  const read: [string, unknown][] = []
  for (const [key, value] of entries) {
    const known = keys.get(key)
    const result = known?.[1](value)
    if (known === undefined || result === undefined) return null
    read.push([known[0], result])
  }
  return Object.fromEntries(read)
}

const text: Read = (value) => (typeof value === 'string' ? value : undefined)
const yesOrNo: Read = (value) => (typeof value === 'boolean' ? value : undefined)
const path = (value: unknown): string | undefined => (typeof value === 'string' && /^[^\u0000]+$/.test(value) ? value : undefined)
const like = (pattern: RegExp): Read => (value) => (typeof value === 'string' && pattern.test(value) ? value : undefined)
const oneOf = (...names: readonly string[]): Read => (value) => (names.includes(value as string) ? value : undefined)
const whole = (least: number, most: number): Read => (value) => (Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most ? value : undefined)
const orNull = (read: Read): Read => (value) => (value === null ? null : read(value))
const parsed = (parse: (text: string) => unknown): Read => (value) => (typeof value === 'string' ? parse(value) : undefined)
const duration = (leastMs = 1): Read => parsed((written) => {
  const ms = parseDuration(written)
  return ms !== undefined && ms >= leastMs && ms <= longestDurationMs ? ms : undefined
})

const words: Read = (value) => (Array.isArray(value) && value.length > 0 && value[0] !== '' && value.every((word) => typeof word === 'string' && !word.includes('\0')) ? value : undefined)

const commands: Read = (value) => {
  if (!Array.isArray(value)) return undefined
  if (value.length === 0 || value.every((one) => words(one) !== undefined)) return value
  return words(value) === undefined ? undefined : [value]
}

const variables: Read = (value) => {
  const entries = entriesOf(value)
  const good = entries !== null && [...entries].every(([name, one]) => variableName.test(name) && name !== '__proto__' && typeof one === 'string' && !one.includes('\0'))
  return good ? entries : undefined
}

const group = (keys: readonly (readonly [key: string, field: string, read: Read])[]): Read => {
  const known: Keys = new Map(keys.map(([key, field, read]) => [key, [field, read]]))
  return (value) => {
    const entries = entriesOf(value)
    return entries === null ? undefined : (readKeys(entries, known) ?? undefined)
  }
}

const topKeys: Keys = new Map<string, readonly [string, Read]>([
  ['$schema', ['$schema', text]],
  ['listen', ['listen', parsed(parseListen)]],
  ['workers', ['workers', whole(1, 64)]],
  ['trustProxy', ['trustProxy', yesOrNo]],
  ['log', ['log', group([['level', 'level', oneOf('debug', 'info', 'warn', 'error')]])]],
  ['releases', ['releases', orNull(path)]],
  ['command', ['command', orNull(words)]],
  ['socket', ['socket', oneOf('auto', 'inherit', 'port')]],
  ['env', ['env', variables]],
  ['envFile', ['envFile', orNull(path)]],
  ['keep', ['keep', whole(1, 1000)]],
  ['settle', ['settleMs', duration()]],
  ['bake', ['bakeMs', duration(0)]],
  ['previousAssets', ['previousAssets', yesOrNo]],
  ['onCrashLoop', ['onCrashLoop', oneOf('hold', 'rollback')]],
  ['overlap', ['overlap', yesOrNo]],
  ['health', ['health', group([
    ['path', 'path', orNull(like(healthPath))], ['host', 'host', like(healthHost)], ['expect', 'expect', parsed(parseExpect)], ['successes', 'successes', whole(1, 100)],
    ['interval', 'intervalMs', duration()], ['timeout', 'timeoutMs', duration()], ['deadline', 'deadlineMs', duration()],
  ])]],
  ['drain', ['drain', group([
    ['timeout', 'timeoutMs', duration()], ['streams', 'streamsMs', duration(0)], ['upgraded', 'upgradedMs', duration(0)],
    ['spread', 'spreadMs', duration(0)], ['stop', 'stopMs', duration()],
  ])]],
  ['hooks', ['hooks', group([
    ['prepare', 'prepare', commands], ['release', 'release', commands], ['confirmed', 'confirmed', commands], ['timeout', 'timeoutMs', duration()],
  ])]],
  ['hold', ['hold', group([['timeout', 'timeoutMs', duration()], ['max', 'max', whole(0, 100_000)], ['pace', 'pace', whole(1, 1_000_000)]])]],
])

function releasesFolder(named: string | null | undefined, base: string): string | null {
  if (named !== undefined) return named === null ? null : resolve(base, named)
  const usual = join(base, 'releases')
  return statSync(usual, { throwIfNoEntry: false })?.isDirectory() === true ? usual : null
}

function isGoodEnvFile(file: string): boolean {
  try {
    readEnvFile(file)
    return true
  } catch {
    return false
  }
}
