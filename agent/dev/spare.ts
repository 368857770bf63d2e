import { realpathSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { preloadUrl } from '../../inherit/preload-url.ts'
import { App, type AppStart } from './app.ts'

/** The machine belongs to the page that is loaded after a save before it belongs to the next save; milliseconds. */
const restMs = 250

interface Waiting {
  readonly start: AppStart
  /** What of the disk the process has read already, as it was before it was started. */
  readonly read: string
  /** null: its start has not come back yet. */
  app: App | null
}

/**
 * A process for the next boot in which Node has started and no line of the program has been read: starting Node takes
 * longer than most programs take to boot. It is used only where it is just what would be started now.
 */
export class Spare {
  #waiting: Waiting | null = null
  #timer: NodeJS.Timeout | null = null
  #closed = false

  /** Has one ready after a moment of rest, in place of one that was there. */
  prepare(start: AppStart): void {
    this.#drop()
    if (this.#closed || start.socket !== 'inherit') return
    this.#timer = setTimeout(() => {
      this.#timer = null
      void this.#start(start)
    }, restMs)
    this.#timer.unref()
  }

  /** The process, its program running from now on; null: it must be started as usual. */
  take(start: AppStart): App | null {
    const waiting = this.#waiting
    if (waiting?.app === null || waiting?.app.over !== false || key(waiting.start) !== key(start) || waiting.read !== readBy(start)) {
      this.#drop()
      return null
    }
    const { app } = waiting
    this.#waiting = null
    app.run()
    return app
  }

  /** Resolves when none runs, nor ever will. */
  async close(): Promise<void> {
    this.#closed = true
    const app = this.#waiting?.app
    this.#drop()
    await app?.group.gone
  }

  async #start(start: AppStart): Promise<void> {
    const read = readBy(start)
    if (read === null) return
    const waiting: Waiting = { start, read, app: null }
    this.#waiting = waiting
    // What is wrong with the start is found, and told, by the boot that nobody prepared.
    const app = await App.start({ ...start, spare: true }).catch(() => null)
    waiting.app = app
    if (this.#waiting !== waiting) app?.kill()
  }

  #drop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#waiting?.app?.kill()
    this.#waiting = null
  }
}

function key({ id, cwd, command, env, socket }: AppStart): string {
  return JSON.stringify([id, cwd, command, [...env].sort(), socket])
}

/**
 * Which file the program is and what kind of module, which Node finds out before any `--import`; null: there is no such file,
 * or Node has options by which it may read more (`-r`, `--env-file`, loaders, NODE_OPTIONS).
 */
function readBy({ cwd, command, env }: AppStart): string | null {
  const [, flag, url, file] = command
  if (flag !== '--import' || url !== preloadUrl() || file === undefined || file.startsWith('-')) return null
  if ((env.get('NODE_OPTIONS') ?? process.env['NODE_OPTIONS'] ?? '') !== '') return null
  try {
    const program = realpathSync(resolve(cwd, file))
    if (!statSync(program).isFile()) return null
    const { dev, ino } = statSync(cwd)
    const read = [program, `${dev}:${ino}`]
    for (let folder = dirname(program); ; folder = dirname(folder)) {
      const found = statSync(join(folder, 'package.json'), { throwIfNoEntry: false })
      read.push(found === undefined ? '-' : `${found.ino}:${found.size}:${found.mtimeMs}`)
      if (folder === dirname(folder)) return read.join(' ')
    }
  } catch {
    return null
  }
}
