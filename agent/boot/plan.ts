import { realpathSync, statSync } from 'node:fs'
import { basename } from 'node:path'
import { GracerError } from '../../inherit/gracer-error.ts'
import { preloadUrl } from '../../inherit/preload-url.ts'
import { readEnvFile } from '../config/env-file.ts'
import type { ServiceConfig } from '../config/types.ts'
import type { BootPlan } from '../swap/state.ts'
import { inferCommand } from './infer-command.ts'

/**
 * Everything that a boot of this folder needs, fixed at take-in: a restart after a crash uses the same, whatever
 * the config has become since.
 * @throws GracerError 'no-command', 'source-missing', or what reading the env file throws.
 */
export function planBoot(service: ServiceConfig, source: string): BootPlan {
  const folder = realFolder(source)
  const command = service.command ?? inferCommand(folder).command
  const isNode = isNodeCommand(command[0] ?? '')
  const socket = service.socket === 'auto' ? (isNode ? 'inherit' : 'port') : service.socket
  return {
    command: isNode && socket === 'inherit' ? [command[0] ?? 'node', '--import', preloadUrl(), ...command.slice(1)] : command,
    socket,
    env: { ...(service.envFile === null ? {} : Object.fromEntries(readEnvFile(service.envFile))), ...Object.fromEntries(service.env) },
    bakeMs: service.bakeMs,
    onCrashLoop: service.onCrashLoop,
    stopMs: service.drain.stopMs,
  }
}

/** The folder's real path: a path through a symlink would pin whatever the link names later. */
export function realFolder(source: string): string {
  try {
    const real = realpathSync(source)
    if (statSync(real).isDirectory()) return real
  } catch (error) {
    throw new GracerError(`${source} is not there (${(error as NodeJS.ErrnoException).code ?? 'unreadable'})`, { code: 'source-missing', exitCode: 2, cause: error })
  }
  throw new GracerError(`${source} is not a folder`, { code: 'source-missing', exitCode: 2, hint: 'A build is a folder; archives and single files are not taken by this version.' })
}

function isNodeCommand(command: string): boolean {
  return command === process.execPath || /^node(\.exe)?$/.test(basename(command))
}
