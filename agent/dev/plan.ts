import { dirname, resolve } from 'node:path'
import { existsSync, statSync } from 'node:fs'
import { planBoot } from '../boot/plan.ts'
import { loadConfig } from '../config/load.ts'
import type { Config, ServiceConfig } from '../config/types.ts'
import { directCommand, pathWithBins } from './direct-command.ts'
import { inferDevCommand } from './infer-dev-command.ts'
import { withoutInspect, type InspectAddress } from './inspector.ts'
import type { DevOptions } from './options.ts'

/** What a boot needs; read anew for each, as the config may have changed. */
export interface DevPlan {
  readonly service: ServiceConfig
  readonly config: Config
  /** What was asked for, for people. */
  readonly shown: string
  /** Where the command came from; null: from the command line. */
  readonly from: string | null
  readonly command: readonly string[]
  readonly socket: 'inherit' | 'port'
  readonly env: ReadonlyMap<string, string>
  readonly inspect: InspectAddress | null
}

/** @throws GracerError of the config, of the env file, or 'no-command', 'dev-server', 'source-missing' */
export function planDev(options: DevOptions): DevPlan {
  const config = loadConfig({
    cwd: options.cwd,
    ...(options.config === undefined ? {} : { file: options.config }),
    overrides: options.listen === undefined ? {} : { listen: options.listen },
  })
  const service = config.services[0] as ServiceConfig
  const given = options.command.length > 0 ? options.command : service.command
  const found = given === null ? inferDevCommand(options.cwd) : { command: given, env: new Map<string, string>(), from: options.command.length > 0 ? null : 'command of gracer.json' }
  const direct = directCommand(found.command, options.cwd)
  const own = withoutInspect(direct.command)
  const inspect = options.inspect ?? own.inspect
  const boot = planBoot({ ...service, command: own.command }, options.cwd)
  const env = new Map([...Object.entries(boot.env), ...found.env])
  env.set('PATH', pathWithBins(options.cwd, env.get('PATH') ?? process.env['PATH']))
  return {
    config, service, command: boot.command, socket: boot.socket, env, inspect,
    shown: found.command.join(' '),
    from: direct.instead === null ? found.from : `${found.from === null ? '' : `${found.from}, `}run as ${direct.instead}`,
  }
}

/** The node command with its inspector on a port of its own; null: it is no node command. */
export function withInspector(command: readonly string[], inspect: InspectAddress, port: number): readonly string[] | null {
  if (!/(?:^|\/)node$/.test(command[0] ?? '')) return null
  return [command[0] as string, `--inspect${inspect.brk ? '-brk' : ''}=127.0.0.1:${port}`, ...command.slice(1)]
}

/** The folder of the file that a command runs, where it runs one: what lies there is watched, whatever its name. */
export function programFolder(plan: Pick<DevPlan, 'shown'>, cwd: string): string | null {
  for (const word of plan.shown.split(' ').slice(1)) {
    if (word.startsWith('-')) continue
    const path = resolve(cwd, word)
    if (existsSync(path) && statSync(path).isFile()) return dirname(path)
  }
  return null
}
