import { lstatSync, readdirSync, type Dirent } from 'node:fs'
import { dirname, join } from 'node:path'
import type { IgnoreRules } from './ignore-rules.ts'
import { differs, lookAt, type Signature } from './signature.ts'

/** A file that was at one time, and is at another. */
export interface FileChange {
  readonly path: string
  readonly before: Signature | null
}

export interface TreeHooks {
  /** A folder has come into view: begin to listen to it, before it is read. */
  readonly folderFound: (path: string) => void
  readonly folderLost: (path: string) => void
  /** A link to a file. */
  readonly linkFound: (path: string) => void
}

/** What is known of the files below some roots: read folder by folder, compared with what is there. */
export class Tree {
  readonly #rules: IgnoreRules
  readonly #hooks: TreeHooks
  readonly #folders = new Map<string, bigint>()
  readonly #files = new Map<string, Signature>()

  constructor(rules: IgnoreRules, hooks: TreeHooks) {
    this.#rules = rules
    this.#hooks = hooks
  }

  get files(): number {
    return this.#files.size
  }

  knows(path: string): boolean {
    return this.#folders.has(path) || this.#files.has(path)
  }

  /** As a file. */
  holds(path: string): boolean {
    return this.#files.has(path)
  }

  /** Reads a root (a folder or a file) in slices, so that nothing else waits for it; calls `found` for each file. */
  async readIn(root: string, found: (path: string, modifiedMs: number) => void): Promise<void> {
    const pending = [root]
    let sliceEnd = performance.now() + sliceMs
    for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
      for (const next of this.#enter(path, found)) pending.push(next)
      if (performance.now() < sliceEnd) continue
      await new Promise((resolve) => setImmediate(resolve))
      sliceEnd = performance.now() + sliceMs
    }
  }

  /** Something was heard about this path: what of it has changed. */
  check(path: string): FileChange[] {
    const seen = lookAt(path)
    const wasFolder = this.#folders.get(path)
    if (seen?.kind === 'folder') {
      if (wasFolder === seen.inode || this.#rules.ignores(path, true) || this.#isLinkInside(path)) return []
      // New, or another in its place.
      const changes = wasFolder === undefined ? this.#loseFile(path) : this.#lose(path)
      const lost = new Map(changes.map((change) => [change.path, change.before]))
      for (const file of this.#enterAll(path)) lost.set(file, lost.get(file) ?? null)
      return [...lost].map(([file, before]) => ({ path: file, before }))
    }
    const gone = wasFolder === undefined ? [] : this.#lose(path)
    if (this.#rules.ignores(path, false)) return gone
    const before = this.#files.get(path) ?? null
    const after = seen?.signature ?? null
    if (after === null) this.#files.delete(path)
    else {
      this.#files.set(path, after)
      if (isLink(path)) this.#hooks.linkFound(path)
    }
    return differs(before, after) ? [...gone, { path, before }] : gone
  }

  /** Reads everything again and compares: for where events were lost, or do not come. */
  rescan(roots: readonly string[]): FileChange[] {
    const before = new Map(this.#files)
    const changes: FileChange[] = []
    for (const folder of [...this.#folders.keys()]) if (lookAt(folder)?.kind !== 'folder') changes.push(...this.#lose(folder))
    const seen = new Set<string>()
    for (const root of roots) for (const file of this.#enterAll(root)) seen.add(file)
    for (const path of seen) {
      const was = before.get(path) ?? null
      const is = this.#files.get(path) ?? null
      // No event speaks for a change here: the mark alone does.
      if (was?.mark !== is?.mark) changes.push({ path, before: was })
    }
    for (const [path, was] of before) {
      if (seen.has(path)) continue
      if (this.#files.delete(path)) changes.push({ path, before: was })
    }
    return changes
  }

  /** Those of the changes that are still one: a file that came and went, or is again what it was, is none. */
  stillChanged(changes: readonly FileChange[]): string[] {
    return changes.filter(({ path, before }) => {
      const now = this.#files.get(path) ?? null
      if (before === null || now === null) return before !== now
      return before.mark !== now.mark || before.fresh
    }).map((change) => change.path)
  }

  #enterAll(root: string): string[] {
    const files: string[] = []
    const pending = [root]
    for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
      for (const next of this.#enter(path, (file) => files.push(file))) pending.push(next)
    }
    return files
  }

  /** A link to a folder is not followed: it may lead round in a circle, or to the whole disk. */
  #isLinkInside(path: string): boolean {
    return this.#folders.has(dirname(path)) && isLink(path)
  }

  /** Reads one folder, or notes one file; the folders in it that are to be read next. */
  #enter(path: string, found: (path: string, modifiedMs: number) => void): string[] {
    const seen = lookAt(path)
    if (seen === null) return []
    if (seen.kind === 'file') {
      this.#note(path, found)
      return []
    }
    if (this.#folders.get(path) !== seen.inode) {
      if (this.#folders.has(path)) this.#hooks.folderLost(path)
      this.#folders.set(path, seen.inode)
      this.#hooks.folderFound(path)
    }
    const folders: string[] = []
    for (const entry of entriesOf(path)) {
      const child = join(path, entry.name)
      if (entry.isDirectory()) {
        if (!this.#rules.ignores(child, true)) folders.push(child)
      } else if ((entry.isFile() || entry.isSymbolicLink()) && !this.#rules.ignores(child, false)) {
        if (this.#note(child, found) && entry.isSymbolicLink()) this.#hooks.linkFound(child)
      }
    }
    return folders
  }

  #note(path: string, found: (path: string, modifiedMs: number) => void): boolean {
    const seen = lookAt(path)
    if (seen?.kind !== 'file') return false
    this.#files.set(path, seen.signature)
    found(path, seen.modifiedMs)
    return true
  }

  /** A folder stands where a file was. */
  #loseFile(path: string): FileChange[] {
    const before = this.#files.get(path)
    this.#files.delete(path)
    return before === undefined ? [] : [{ path, before }]
  }

  #lose(folder: string): FileChange[] {
    const changes: FileChange[] = []
    const below = `${folder}/`
    for (const path of [...this.#folders.keys()]) {
      if (path !== folder && !path.startsWith(below)) continue
      this.#folders.delete(path)
      this.#hooks.folderLost(path)
    }
    for (const [path, before] of this.#files) {
      if (!path.startsWith(below)) continue
      this.#files.delete(path)
      changes.push({ path, before })
    }
    return changes
  }

}

const sliceMs = 8

function isLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true
}

function entriesOf(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
  } catch {
    // Gone meanwhile, or not to be read by this user.
    return []
  }
}
