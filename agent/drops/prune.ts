import { lstat, readdir, realpath, rename, rm } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { GracerError } from '../../inherit/gracer-error.ts'
import { isWithin } from './identity.ts'
import { missing } from './safe-folder.ts'

export interface Pruned {
  /** Paths that are gone, those that were gone before included. */
  readonly removed: readonly string[]
  readonly failed: readonly { readonly path: string; readonly message: string }[]
}

const mark = '.gracer-removed-'

/**
 * Removes builds (folders, archives, single files, and what stands beside them) below `root`, gracer's own private folder. Each is first renamed to a dot name in `root`,
 * so that no half of it is ever found under its name; what a crash left under such a name is removed by the next call.
 * Throws GracerError `prune-refused`, before anything is touched, when a path is not strictly within `root`, or when it or
 * a folder on the way to it is a symlink. What cannot be removed (EACCES, EBUSY) is reported, and the others still go.
 */
export async function pruneReleases(root: string, paths: readonly string[]): Promise<Pruned> {
  const home = await realpath(root)
  const present: string[] = []
  const removed: string[] = []
  for (const path of paths) {
    if (await checked(home, root, path)) present.push(path)
    else removed.push(path)
  }
  const failed: { path: string; message: string }[] = []
  for (const path of present) {
    const aside = join(home, `${mark}${basename(path)}-${process.pid}-${Date.now()}`)
    try {
      await rename(path, aside)
      await rm(aside, { recursive: true, force: true })
      removed.push(path)
    } catch (error) {
      failed.push({ path, message: (error as Error).message })
    }
  }
  await sweep(home)
  return { removed, failed }
}

/** Whether there is something to remove. */
async function checked(home: string, root: string, path: string): Promise<boolean> {
  const full = resolve(path)
  if (full !== path || !isWithin(resolve(root), full) || full === resolve(root)) refuse(path, `it does not lie within ${root}`)
  const parent = await realpath(dirname(full)).catch(missing)
  if (parent === null) return false
  if (parent !== join(home, dirname(full).slice(resolve(root).length))) refuse(path, 'a folder on the way to it is a symlink')
  const stats = await lstat(full).catch(missing)
  if (stats === null) return false
  if (!stats.isDirectory() && !stats.isFile()) refuse(path, 'it is neither a folder nor a file')
  return true
}

async function sweep(home: string): Promise<void> {
  for (const name of await readdir(home)) {
    // What fails here was reported when it was renamed, and is tried again by the next call.
    if (name.startsWith(mark)) await rm(join(home, name), { recursive: true, force: true }).catch(() => undefined)
  }
}

function refuse(path: string, why: string): never {
  throw new GracerError(`gracer does not remove ${path}: ${why}.`, { code: 'prune-refused', hint: 'Remove it by hand if it is to go.' })
}
