import { realpathSync } from 'node:fs'
import { passOn } from '../dev/app-output.ts'
import { beginFirstBoot } from '../dev/first-boot.ts'
import { guardGroups, killAllGroups } from '../dev/group.ts'
import type { DevOptions } from '../dev/options.ts'

export type DevFlags = Omit<DevOptions, 'cwd'>

/** A runner of scripts passes on the signal that the terminal has sent to all: both come from one press of the key. */
const onePressMs = 100

/** `gracer dev`: one process in the foreground, until q, Ctrl-C or SIGTERM; a second one ends it at once. */
export async function runDev(flags: DevFlags): Promise<number> {
  const options: DevOptions = { ...flags, cwd: realpathSync(process.cwd()) }
  // Whatever the way out is: no process stays, and the terminal is as it was.
  let restore = (): void => {}
  process.on('exit', () => {
    restore()
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
    let signalledAt = -Infinity
    const endBySignal = (): void => {
      const sinceMs = performance.now() - signalledAt
      signalledAt = performance.now()
      if (sinceMs > onePressMs) end()
    }
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, endBySignal)
    process.on('uncaughtException', reject)
    const run = async (): Promise<void> => {
      const first = await beginFirstBoot(options, (stream, chunk) => passOn(stream, chunk, options.json))
      guardGroups()
      // The app boots while the rest is loaded, which takes as long.
      const [{ Dev }, { Terminal }] = await Promise.all([import('../dev/dev.ts'), import('../dev/terminal.ts')])
      if (ending) return
      const terminal = new Terminal(options)
      restore = () => terminal.restore()
      const dev = new Dev(options, terminal, first)
      endDev = () => dev.end()
      terminal.attach(dev, end)
      await dev.start()
    }
    run().catch(reject)
  })
}
