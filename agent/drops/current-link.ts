import { lstat, realpath } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { DropIdentity } from '../drop.ts'
import { isWithin } from './identity.ts'
import { escapeName, nameAllowed, whyRefused } from './name.ts'
import type { Notice } from './notice.ts'
import { missing } from './safe-folder.ts'

/** The symlink `current` and what it leads to. */
export interface CurrentLink {
  readonly inode: number
  /** Of the symlink; where the file system keeps no birth its ctime. A symlink cannot be changed, only made anew. */
  readonly stampMs: number
  /** null: it leads nowhere. */
  readonly target: { readonly path: string; readonly inode: number; readonly isFolder: boolean } | null
}

export type CurrentVerdict =
  | { readonly kind: 'drop'; readonly path: string; readonly identity: DropIdentity }
  | { readonly kind: 'refused'; readonly notice: Notice }

/** A link that is moved this often while it is read once is left for the next reading. */
const readings = 5

/**
 * Reads the symlink `current` in the folder; null when there is none. Link and target are two looks, between which it
 * can be moved: then the one would be of the old link and the other of the new, and one move would be seen twice.
 */
export async function readCurrent(folder: string): Promise<CurrentLink | null> {
  const path = join(folder, 'current')
  let link = await readLink(path)
  for (let reading = 0; link !== null && reading < readings; reading += 1) {
    const real = await realpath(path).catch(nowhere)
    const stats = real === null ? null : await lstat(real).catch(missing)
    const target = real === null || stats === null ? null : { path: real, inode: stats.ino, isFolder: stats.isDirectory() }
    const after = await readLink(path)
    if (after !== null && after.inode === link.inode && after.stampMs === link.stampMs) return { ...link, target }
    link = after
  }
  return null
}

async function readLink(path: string): Promise<{ readonly inode: number; readonly stampMs: number } | null> {
  const link = await lstat(path).catch(missing)
  if (link === null || !link.isSymbolicLink()) return null
  return { inode: link.ino, stampMs: link.birthtimeMs > 0 ? link.birthtimeMs : link.ctimeMs }
}

/**
 * What `current` says. The identity carries the birth of the symlink, so that moving it to a folder that was live
 * before is a drop again, and changing the owner of the symlink is not.
 */
export function judgeCurrent(folder: string, link: CurrentLink): CurrentVerdict {
  const path = `${folder}/current`
  const target = link.target
  if (target === null) {
    return refused('current-dangling', path, 'leads nowhere', 'Move it once the folder that it names is there and whole.')
  }
  const name = basename(target.path)
  if (!target.isFolder) return refused('current-refused', path, `leads to ${escapeName(target.path)}, which is not a folder`, 'Let it lead to the folder of a build.')
  if (isWithin(target.path, folder)) return refused('current-refused', path, 'leads to the releases folder itself or to one above it', 'Let it lead to the folder of a build.')
  if (!nameAllowed(name)) return refused('current-refused', path, `leads to a folder whose name ${escapeName(name)} ${whyRefused(name)}`, 'Rename that folder, and move the symlink.')
  return { kind: 'drop', path: target.path, identity: { name, inode: target.inode, ctimeMs: link.stampMs, size: 0, digest: null } }
}

/**
 * Whether it was moved: made anew, or resolved to another place through a chain of symlinks. A folder that appears or is
 * replaced under a symlink which stays is no move, since nobody said that it is whole.
 */
export function currentMoved(before: CurrentLink | null, after: CurrentLink): boolean {
  if (before === null || before.inode !== after.inode || before.stampMs !== after.stampMs) return true
  return before.target !== null && after.target !== null && before.target.path !== after.target.path
}

function refused(code: 'current-dangling' | 'current-refused', path: string, what: string, hint: string): CurrentVerdict {
  return { kind: 'refused', notice: { code, path, message: `The symlink ${path} ${what}.`, hint } }
}

function nowhere(error: NodeJS.ErrnoException): null {
  if (error.code === 'ELOOP' || error.code === 'EACCES') return null
  return missing(error)
}
