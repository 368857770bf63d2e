import { canaryConfigDefault } from './canary.ts'
import { describeCanary } from './canary-schema.ts'
import { originsOf } from './load.ts'
import type { Origin } from './load.ts'
import type { Config } from './types.ts'
import { formatDuration, formatExpect, formatListen } from './units.ts'

/** One effective value, written as it would stand in gracer.json. */
export interface ConfigLine {
  readonly key: string
  readonly value: unknown
  readonly origin: Origin
}

/** The effective config in full, with the origin of each value, for `gracer check`. Values of env and headers are not shown. */
export function describeConfig(config: Config): readonly ConfigLine[] {
  const origins = originsOf(config)
  const lines: ConfigLine[] = []
  const add = (key: string, value: unknown): void => {
    lines.push({ key, value, origin: origins.get(key) ?? 'default' })
  }
  add('listen', formatListen(config.listen))
  add('workers', config.workers)
  add('trustProxy', config.front.trustProxy)
  add('limits.idle', formatDuration(config.front.idleMs))
  add('log.level', config.log.level)
  add('log.access', config.log.access)
  for (const service of config.services) {
    add('releases', service.releases)
    add('command', service.command)
    add('socket', service.socket)
    add('env', hidden(service.env))
    add('envFile', service.envFile)
    add('keep', service.keep)
    add('settle', formatDuration(service.settleMs))
    add('health.path', service.health.path)
    add('health.host', service.health.host)
    add('health.headers', hidden(service.health.headers))
    add('health.expect', formatExpect(service.health.expect))
    add('health.interval', formatDuration(service.health.intervalMs))
    add('health.timeout', formatDuration(service.health.timeoutMs))
    add('health.successes', service.health.successes)
    add('health.deadline', formatDuration(service.health.deadlineMs))
    add('drain.timeout', formatDuration(service.drain.timeoutMs))
    add('drain.streams', formatDuration(service.drain.streamsMs))
    add('drain.upgraded', formatDuration(service.drain.upgradedMs))
    add('drain.spread', formatDuration(service.drain.spreadMs))
    add('drain.stop', formatDuration(service.drain.stopMs))
    add('bake', formatDuration(service.bakeMs))
    add('onCrashLoop', service.onCrashLoop)
    add('overlap', service.overlap)
    add('hooks.prepare', service.hooks.prepare)
    add('hooks.release', service.hooks.release)
    add('hooks.confirmed', service.hooks.confirmed)
    add('hooks.timeout', formatDuration(service.hooks.timeoutMs))
    add('ports', Object.fromEntries(service.ports))
    for (const [key, value] of describeCanary(service.canary ?? canaryConfigDefault)) add(key, value)
    add('hold.timeout', formatDuration(service.hold.timeoutMs))
    add('hold.max', service.hold.max)
  }
  return lines
}

/** Names only: a value may be a secret, and what `check` prints ends up in bug reports. */
function hidden(values: ReadonlyMap<string, string>): Record<string, string> {
  return Object.fromEntries([...values.keys()].map((name) => [name, '(set)']))
}
