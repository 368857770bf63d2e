import { realpathSync } from 'node:fs'
import { Dev } from '../dev/dev.ts'
import { killAllGroups } from '../dev/group.ts'
import type { DevOptions } from '../dev/options.ts'
import { Terminal } from '../dev/terminal.ts'

export type DevFlags = Omit<DevOptions, 'cwd'>

/** `gracer dev`: one process in the foreground, until q, Ctrl-C or SIGTERM; a second one ends it at once. */
export async function runDev(flags: DevFlags): Promise<number> {
  const options: DevOptions = { ...flags, cwd: realpathSync(process.cwd()) }
  const terminal = new Terminal(options)
  const dev = new Dev(options, terminal)
  // Whatever the way out is: no process stays, and the terminal is as it was.
  process.on('exit', () => {
    terminal.restore()
    killAllGroups()
  })
  return await new Promise<number>((resolve, reject) => {
    let ending = false
    const end = (): void => {
      if (ending) {
        resolve(130)
        return
      }
      ending = true
      dev.end().then(() => resolve(0), reject)
    }
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, end)
    process.on('uncaughtException', reject)
    terminal.attach(dev, end)
    dev.start().catch(reject)
  })
}
