import { defaultLimits } from '../../proxy/front-settings.ts'
import { matchesAll } from '../../proxy/match.ts'
import { buildDefaults } from '../builds/limits.ts'
import { bakeRule } from '../canary/bake-rule.ts'
import { defaults } from '../config/defaults.ts'
import type { Config } from '../config/types.ts'
import { parseDuration, parseExpect, parseListen } from '../config/units.ts'

/**
 * What loadConfig() gives where there is no gracer.json, without the schema: loading that takes longer than a small app's
 * whole boot. A test holds the two together. `address`: of the command line; null: it is none that could be listened on.
 */
export function plainConfig(base: string, address: string = defaults.listen): Config | null {
  const { health, drain, hold } = defaults
  const listen = parseListen(address)
  if (listen === undefined) return null
  return {
    file: null, base, listen, workers: defaults.workers, log: { level: defaults.log.level }, metrics: null, form: 'flat',
    front: { trustProxy: defaults.trustProxy, limits: defaultLimits, access: null },
    services: [{
      name: 'default', match: matchesAll, releases: null, watch: null, command: null, socket: defaults.socket, env: new Map(), envFile: null,
      keep: defaults.keep, settleMs: ms(defaults.settle), builds: buildDefaults, bakeMs: ms(defaults.bake), bakeRule, previousAssets: defaults.previousAssets, onCrashLoop: defaults.onCrashLoop, overlap: defaults.overlap,
      health: {
        path: health.path, host: health.host, headers: new Map(), expect: parseExpect(health.expect) ?? [], successes: health.successes,
        intervalMs: ms(health.interval), timeoutMs: ms(health.timeout), deadlineMs: ms(health.deadline),
      },
      drain: { timeoutMs: ms(drain.timeout), streamsMs: ms(drain.streams), upgradedMs: ms(drain.upgraded), spreadMs: ms(drain.spread), stopMs: ms(drain.stop) },
      hooks: { prepare: [], release: [], confirmed: [], timeoutMs: ms(defaults.hooks.timeout) },
      ports: new Map(),
      hold: { timeoutMs: ms(hold.timeout), max: hold.max, pace: hold.pace },
    }],
  }
}

function ms(text: string): number {
  return parseDuration(text) ?? 0
}
