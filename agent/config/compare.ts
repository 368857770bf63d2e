import { describeConfig } from './describe.ts'
import { describeService } from './service-config.ts'
import type { Config, ServiceConfig } from './types.ts'

/** What differs between the config that is in use and the one in the file. */
export interface ConfigChange {
  readonly added: readonly string[]
  readonly removed: readonly string[]
  readonly changed: readonly {
    readonly service: string
    /** Keys that a reload makes so at once. */
    readonly now: readonly string[]
    /** Keys that the next boot of a release takes up: a swap, or `gracer restart`. */
    readonly nextBoot: readonly string[]
  }[]
  /** Keys at the top that a reload makes so at once. */
  readonly now: readonly string[]
  /** Keys at the top that only a new `gracer up` takes up. */
  readonly nextStart: readonly string[]
  /** What could not be made so yet, a sentence each. */
  readonly notes?: readonly string[]
}

/** Of a service, what needs no process of it to be started afresh. */
const atOnce: ReadonlySet<string> = new Set(['host', 'path', 'hold.timeout', 'hold.max', 'hold.pace', 'settle', 'releases', 'keep', 'previousAssets'])

/** Of the top, what a process of gracer's own is started with. */
const atNextStart: ReadonlySet<string> = new Set(['listen', 'workers', 'log.level'])

/** Pure. A service is the same by its name; another name is another service. */
export function compareConfigs(before: Config, after: Config): ConfigChange {
  const byName = (config: Config): ReadonlyMap<string, ServiceConfig> => new Map(config.services.map((service) => [service.name, service]))
  const [old, next] = [byName(before), byName(after)]
  const changed = [...next.values()].flatMap((service) => {
    const earlier = old.get(service.name)
    const keys = earlier === undefined ? [] : differing(valuesOf(earlier), valuesOf(service))
    return keys.length === 0 ? [] : [{ service: service.name, now: keys.filter((key) => atOnce.has(key)), nextBoot: keys.filter((key) => !atOnce.has(key)) }]
  })
  const topKeys = [...new Set(differing(topOf(before), topOf(after)).map((key) => (isAccess(key) && isOff(before) !== isOff(after) ? 'log.access' : key)))]
  return {
    added: [...next.keys()].filter((name) => !old.has(name)),
    removed: [...old.keys()].filter((name) => !next.has(name)),
    changed,
    now: topKeys.filter((key) => !atNextStart.has(key)),
    nextStart: topKeys.filter((key) => atNextStart.has(key)),
  }
}

function isAccess(key: string): boolean {
  return key === 'log.access' || key.startsWith('log.access.')
}

function isOff({ front }: Config): boolean {
  return front.access === null
}

function differing(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): string[] {
  return [...after].filter(([key, value]) => before.get(key) !== value).map(([key]) => key)
}

function topOf(config: Config): ReadonlyMap<string, string> {
  return new Map(describeConfig({ ...config, services: [] }).map(({ key, value }) => [key, JSON.stringify(value)]))
}

/** Values of env and headers are compared as they are, and shown nowhere. */
function valuesOf(service: ServiceConfig): ReadonlyMap<string, string> {
  const shown = describeService(service).filter(([key]) => key !== 'env' && key !== 'health.headers').map(([key, value]): [string, string] => [key, JSON.stringify(value)])
  return new Map([
    ['host', JSON.stringify(service.match.host)], ['path', service.match.path], ...shown,
    ['env', JSON.stringify([...service.env])], ['health.headers', JSON.stringify([...service.health.headers])],
  ])
}
