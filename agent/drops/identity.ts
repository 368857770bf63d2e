import type { Drop, DropIdentity } from '../drop.ts'
import { labelOfFile } from '../builds/kind.ts'

/** A drop with its place in the order of completion: the greater the sequence, the newer. */
export interface WatchedDrop extends Drop {
  /** Counts up within one watch. Those found at the start come first, in the order of their birth. */
  readonly sequence: number
}

/** What a drop's identity is taken from; from an lstat. Milliseconds of the wall clock. */
export interface Stamped {
  readonly inode: number
  /** 0 where the file system keeps no birth. */
  readonly birthMs: number
  readonly ctimeMs: number
  /** Of a file: what is in it moves these. Absent for anything else. */
  readonly file?: FileFacts
}

export interface FileFacts {
  /** Bytes. */
  readonly size: number
  readonly mtimeMs: number
  /** As in stat's st_mode. */
  readonly mode: number
}

/**
 * The identity of a folder or file, from its own lstat alone.
 *
 * `size` is 0: the bytes in it would take a walk of what may be 50,000 files, and a folder that was moved in is
 * announced within milliseconds. `ctimeMs` holds the birth where there is one. The true ctime moves whenever anything
 * is created at the top of the folder, and a release runs where it lies: its first pid file or cache would make it a
 * drop that nobody tried, and a failed build would come again by itself, for ever. `stamp` overrides it for a
 * folder that is a new drop although its inode and birth are known (moved in again, changed, marked again).
 *
 * Of a file nothing runs where it lies, so its size and mtime count: what is copied over it is another drop. Its ctime
 * does not: chown -R of the folder must not deploy every archive in it again.
 */
export function identityOf(name: string, seen: Stamped, stamp?: number): DropIdentity {
  const { file, inode } = seen
  const born = seen.birthMs > 0 ? seen.birthMs : file?.mtimeMs ?? seen.ctimeMs
  const identity = { name, inode, ctimeMs: stamp ?? born, size: file?.size ?? 0, digest: null }
  return file === undefined ? identity : { ...identity, mtimeMs: file.mtimeMs }
}

/** What people call what bears this name. */
export function labelFor(name: string, seen: Stamped): string {
  return seen.file === undefined ? name : labelOfFile(name)
}

/** The one that was completed last; null when there is none. */
export function newestOf(drops: readonly WatchedDrop[]): WatchedDrop | null {
  return drops.reduce<WatchedDrop | null>((best, drop) => (best === null || drop.sequence > best.sequence ? drop : best), null)
}

/** Whether `path` is `root` or lies in it. Both absolute and without `..`. */
export function isWithin(root: string, path: string): boolean {
  return path === root || path.startsWith(root.endsWith('/') ? root : `${root}/`)
}
