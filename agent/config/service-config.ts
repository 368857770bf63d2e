import { resolve } from 'node:path'
import type { Match } from '../../proxy/match.ts'
import { bakeRule, type BakeRule } from '../canary/bake-rule.ts'
import { formatPercent } from '../canary/step-text.ts'
import { canaryConfigDefault } from './canary.ts'
import { completeCanary, describeCanary } from './canary-schema.ts'
import type { ServiceValues } from './service-schema.ts'
import type { ServiceConfig } from './types.ts'
import { formatDuration, formatExpect } from './units.ts'

/** What of a service is not its own values. */
export interface ServicePlace {
  readonly name: string
  readonly match: Match
  /** Absolute; null: no folder is watched. */
  readonly releases: string | null
  /** From a flag, absolute. */
  readonly watch?: string | undefined
  /** Relative paths are relative to this folder. */
  readonly base: string
}

/** The checked values of one service with their units in the names. */
export function completeService(values: ServiceValues, { name, match, releases, watch, base }: ServicePlace): ServiceConfig {
  return {
    name,
    match,
    releases,
    watch: watch ?? (values.watch == null ? null : resolve(base, values.watch)),
    command: values.command,
    socket: values.socket,
    env: new Map(Object.entries(values.env)),
    envFile: values.envFile === null ? null : resolve(base, values.envFile),
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
    bakeRule: values.bakeRule,
    previousAssets: values.previousAssets,
    onCrashLoop: values.onCrashLoop,
    canary: completeCanary(values.canary),
    overlap: values.overlap,
    hooks: { prepare: values.hooks.prepare, release: values.hooks.release, confirmed: values.hooks.confirmed, timeoutMs: values.hooks.timeout },
    ports: new Map(Object.entries(values.ports)),
    hold: { timeoutMs: values.hold.timeout, max: values.hold.max, pace: values.hold.pace },
  }
}

/** Each key of a service with its effective value, written as it would stand in gracer.json. */
export function describeService(service: ServiceConfig): readonly (readonly [key: string, value: unknown])[] {
  return [
    ['releases', service.releases],
    ['watch', service.watch ?? null],
    ['command', service.command],
    ['socket', service.socket],
    ['env', hidden(service.env)],
    ['envFile', service.envFile],
    ['keep', service.keep],
    ['settle', formatDuration(service.settleMs)],
    ['health.path', service.health.path],
    ['health.host', service.health.host],
    ['health.headers', hidden(service.health.headers)],
    ['health.expect', formatExpect(service.health.expect)],
    ['health.interval', formatDuration(service.health.intervalMs)],
    ['health.timeout', formatDuration(service.health.timeoutMs)],
    ['health.successes', service.health.successes],
    ['health.deadline', formatDuration(service.health.deadlineMs)],
    ['drain.timeout', formatDuration(service.drain.timeoutMs)],
    ['drain.streams', formatDuration(service.drain.streamsMs)],
    ['drain.upgraded', formatDuration(service.drain.upgradedMs)],
    ['drain.spread', formatDuration(service.drain.spreadMs)],
    ['drain.stop', formatDuration(service.drain.stopMs)],
    ['bake', formatDuration(service.bakeMs)],
    ...describeBakeRule(service.bakeRule ?? bakeRule),
    ['previousAssets', service.previousAssets === true],
    ['onCrashLoop', service.onCrashLoop],
    ['overlap', service.overlap],
    ['hooks.prepare', service.hooks.prepare],
    ['hooks.release', service.hooks.release],
    ['hooks.confirmed', service.hooks.confirmed],
    ['hooks.timeout', formatDuration(service.hooks.timeoutMs)],
    ['ports', Object.fromEntries(service.ports)],
    ...describeCanary(service.canary ?? canaryConfigDefault),
    ['hold.timeout', formatDuration(service.hold.timeoutMs)],
    ['hold.max', service.hold.max],
    ['hold.pace', service.hold.pace],
  ]
}

function describeBakeRule({ users, floor, factor, withoutBaseline }: BakeRule): [string, unknown][] {
  return [['bakeRule.users', users], ['bakeRule.floor', formatPercent(floor)], ['bakeRule.factor', factor], ['bakeRule.withoutBaseline', formatPercent(withoutBaseline)]]
}

/** Names only: a value may be a secret, and what `check` prints ends up in bug reports. */
function hidden(values: ReadonlyMap<string, string>): Record<string, string> {
  return Object.fromEntries([...values.keys()].map((name) => [name, '(set)']))
}
