import { lstatSync, statSync } from 'node:fs'
import { GracerError } from '../../inherit/gracer-error.ts'
import { findCommand } from '../../inherit/find-command.ts'
import { inferCommand } from '../boot/infer-command.ts'
import { folderFacts, judgeFolder, judgeGroup, ourselves } from '../drops/safe-folder.ts'
import type { ConfigProblem } from './problems.ts'
import type { Config, ServiceConfig } from './types.ts'
import { formatDuration } from './units.ts'

/** systemd.service(5): what a stop may take before everything is killed, unless the unit says otherwise. */
const systemdStopMs = 90_000

/** What is valid and most likely not what was meant, for `gracer check`. Looks at the disk, and at PATH as it is here. */
export function likelyMistakes(config: Config, searchPath: string | undefined): readonly ConfigProblem[] {
  return [...frontMistakes(config), ...config.services.flatMap((service) => {
    const under = service.name === 'default' ? '' : `services.${service.name}.`
    const found = [...commandMistakes(config, service, searchPath), ...folderMistakes(service), ...timeMistakes(service), ...togetherMistakes(service)]
    return found.map(({ path, message }) => ({ path: `${under}${path}`, message }))
  })]
}

function frontMistakes({ front, listen }: Config): ConfigProblem[] {
  const local = listen.host === 'localhost' || listen.host === '::1' || listen.host.startsWith('127.')
  if (!front.trustProxy || local) return []
  return [{ path: 'trustProxy', message: `X-Forwarded-* of everybody who reaches ${listen.host} are believed; listen on 127.0.0.1, or let nothing but your own proxy through to this port` }]
}

function commandMistakes(config: Config, service: ServiceConfig, searchPath: string | undefined): ConfigProblem[] {
  const problems: ConfigProblem[] = []
  const look = (path: string, command: readonly string[]): void => {
    const [name = ''] = command
    // With a slash it is looked up in a release's folder, which nobody knows beforehand.
    if (name.includes('/') && !name.startsWith('/')) return
    try {
      findCommand(name, config.base, searchPath)
    } catch (error) {
      problems.push({ path, message: withHint(error) })
    }
    if (command.length === 1 && / /.test(name)) problems.push({ path, message: `${JSON.stringify(name)} is one word with blanks in it; each argument is a string of its own` })
  }
  if (service.command !== null) look('command', service.command)
  else if (service.releases === null) {
    try {
      inferCommand(config.base)
    } catch (error) {
      problems.push({ path: 'command', message: withHint(error) })
    }
  }
  for (const hook of ['prepare', 'release', 'confirmed'] as const) {
    for (const [index, command] of service.hooks[hook].entries()) look(service.hooks[hook].length === 1 ? `hooks.${hook}` : `hooks.${hook}[${index}]`, command)
  }
  return problems
}

function folderMistakes({ releases, envFile }: ServiceConfig): ConfigProblem[] {
  const problems: ConfigProblem[] = []
  if (releases !== null) {
    const stats = lstatSync(releases, { throwIfNoEntry: false })
    const us = ourselves()
    if (stats === undefined) problems.push({ path: 'releases', message: `${releases} does not exist yet; gracer up makes it` })
    else {
      const unsafe = judgeFolder(releases, folderFacts(stats), us) ?? judgeGroup(releases, folderFacts(stats), us)
      if (unsafe !== null) problems.push({ path: 'releases', message: `${unsafe.message} ${unsafe.hint}` })
    }
  }
  const secret = envFile === null ? undefined : statSync(envFile, { throwIfNoEntry: false })
  if (envFile !== null && secret !== undefined && (secret.mode & 0o004) !== 0) problems.push({ path: 'envFile', message: `every user of this machine can read ${envFile}; run: chmod o-r ${envFile}` })
  return problems
}

function timeMistakes({ health, drain, bakeMs }: ServiceConfig): ConfigProblem[] {
  const problems: ConfigProblem[] = []
  if (health.timeoutMs >= health.deadlineMs) problems.push({ path: 'health.timeout', message: `${formatDuration(health.timeoutMs)} is not below health.deadline (${formatDuration(health.deadlineMs)}): one probe that hangs fails the release` })
  if ((health.successes - 1) * Math.min(health.intervalMs, 5) >= health.deadlineMs) problems.push({ path: 'health.successes', message: `${health.successes} successes do not fit into health.deadline (${formatDuration(health.deadlineMs)})` })
  if (bakeMs === 0) problems.push({ path: 'bake', message: '0s: a release is confirmed as soon as the old one has drained, so one that turns bad after that is not taken back by itself' })
  const longest = Math.max(drain.timeoutMs, drain.streamsMs, drain.upgradedMs + drain.spreadMs) + drain.stopMs
  if (longest >= systemdStopMs) {
    problems.push({ path: 'drain', message: `to shut down may take ${formatDuration(longest)} by these values; systemd kills a service after ${formatDuration(systemdStopMs)} unless TimeoutStopSec says more, and docker stop after 10s` })
  }
  return problems
}

function togetherMistakes({ env, hold, drain, overlap, hooks, onCrashLoop, socket, command }: ServiceConfig): ConfigProblem[] {
  const problems: ConfigProblem[] = []
  for (const name of ['PORT', 'HOST']) if (env.has(name)) problems.push({ path: `env.${name}`, message: 'gracer sets this one itself, so the value here has no effect' })
  if (!overlap && hold.timeoutMs <= drain.timeoutMs) {
    problems.push({ path: 'hold.timeout', message: `with "overlap": false requests wait while the old release drains: ${formatDuration(hold.timeoutMs)} is not above drain.timeout (${formatDuration(drain.timeoutMs)}), so one slow request may cost the others a 503` })
  }
  if (onCrashLoop === 'rollback' && hooks.release.length > 0) problems.push({ path: 'onCrashLoop', message: '"rollback" puts older code on what hooks.release has made of the data; its migrations must suit both' })
  if (socket === 'inherit' && command !== null && /^(npm|npx|yarn|pnpm)$/.test(command[0] ?? '')) {
    problems.push({ path: 'socket', message: `"inherit" hands the socket to ${command[0] ?? ''}, which does not pass it on; start the program itself, or leave "socket" at "auto"` })
  }
  return problems
}

function withHint(error: unknown): string {
  const { message } = error as Error
  return error instanceof GracerError && error.hint !== undefined ? `${message}. ${error.hint}` : message
}
