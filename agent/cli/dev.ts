import { realpathSync } from 'node:fs'
import { bootEarly } from '../dev/early-boot.ts'
import { killAllGroups } from '../dev/group.ts'
import type { DevOptions } from '../dev/options.ts'
import { Terminal } from '../dev/terminal.ts'

export type DevFlags = Omit<DevOptions, 'cwd'>

/** `gracer dev`: one process in the foreground, until q, Ctrl-C or SIGTERM; a second one ends it at once. */
export async function runDev(flags: DevFlags): Promise<number> {
  const options: DevOptions = { ...flags, cwd: realpathSync(process.cwd()) }
  const terminal = new Terminal(options)
  // Whatever the way out is: no process stays, and the terminal is as it was.
  process.on('exit', () => {
    terminal.restore()
    killAllGroups()
  })
  return await new Promise<number>((resolve, reject) => {
    let ending = false
    let endDev = (): Promise<void> => Promise.resolve()
    const end = (): void => {
      if (ending) {
        resolve(130)
        return
      }
      ending = true
      endDev().then(() => resolve(0), reject)
    }
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, end)
    process.on('uncaughtException', reject)
    const run = async (): Promise<void> => {
      const since = Date.now()
      const app = await bootEarly(options, (stream, chunk) => terminal.output(stream, chunk))
      const { Dev } = await import('../dev/dev.ts')
      if (ending) return
      const dev = new Dev(options, terminal, { app, since })
      endDev = () => dev.end()
      terminal.attach(dev, end)
      await dev.start()
    }
    run().catch(reject)
  })
}
