import { existsSync, lstatSync, realpathSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { digestOf, readPrint, type Print } from '../builds/watched-tree.ts'
import { openHints, type Hints } from './hints.ts'
import type { WatchedDrop } from './identity.ts'
import { watchLimit } from './notices.ts'
import type { Notice } from './notice.ts'
import { findHolders } from './open-files.ts'
import type { ReleasesWatch } from './releases-watch.ts'

export interface WatchPathOptions {
  /** Absolute; need not be there yet. */
  readonly path: string
  readonly settleMs: number
  /** Folders of ours, which may lie in the tree and are not part of it. */
  readonly without: readonly string[]
  readonly onDrop: (drop: WatchedDrop) => void
  readonly onNotice: (notice: Notice) => void
}

/** Between two looks without any event; milliseconds. */
const rescanMs = 2000
const pollMs = 250
const gapMs = 20

/** Watches one file or folder that is replaced in place. What is whole at the start is in newest(), and not announced. */
export async function watchPath(options: WatchPathOptions): Promise<ReleasesWatch> {
  const watch = new PathWatch(options)
  await watch.start()
  return watch
}

class PathWatch implements ReleasesWatch {
  readonly #options: WatchPathOptions
  #hints: Hints | null = null
  #deaf = false
  #parent: number | null = null
  #timer: NodeJS.Timeout | undefined
  #looking = false
  #hinted = false
  #closed = false
  #seen: { readonly text: string; readonly sinceMs: number } | null = null
  #taken: string | null = null
  #newest: WatchedDrop | null = null
  #told = new Set<string>()

  constructor(options: WatchPathOptions) {
    this.#options = options
  }

  current(): WatchedDrop | null {
    return null
  }

  newest(): WatchedDrop | null {
    return this.#newest
  }

  list(): WatchedDrop[] {
    return this.#newest === null ? [] : [this.#newest]
  }

  find(): WatchedDrop | null {
    return null
  }

  setRunning(): void {
    // It runs from a copy of ours.
  }

  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#timer)
    await this.#hints?.close()
  }

  /** What lies there at the start and has been quiet is the first build. */
  async start(): Promise<void> {
    await this.#listen()
    const print = await this.#print()
    if (print !== null && Date.now() - print.stampMs >= this.#options.settleMs && !(await this.#written(print))) await this.#take(print, 'initial')
    else if (print !== null) this.#seen = { text: print.text, sinceMs: performance.now() }
    this.#schedule(pollMs)
  }

  #schedule(ms: number): void {
    clearTimeout(this.#timer)
    if (this.#closed) return
    this.#timer = setTimeout(() => void this.#look(), ms)
    this.#timer.unref()
  }

  async #look(): Promise<void> {
    if (this.#looking || this.#closed) return
    this.#looking = true
    this.#hinted = false
    const beganMs = performance.now()
    let next = this.#deaf ? pollMs : rescanMs
    try {
      await this.#listen()
      const print = await this.#print()
      if (print === null) this.#seen = null
      else if (print.text !== this.#taken) {
        next = Math.min(pollMs, this.#options.settleMs)
        if (this.#seen?.text !== print.text) this.#seen = { text: print.text, sinceMs: performance.now() }
        else if (performance.now() - this.#seen.sinceMs >= this.#options.settleMs && !(await this.#written(print))) await this.#take(print, 'settled')
      }
    } catch (error) {
      this.#once({ code: 'read-failed', path: this.#options.path, message: `${this.#options.path} cannot be read: ${(error as Error).message}.`, hint: 'It is tried again; check its owner, its mode and the disk.' })
    }
    this.#looking = false
    // A large tree is not walked more than a twentieth of the time.
    this.#schedule(this.#hinted ? gapMs : Math.max(next, 20 * (performance.now() - beganMs)))
  }

  async #take(print: Print, complete: 'initial' | 'settled'): Promise<void> {
    const digest = await digestOf(print)
    // What changed while it was read is not what was there.
    if (this.#closed || (await this.#print())?.text !== print.text) return
    const before = this.#newest
    this.#taken = print.text
    if (before?.identity.digest === digest) return
    this.#newest = {
      identity: { name: basename(this.#options.path), inode: print.inode, ctimeMs: print.placedMs, size: 0, digest },
      label: basename(this.#options.path), path: print.source, complete, noticedAt: Date.now(), sequence: (before?.sequence ?? 0) + 1,
    }
    if (complete === 'settled') this.#options.onDrop(this.#newest)
  }

  async #written(print: Print): Promise<boolean> {
    const { holders } = await findHolders([print.source])
    const writer = holders.get(print.source)?.find((one) => one.writing)
    if (writer !== undefined) this.#once({ code: 'still-open', path: print.source, message: `${print.source} is not taken yet: process ${writer.pid} (${writer.command}) writes to it.`, hint: 'It is taken when it is closed.' })
    return writer !== undefined
  }

  async #print(): Promise<Print | null> {
    const { path, without } = this.#options
    if (!existsSync(path)) return null
    try {
      return await readPrint(realpathSync(path), without)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
      throw error
    }
  }

  /** Listens at the parent, anew where it is another one than before. */
  async #listen(): Promise<void> {
    const parent = dirname(this.#options.path)
    const inode = existsSync(parent) ? lstatSync(parent).ino : null
    if (inode === this.#parent) return
    this.#parent = inode
    await this.#hints?.close()
    this.#hints = null
    this.#deaf = inode === null
    if (inode === null) return
    this.#hints = await openHints(parent, {
      onHint: (name) => {
        // A log beside it must not have a large tree walked all the time.
        if (name !== null && name !== basename(this.#options.path)) return
        // Only the first of a swarm: the others must not put the look off.
        if (this.#hinted) return
        this.#hinted = true
        this.#schedule(gapMs)
      },
      onError: (error) => {
        this.#deaf = true
        this.#once(watchLimit(parent, error, pollMs))
      },
    })
  }

  #once(notice: Notice): void {
    const key = `${notice.code}:${notice.message}`
    if (this.#told.has(key) || this.#closed) return
    this.#told.add(key)
    this.#options.onNotice(notice)
  }
}
