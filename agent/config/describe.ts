import { describeFront } from './front-config.ts'
import { originsOf } from './load.ts'
import type { Origin } from './load.ts'
import { pathText } from './problems.ts'
import { describeService } from './service-config.ts'
import type { Config } from './types.ts'
import { formatListen } from './units.ts'

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
  add('log.level', config.log.level)
  for (const [key, value] of describeFront(config.front)) add(key, value)
  add('metrics.listen', config.metrics === null ? null : formatListen(config.metrics))
  for (const service of config.services) {
    const within = config.form === 'flat' ? '' : `${pathText(['services', service.name])}.`
    if (config.form === 'services') {
      add(`${within}host`, service.match.host)
      add(`${within}path`, service.match.path)
    }
    for (const [key, value] of describeService(service)) add(within + key, value)
  }
  return lines
}
