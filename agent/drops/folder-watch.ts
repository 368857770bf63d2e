import type { Stats } from 'node:fs'
import { lstat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { FolderBook } from './book.ts'
import { Ears } from './ears.ts'
import type { Due, Findings } from './entry.ts'
import { openHints } from './hints.ts'
import type { WatchedDrop } from './identity.ts'
import { instantNow, type Instant } from './instant.ts'
import { lookInto } from './look.ts'
import { hintedAt } from './name.ts'
import type { Notice } from './notice.ts'
import { folderBack, folderMissing, folderUnsafe, foreignClock, openFilesHidden, readFailed, watchLimit } from './notices.ts'
import { findHolders } from './open-files.ts'
import { absentAt } from './pulse.ts'
import { readFolder } from './read-folder.ts'
import type { ReleasesWatch, WatchEdges, WatchReleasesOptions } from './releases-watch.ts'
import { clockIsOurs, folderFacts, judgeFolder, judgeGroup, missing, ourselves, prepareFolder } from './safe-folder.ts'

export type { WatchedDrop } from './identity.ts'
export type { Notice, NoticeCode } from './notice.ts'
export { readDrop } from './read-drop.ts'
export type { ReleasesWatch, WatchReleasesOptions } from './releases-watch.ts'

const defaults: WatchEdges = { openHints, findHolders, rescanMs: 5000, pollMs: 250, rearmMs: 60_000 }

/** Between two readings, since events come in swarms; and twice as long as a reading takes, where that is more. */
const gapMs = 4

/**
 * Watches one releases folder, which is made where it is missing. What is whole in it at the start is in list(), and not
 * announced. Rejects with GracerError `unsafe-folder` when somebody else could put builds there.
 */
export async function watchReleases(options: WatchReleasesOptions, edges: Partial<WatchEdges> = {}): Promise<ReleasesWatch> {
  options.signal?.throwIfAborted()
  const { folder, stats } = await prepareFolder(options.folder)
  const ours = await clockIsOurs(folder)
  const watch = new FolderWatch(options, { ...defaults, ...edges }, folder, stats, ours)
  await watch.start()
  const group = judgeGroup(folder, folderFacts(stats), ourselves())
  if (group !== null) options.onNotice(group)
  if (!ours) options.onNotice(foreignClock(folder))
  return watch
}

class FolderWatch implements ReleasesWatch {
  private readonly book: FolderBook
  private readonly ears: Ears
  private readonly over = new AbortController()
  private readonly options: WatchReleasesOptions
  private readonly edges: WatchEdges
  private readonly folder: string
  private identity: string
  /** Why the folder is not being read; null: it is. */
  private blind: 'missing' | 'unsafe' | null = null
  private lastListing: Instant | null = null
  private lastFullMs = -Infinity
  /** From the start on: what is hinted at meanwhile is read when the start is over. */
  private reading = true
  private readAgain = false
  private looking = true
  private readonly told = new Set<string>()
  private lookTimer: NodeJS.Timeout | undefined
  private readTimer: NodeJS.Timeout | undefined

  constructor(options: WatchReleasesOptions, edges: WatchEdges, folder: string, stats: Stats, ours: boolean) {
    this.options = options
    this.edges = edges
    this.folder = folder
    this.identity = identityOf(stats)
    this.book = new FolderBook({ folder, settleMs: options.settleMs, clockIsOurs: ours, ...(options.checksums === undefined ? {} : { checksums: options.checksums }) })
    this.ears = new Ears({
      folder,
      open: edges.openHints,
      onHint: () => this.request(),
      onDeaf: (error) => {
        this.tick()
        this.once('deaf', watchLimit(folder, error, edges.pollMs))
      },
    })
    options.signal?.addEventListener('abort', () => void this.close(), { once: true, signal: this.over.signal })
  }

  current(): WatchedDrop | null {
    return this.book.current()
  }

  newest(): WatchedDrop | null {
    return this.book.newest()
  }

  list(): WatchedDrop[] {
    return this.book.list()
  }

  find(name: string): WatchedDrop | null {
    const drops = this.book.list()
    return drops.findLast((drop) => drop.label === name) ?? drops.findLast((drop) => drop.identity.name === name) ?? null
  }

  setRunning(path: string, running: boolean): void {
    this.book.running(path, running, performance.now())
    this.schedule()
  }

  async start(): Promise<void> {
    try {
      await this.ears.listen()
      await this.read(true)
      await this.look(this.book.due(instantNow()))
    } catch (error) {
      await this.close()
      throw error
    }
    this.book.started()
    this.looking = false
    this.schedule()
    this.tick()
    void this.readings()
  }

  async close(): Promise<void> {
    if (this.over.signal.aborted) return
    this.over.abort()
    clearTimeout(this.lookTimer)
    clearTimeout(this.readTimer)
    await this.ears.close()
  }

  private get closed(): boolean {
    return this.over.signal.aborted
  }

  /** The slow reading, for network file systems and events that were dropped. */
  private tick(): void {
    clearTimeout(this.readTimer)
    if (this.closed) return
    const calm = this.ears.deafSinceMs === null && this.blind === null
    this.readTimer = setTimeout(() => {
      this.request()
      this.tick()
    }, calm ? this.edges.rescanMs : this.edges.pollMs)
    this.readTimer.unref()
  }

  private request(): void {
    this.readAgain = true
    if (this.reading || this.closed) return
    this.reading = true
    void this.readings()
  }

  private async readings(): Promise<void> {
    while (this.readAgain && !this.closed) {
      this.readAgain = false
      const beganMs = performance.now()
      try {
        await this.read(false)
      } catch (error) {
        this.failed(this.folder, error as NodeJS.ErrnoException)
      }
      this.schedule()
      if (this.readAgain) await sleep(Math.max(gapMs, 2 * (performance.now() - beganMs)))
    }
    this.reading = false
  }

  private async read(initial: boolean): Promise<void> {
    if (!(await this.sees(await lstat(this.folder).catch(missing)))) return
    const hinted = this.ears.take()
    const now = performance.now()
    const full = now - this.lastFullMs >= this.edges.rescanMs || this.ears.deafSinceMs !== null
    if (full) this.lastFullMs = now
    const known = new Set<string>()
    const reading = await readFolder(this.folder, (name) => {
      if (!this.book.knows(name)) return true
      known.add(name)
      return full || hintedAt(hinted, name)
    })
    if (this.closed) return
    const absent = new Map<string, number>()
    for (const name of reading.seen.keys()) {
      // The event may have been delivered only while the folder was being read.
      const since = absentAt(hinted.get(name) ?? this.ears.absentAt(name), known.has(name) ? null : this.lastListing, reading.at)
      if (since !== null) absent.set(name, since)
    }
    this.lastListing = reading.at
    this.deliver(this.book.listed({ ...reading, absentAt: absent, initial }))
  }

  /** Whether the folder is there and safe; listens anew when it is another one than before. */
  private async sees(stats: Stats | null): Promise<boolean> {
    if (stats === null) return this.lose('missing', folderMissing(this.folder))
    const unsafe = judgeFolder(this.folder, folderFacts(stats), ourselves())
    if (unsafe !== null) return this.lose('unsafe', folderUnsafe(this.folder, unsafe))
    const identity = identityOf(stats)
    if (this.blind !== null || identity !== this.identity) {
      this.lose('missing', null)
      this.blind = null
      this.identity = identity
      await this.ears.listen()
      this.notice(folderBack(this.folder))
      this.tick()
    } else if (this.ears.deafSinceMs !== null && performance.now() - this.ears.deafSinceMs >= this.edges.rearmMs) {
      await this.ears.listen()
    }
    return true
  }

  private lose(why: 'missing' | 'unsafe', notice: Notice | null): false {
    if (notice !== null && this.blind !== why) this.notice(notice)
    this.blind = why
    this.lastListing = null
    this.lastFullMs = -Infinity
    this.ears.take()
    this.book.cleared()
    this.tick()
    return false
  }

  private schedule(): void {
    clearTimeout(this.lookTimer)
    const at = this.book.nextAt()
    if (this.closed || this.looking || at === Infinity) return
    this.lookTimer = setTimeout(() => void this.attend(), Math.max(0, Math.ceil(at - performance.now())))
    this.lookTimer.unref()
  }

  /** Does what the book has for now: refusals to tell, trees to look into. */
  private async attend(): Promise<void> {
    this.looking = true
    const at = instantNow()
    for (const notice of this.book.tell(at.mono)) this.notice(notice)
    try {
      await this.look(this.book.due(at))
    } catch (error) {
      this.failed(this.folder, error as NodeJS.ErrnoException)
    }
    this.looking = false
    this.schedule()
  }

  private look(due: readonly Due[]): Promise<void> {
    return lookInto(due, {
      folder: this.folder,
      book: this.book,
      findHolders: this.edges.findHolders,
      signal: this.over.signal,
      deliver: (found) => this.deliver(found),
      onScan: (scan) => {
        if (!scan.available || scan.unreadable > 0) this.once('hidden', openFilesHidden(this.folder, scan))
      },
      onError: (path, error) => (error.code === 'ENOENT' ? this.request() : this.failed(path, error)),
    })
  }

  private deliver(found: Findings): void {
    for (const notice of found.notices) this.notice(notice)
    for (const drop of found.announce) if (!this.closed) this.options.onDrop(drop)
  }

  private notice(notice: Notice): void {
    if (!this.closed) this.options.onNotice(notice)
  }

  private once(key: string, notice: Notice): void {
    if (this.told.has(key)) return
    this.told.add(key)
    this.notice(notice)
  }

  private failed(path: string, error: NodeJS.ErrnoException): void {
    this.once(`${path}:${error.code ?? error.message}`, readFailed(path, error))
  }
}

function identityOf(stats: Stats): string {
  return `${stats.dev}:${stats.ino}:${stats.birthtimeMs}`
}
