import { basename } from 'node:path'
import { preloadUrl } from '../../inherit/preload-url.ts'
import { findConfig } from '../config/find-config.ts'
import { App } from './app.ts'
import { firstApp } from './cycle.ts'
import { directCommand, pathWithBins } from './direct-command.ts'
import { inferDevCommand } from './infer-dev-command.ts'
import { withoutInspect } from './inspector.ts'
import type { DevOptions } from './options.ts'

/**
 * Starts the app before the rest of gracer is even loaded, which takes as long as a small app's boot: only where no config
 * file can say anything about it, nothing is built first and no debugger is asked for. null: it is started as any other.
 * Whatever is wrong with the command is left to be found, and told, by the usual way.
 */
export async function bootEarly(options: DevOptions, output: (stream: 'stdout' | 'stderr', chunk: Buffer) => void): Promise<App | null> {
  if (options.build !== null || options.inspect !== null || options.config !== undefined) return null
  try {
    if (findConfig(options.cwd) !== null) return null
    const found = options.command.length > 0 ? { command: options.command, env: new Map<string, string>() } : inferDevCommand(options.cwd)
    const { command, inspect } = withoutInspect(directCommand(found.command, options.cwd).command)
    if (inspect !== null) return null
    const isNode = command[0] === process.execPath || /^node(\.exe)?$/.test(basename(command[0] ?? ''))
    const env = new Map([...found.env, ['PATH', pathWithBins(options.cwd, found.env.get('PATH') ?? process.env['PATH'])]])
    return await App.start({
      id: firstApp, cwd: options.cwd, env, socket: isNode ? 'inherit' : 'port', output,
      command: isNode ? [command[0] as string, '--import', preloadUrl(), ...command.slice(1)] : command,
    })
  } catch {
    return null
  }
}
