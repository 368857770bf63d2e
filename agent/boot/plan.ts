import { opendirSync, realpathSync, statSync } from 'node:fs'
import { userInfo } from 'node:os'
import { basename, join } from 'node:path'
import { GracerError } from '../../inherit/gracer-error.ts'
import { newSalt } from '../../proxy/canary/split.ts'
import { preloadUrl } from '../../inherit/preload-url.ts'
import { readEnvFile } from '../config/env-file.ts'
import type { ServiceConfig } from '../config/types.ts'
import type { BootPlan } from '../swap/state.ts'
import { commandForFile, withBuild } from './file-command.ts'
import { inferCommand } from './infer-command.ts'

/**
 * Everything that a boot of this folder (or of this one file in it) needs, fixed at take-in: a restart after a crash uses
 * the same, whatever the config has become since.
 * @throws GracerError 'no-command', 'source-missing', or what reading the env file throws.
 */
export function planBoot(service: ServiceConfig, source: string, file: string | null = null): BootPlan {
  const folder = realFolder(source)
  const inferred = (): readonly string[] => (file === null ? inferCommand(folder).command : commandForFile(folder, file))
  const command = service.command === null ? inferred() : withBuild(service.command, file === null ? folder : join(folder, file))
  const isNode = isNodeCommand(command[0] ?? '')
  const socket = service.socket === 'auto' ? (isNode ? 'inherit' : 'port') : service.socket
  return {
    command: isNode && socket === 'inherit' ? [command[0] ?? 'node', '--import', preloadUrl(), ...command.slice(1)] : command,
    socket,
    env: { ...(service.envFile === null ? {} : Object.fromEntries(readEnvFile(service.envFile))), ...Object.fromEntries(service.env) },
    bakeMs: service.bakeMs,
    onCrashLoop: service.onCrashLoop,
    stopMs: service.drain.stopMs,
    canary: { always: (service.canary?.steps.length ?? 0) > 0, salt: newSalt() },
    overlap: service.overlap,
    hooks: service.hooks,
  }
}

/**
 * The folder's real path: a path through a symlink would pin whatever the link names later.
 * @throws GracerError 'source-missing', where it is not there, is no folder or may not be read.
 */
export function realFolder(source: string): string {
  try {
    const real = realpathSync(source)
    if (!statSync(real).isDirectory()) {
      throw new GracerError(`${source} is not a folder`, { code: 'source-missing', exitCode: 2, hint: 'Name the folder that holds the build.' })
    }
    opendirSync(real).closeSync()
    return real
  } catch (error) {
    if (error instanceof GracerError) throw error
    const code = (error as NodeJS.ErrnoException).code ?? 'unreadable'
    if (code === 'ENOENT') throw new GracerError(`there is no folder ${source}`, { code: 'source-missing', exitCode: 2, cause: error, hint: 'Name the folder that holds the build.' })
    throw new GracerError(`${source} cannot be read (${code})`, { code: 'source-missing', exitCode: 2, cause: error, hint: `The user that runs gracer (${userName()}) must be able to read and enter it.` })
  }
}

function userName(): string {
  try {
    return userInfo().username
  } catch {
    // A user id without an entry in the password file, as containers have them.
    return `uid ${process.getuid?.() ?? 'unknown'}`
  }
}

function isNodeCommand(command: string): boolean {
  return command === process.execPath || /^node(\.exe)?$/.test(basename(command))
}
