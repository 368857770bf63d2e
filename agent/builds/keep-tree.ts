import { execFile } from 'node:child_process'
import { constants, type Stats } from 'node:fs'
import { chmod, copyFile, lstat, mkdir, readdir, readlink, symlink, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { GracerError } from '../../inherit/gracer-error.ts'
import { escapeName } from '../drops/name.ts'
import { judgeLinkTarget } from './entry-path.ts'
import { tooLarge, tooMany, type BuildLimits } from './limits.ts'
import { notOfTheBuild } from './watched-tree.ts'

export interface KeepTreeOptions {
  /** Real path. */
  readonly source: string
  readonly into: string
  /** Folders of ours, which may lie in the tree and are left out. */
  readonly without: readonly string[]
  readonly limits: BuildLimits
  readonly signal: AbortSignal
  readonly progress?: (files: number) => void
}

/** So many files are copied at a time: Node has four threads for it, and the disk has a queue. */
const atOnce = 16

/**
 * Copies a tree into a private folder, sharing the blocks with the original where the file system can (reflink: btrfs, XFS,
 * APFS), so that a change of either is not one of the other. Version control (.git) stays behind, and so do sockets and
 * FIFOs. @throws GracerError 'build-too-large', 'build-changed', 'link-leads-out'; what the file system throws
 */
export async function keepTree(options: KeepTreeOptions): Promise<{ readonly files: number; readonly bytes: number }> {
  const { source, into, limits, signal } = options
  const files: { readonly path: string; readonly stats: Stats }[] = []
  const folders: { readonly path: string; readonly stats: Stats }[] = []
  let entries = 0
  let bytes = 0
  const waiting = ['']
  for (let folder = waiting.pop(); folder !== undefined; folder = waiting.pop()) {
    for (const name of await readdir(join(source, folder))) {
      signal.throwIfAborted()
      const path = folder === '' ? name : `${folder}/${name}`
      if (notOfTheBuild(join(source, path), name, options.without)) continue
      const stats = await lstat(join(source, path))
      entries += 1
      if (entries > limits.maxEntries) throw tooMany(source, limits)
      if (stats.isDirectory()) {
        await mkdir(join(into, path))
        folders.push({ path, stats })
        waiting.push(path)
      } else if (stats.isSymbolicLink()) {
        const target = await readlink(join(source, path))
        const why = judgeLinkTarget(path, target)
        if (why !== null) throw new GracerError(`in ${source}, ${escapeName(path)} is a symlink that ${why}`, { code: 'link-leads-out' })
        await symlink(target, join(into, path))
      } else if (stats.isFile()) {
        bytes += stats.size
        if (bytes > limits.maxBytes) throw tooLarge(source, limits)
        files.push({ path, stats })
      }
    }
  }
  let next = 0
  const copySome = async (): Promise<void> => {
    for (let file = files[next++]; file !== undefined; file = files[next++]) {
      signal.throwIfAborted()
      await copyOne(join(source, file.path), join(into, file.path), file.stats)
      options.progress?.(next)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, copySome))
  // Last and deepest first: what is made in a folder changes its time, and a folder may be read-only.
  for (const { path, stats } of folders.reverse()) await chmod(join(into, path), (stats.mode & 0o755) | 0o700)
  await sync(into)
  return { files: files.length, bytes }
}

async function copyOne(from: string, to: string, before: Stats): Promise<void> {
  await copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE)
  const after = await lstat(from)
  if (after.ino !== before.ino || after.size !== before.size || after.mtimeMs !== before.mtimeMs || after.ctimeMs !== before.ctimeMs) {
    throw new GracerError(`${from} changed while it was being copied`, { code: 'build-changed', hint: 'It is taken when it has come to rest.' })
  }
  await chmod(to, (before.mode & 0o755) | 0o600)
  await utimes(to, before.atime, before.mtime)
}

/** One syncfs(2) for all: syncing 50,000 files one by one takes a hundred times as long. Where there is no sync(1) that can, the kernel's own pace has to do. */
async function sync(folder: string): Promise<void> {
  await promisify(execFile)('sync', ['-f', folder]).catch(() => undefined)
}
