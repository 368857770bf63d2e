import { dirname, relative, resolve } from 'node:path'
import { existsSync, statSync } from 'node:fs'
import { GracerError } from '../../inherit/gracer-error.ts'
import { planBoot, realFolder } from '../boot/plan.ts'
import { configName, findConfig } from '../config/find-config.ts'
import type { Config, ServiceConfig } from '../config/types.ts'
import { directCommand, pathWithBins } from './direct-command.ts'
import { inferDevCommand } from './infer-dev-command.ts'
import { withoutInspect, type InspectAddress } from './inspector.ts'
import type { DevOptions } from './options.ts'
import { plainConfig } from './plain-config.ts'
import { plainFileConfig } from './plain-file.ts'

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
  /** Of several services the names of those that are not run here. */
  readonly others: readonly string[]
}

/** What of the options a plan goes by. */
export type PlanOptions = Pick<DevOptions, 'cwd' | 'config' | 'service' | 'listen' | 'command' | 'inspect'>

/** @throws GracerError of the config, of the env file, or 'no-command', 'dev-server', 'source-missing' */
export async function planDev(options: PlanOptions): Promise<DevPlan> {
  const config = await configOf(options)
  const service = chosenService(config, options.service)
  // Where it is gone, what it does not hold is no matter.
  realFolder(options.cwd)
  const given = options.command.length > 0 ? options.command : service.command
  const found = given === null ? inferDevCommand(options.cwd) : { command: given, env: new Map<string, string>(), from: options.command.length > 0 ? null : `command of ${config.file === null ? configName : relative(options.cwd, config.file)}` }
  const direct = directCommand(found.command, options.cwd)
  const own = withoutInspect(direct.command)
  const inspect = options.inspect ?? own.inspect
  const boot = planBoot({ ...service, command: own.command }, options.cwd)
  const env = new Map([...Object.entries(boot.env), ...found.env])
  env.set('PATH', pathWithBins(options.cwd, env.get('PATH') ?? process.env['PATH']))
  return {
    config, service, command: boot.command, socket: boot.socket, env, inspect,
    shown: found.command.join(' '), others: config.services.filter((one) => one !== service).map((one) => one.name),
    from: direct.instead === null ? found.from : `${found.from === null ? '' : `${found.from}, `}run as ${direct.instead}`,
  }
}

/** Keys of gracer.json that are heeded at the start only, and whose values are others now. */
export function unheededKeys(start: DevPlan, now: DevPlan): readonly string[] {
  const heeded = ({ config, service }: DevPlan): readonly (readonly [key: string, value: unknown])[] => [
    ['listen', config.listen], ['trustProxy', config.front.trustProxy], ['limits', config.front.limits],
    ['overlap', service.overlap], ['hold.max', service.hold.max],
  ]
  const before = new Map(heeded(start))
  return heeded(now).filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(before.get(key))).map(([key]) => key)
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

/** The schema is loaded only where it is needed: it would take half of the whole start. */
async function configOf({ cwd, config: named, listen }: PlanOptions): Promise<Config> {
  const file = named === undefined ? findConfig(cwd) : resolve(cwd, named)
  const plain = file === null ? plainConfig(cwd, listen) : plainFileConfig(file, listen)
  if (plain !== null) return plain
  const { loadConfig } = await import('../config/load.ts')
  return loadConfig({ cwd, ...(named === undefined ? {} : { file: named }), overrides: listen === undefined ? {} : { listen } })
}

/** @throws GracerError 'no-service' */
function chosenService(config: Config, name: string | undefined): ServiceConfig {
  const chosen = name === undefined ? config.services[0] : config.services.find((one) => one.name === name)
  if (chosen !== undefined) return chosen
  throw new GracerError(`there is no service ${JSON.stringify(name)}; expected one of ${config.services.map((one) => one.name).join(', ')}`, { code: 'no-service', exitCode: 2 })
}
