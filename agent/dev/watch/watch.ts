import { statfsSync, watch, type FSWatcher } from 'node:fs'
import { basename, join } from 'node:path'
import type { IgnoreRules } from './ignore-rules.ts'
import { Links } from './links.ts'
import { quietMs } from './quiet.ts'
import { lookAt, type Signature } from './signature.ts'
import { Tree, type FileChange } from './tree.ts'

export interface WatchOptions {
  /** Absolute and real: folders, or single files. */
  readonly roots: readonly string[]
  readonly rules: IgnoreRules
  /** Look at every file again and again instead of waiting for events. */
  readonly poll: boolean
  /** Milliseconds since 1970: what was modified after it, and before the watch was there, counts as changed. */
  readonly since: number
  /** Files (absolute) that were there at that moment: one that is gone since then has changed as well. */
  readonly were?: readonly string[]
  /** Something has changed. Called in the same tick as the system's event. */
  readonly changed: (paths: readonly string[]) => void
  readonly notice: (text: string) => void
  /** For tests: the system's watch. */
  readonly open?: typeof watch
}

/** What a burst of changes came to. */
export interface Burst {
  /** Absolute paths of the files that are not what they were; [] where all are again. */
  readonly paths: readonly string[]
}

/** More events than this at once, and some may have been lost in the kernel's queue (inotify(7), max_queued_events). */
const manyEvents = 1_000
const rootLookMs = 250
/** How often it is looked whether a root is still there; milliseconds. */
const rootPulseMs = 500
/** Of a file that was there, and was never looked at. */
const unknownSignature: Signature = { mark: '', fresh: false }
const leastPollMs = 250

/**
 * Hears of every change below its roots: one watch a folder, a look at the file for each event. Where that cannot be had
 * (limits of inotify, file systems of other machines) the files are looked at again and again.
 */
export class Watch {
  readonly #options: WatchOptions
  readonly #tree: Tree
  readonly #watchers = new Map<string, FSWatcher>()
  readonly #links: Links
  readonly #changes = new Map<string, FileChange>()
  #events = 0
  #polls: NodeJS.Timeout | null = null
  #quiet: NodeJS.Timeout | null = null
  #rootLooks: NodeJS.Timeout | null = null
  #pulse: NodeJS.Timeout | null = null
  #closed = false

  constructor(options: WatchOptions) {
    this.#options = options
    this.#tree = new Tree(options.rules, {
      folderFound: (path) => this.#listen(path),
      folderLost: (path) => this.#unlisten(path),
      linkFound: (path) => { if (!this.#closed && this.#polls === null) this.#links.found(path) },
    })
    this.#links = new Links(options.open ?? watch, (path) => this.#take(this.#tree.check(path)), (path, error) => this.#deaf(path, error))
  }

  get files(): number {
    return this.#tree.files
  }

  get polling(): boolean {
    return this.#polls !== null
  }

  /** Resolves when everything below the roots has been read once; changes are told from the first folder on. */
  async start(): Promise<void> {
    const remote = this.#options.roots.map(remoteFileSystem).find((name) => name !== null) ?? null
    if (remote !== null) this.#options.notice(`the files lie on ${remote}, which tells nobody of changes: they are looked at again and again`)
    if (this.#options.poll || remote !== null) this.#poll()
    const late: FileChange[] = []
    for (const root of this.#options.roots) {
      await this.#tree.readIn(root, (path, modifiedMs) => { if (modifiedMs > this.#options.since) late.push({ path, before: null }) })
      if (lookAt(root) === null) this.#awaitRoots()
      else if (lookAt(root)?.kind === 'file') this.#listen(root)
    }
    for (const path of this.#options.were ?? []) {
      if (!this.#tree.holds(path) && !this.#options.rules.ignores(path, false)) late.push({ path, before: unknownSignature })
    }
    if (late.length > 0) this.#take(late)
    if (!this.#closed) this.#pulse = setInterval(() => this.#lookForRoots(), rootPulseMs).unref()
  }

  /** Calls `done` once nothing has changed for a while; again with each call, which begins the wait anew. */
  awaitQuiet(restarts: number, done: (burst: Burst) => void): void {
    if (this.#quiet !== null) clearTimeout(this.#quiet)
    this.#quiet = setTimeout(() => {
      this.#quiet = null
      this.#lookForRoots()
      // That was one more change: the wait has begun anew.
      if (this.#quiet !== null) return
      if (this.#events > manyEvents) {
        this.#events = 0
        const missed = this.#tree.rescan(this.#options.roots)
        if (missed.length > 0) {
          this.#take(missed)
          return
        }
      }
      this.#events = 0
      done({ paths: this.#tree.stillChanged([...this.#changes.values()]) })
    }, quietMs(this.#changes.size, restarts))
  }

  /** Was there no such file when the burst began? */
  isNew(path: string): boolean {
    return this.#changes.get(path)?.before === null
  }

  /** The changes so far are dealt with: those from now on are a new burst. */
  forget(): void {
    this.#changes.clear()
  }

  close(): void {
    this.#closed = true
    for (const timer of [this.#polls, this.#quiet, this.#rootLooks, this.#pulse]) if (timer !== null) clearTimeout(timer)
    for (const path of [...this.#watchers.keys()]) this.#unlisten(path)
    this.#links.close()
  }

  #take(changes: readonly FileChange[]): void {
    const real = changes.filter(({ path }) => basename(path) !== '.gitignore')
    if (real.length < changes.length) this.#options.rules.forget()
    if (real.length === 0 || this.#closed) return
    // The first look of a burst is what the end of it is compared with.
    for (const change of real) if (!this.#changes.has(change.path)) this.#changes.set(change.path, change)
    this.#options.changed(real.map((change) => change.path))
  }

  #hear(folder: string, name: string | null): void {
    if (this.#closed) return
    this.#events += 1
    const isRoot = this.#options.roots.includes(folder)
    // Of a folder's own end it is told by its own name.
    if (isRoot && (name === null || name === basename(folder))) this.#checkRoot(folder)
    if (name === null) this.#take(this.#tree.rescan([folder]))
    else this.#take(this.#tree.check(lookAt(folder)?.kind === 'file' ? folder : join(folder, name)))
  }

  #listen(path: string): void {
    if (this.#closed || this.#polls !== null || this.#watchers.has(path)) return
    try {
      const watcher = (this.#options.open ?? watch)(path, (_type, name) => this.#hear(path, name))
      watcher.on('error', (error) => this.#deaf(path, error as NodeJS.ErrnoException))
      this.#watchers.set(path, watcher)
    } catch (error) {
      this.#deaf(path, error as NodeJS.ErrnoException)
    }
  }

  #unlisten(path: string): void {
    this.#watchers.get(path)?.close()
    this.#watchers.delete(path)
  }

  #deaf(path: string, error: NodeJS.ErrnoException): void {
    if (this.#closed) return
    this.#unlisten(path)
    // A folder that has just gone is no trouble: its parent tells of it.
    if (error.code !== 'ENOSPC' && error.code !== 'EMFILE' && error.code !== 'ENFILE') return
    const hint = error.code === 'ENOSPC' ? 'raise fs.inotify.max_user_watches (sysctl), or watch less (--watch, --ignore)' : 'raise "ulimit -n" or fs.inotify.max_user_instances'
    if (this.#polls === null) this.#options.notice(`the system has no watch left for ${path} (${error.code}): the files are looked at again and again instead; ${hint}`)
    this.#poll()
  }

  #poll(): void {
    if (this.#polls !== null || this.#closed) return
    for (const path of [...this.#watchers.keys()]) this.#unlisten(path)
    this.#links.close()
    const look = (): void => {
      const begun = performance.now()
      this.#take(this.#tree.rescan(this.#options.roots))
      // A large tree is looked at less often: a tenth of one processor at most.
      if (!this.#closed) this.#polls = setTimeout(look, Math.max(leastPollMs, (performance.now() - begun) * 10))
    }
    this.#polls = setTimeout(look, leastPollMs)
  }

  /** Of its own end a folder is not told while a program still runs in it. */
  #lookForRoots(): void {
    for (const root of this.#options.roots) if (this.#tree.knows(root) && lookAt(root) === null) this.#checkRoot(root)
  }

  /** The root itself is gone, or another is in its place. */
  #checkRoot(root: string): void {
    const changes = this.#tree.check(root)
    if (changes.length > 0) this.#take(changes)
    if (lookAt(root) === null) {
      this.#options.notice(`${root} is gone: gracer waits for it to come back (Ctrl-C ends)`)
      this.#awaitRoots()
    }
  }

  #awaitRoots(): void {
    if (this.#rootLooks !== null || this.#closed) return
    this.#rootLooks = setTimeout(() => {
      this.#rootLooks = null
      const missing = this.#options.roots.filter((root) => !this.#tree.knows(root))
      for (const root of missing) {
        if (lookAt(root) === null) continue
        const changes = this.#tree.check(root)
        if (lookAt(root)?.kind === 'file') this.#listen(root)
        this.#take(changes)
      }
      if (missing.some((root) => lookAt(root) === null)) this.#awaitRoots()
    }, rootLookMs)
  }
}

/** Magic numbers of statfs(2): file systems whose changes may be made elsewhere, where inotify does not hear them. */
const remoteTypes = new Map<number, string>([
  [0x6969, 'NFS'], [0x517b, 'SMB'], [0xfe534d42, 'SMB'], [0xff534d42, 'SMB'], [0x01021997, '9p'], [0x65735546, 'a FUSE or virtiofs mount'],
  [0x786f4256, 'a VirtualBox share'], [0x00c36400, 'Ceph'],
])

function remoteFileSystem(path: string): string | null {
  try {
    return remoteTypes.get(Number(BigInt.asUintN(32, BigInt(statfsSync(path).type)))) ?? null
  } catch {
    return null
  }
}
