import { readlink, realpath } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { GracerError } from '../../inherit/gracer-error.ts'
import { isWithin } from './identity.ts'
import { escapeName } from './name.ts'
import { walkTree } from './walk.ts'

export interface ManifestEntry {
  /** Relative to the drop, with '/'. */
  readonly path: string
  /** Bytes. */
  readonly size: number
  readonly mtimeMs: number
  readonly inode: number
  /** Of a symlink, as it is written in it; null for a file. */
  readonly target: string | null
}

/** What lies in a drop, without its folders: their mtime moves with everything a release writes. Plain data, sorted by path. */
export interface Manifest {
  /** Real path of the drop. */
  readonly root: string
  readonly entries: readonly ManifestEntry[]
  /** Bytes of all files together. */
  readonly bytes: number
}

export interface ManifestOptions {
  /** Files, links and folders together; beyond it the drop is refused. */
  readonly maxFiles: number
  /** Real paths of folders outside the drop that its symlinks may lead into (Capistrano's `shared`). */
  readonly alsoInside?: readonly string[]
  readonly signal?: AbortSignal
}

export interface ManifestDifference {
  /** The first few of each; the numbers are in `counts`. */
  readonly changed: readonly string[]
  readonly added: readonly string[]
  readonly removed: readonly string[]
  readonly counts: { readonly changed: number; readonly added: number; readonly removed: number }
  readonly message: string
}

const few = 5

/**
 * Takes down path, size, mtime and inode of everything in the drop at `path`. Throws GracerError: `drop-gone`,
 * `drop-too-large`, `drop-refused` (a symlink that leads out of it, a FIFO, socket or device, or something unreadable).
 */
export async function takeManifest(path: string, options: ManifestOptions): Promise<Manifest> {
  const root = await realpath(path).catch((cause: unknown) => gone(path, cause))
  const entries: ManifestEntry[] = []
  const links: ManifestEntry[] = []
  let count = 0
  let bytes = 0
  await walkTree(root, {
    signal: options.signal,
    unreadable: (relative, error) => refuse(root, relative, `cannot be read (${error.code ?? error.message})`, 'Make it readable for the user that runs gracer.'),
    visit: (relative, stats) => {
      count += 1
      if (count > options.maxFiles) {
        throw new GracerError(`The drop ${root} holds more than ${options.maxFiles} files.`, {
          code: 'drop-too-large', hint: 'Leave out what the release does not need at run time.',
        })
      }
      if (stats.isDirectory()) return
      const entry = { path: relative, size: stats.size, mtimeMs: stats.mtimeMs, inode: stats.ino, target: null }
      if (stats.isSymbolicLink()) links.push(entry)
      else if (stats.isFile()) {
        entries.push(entry)
        bytes += stats.size
      } else refuse(root, relative, 'is neither a file nor a folder nor a symlink', 'Take it out of the drop.')
    },
  }).catch((cause: unknown) => {
    if ((cause as NodeJS.ErrnoException | null)?.code === 'ENOENT') gone(path, cause)
    throw cause
  })
  const inside = [root, ...(options.alsoInside ?? [])]
  for (const link of links) entries.push({ ...link, target: await checkedTarget(root, link.path, inside) })
  entries.sort(byPath)
  return { root, entries, bytes }
}

/** Compares what lies at `path` now with the manifest; null: nothing differs. Throws what takeManifest throws. */
export async function compareManifest(manifest: Manifest, path: string, options?: Partial<ManifestOptions>): Promise<ManifestDifference | null> {
  return diffManifests(manifest, await takeManifest(path, { maxFiles: Infinity, ...options }))
}

/** The differences between two manifests; null: none. Pure. */
export function diffManifests(before: Manifest, after: Manifest): ManifestDifference | null {
  const old = new Map(before.entries.map((entry) => [entry.path, entry]))
  const changed: string[] = []
  const added: string[] = []
  for (const entry of after.entries) {
    const known = old.get(entry.path)
    old.delete(entry.path)
    if (known === undefined) added.push(entry.path)
    else if (known.size !== entry.size || known.mtimeMs !== entry.mtimeMs || known.inode !== entry.inode || known.target !== entry.target) changed.push(entry.path)
  }
  const removed = [...old.keys()]
  if (changed.length + added.length + removed.length === 0) return null
  const parts = [['changed', changed], ['added', added], ['removed', removed]] as const
  const told = parts.filter(([, paths]) => paths.length > 0).map(([word, paths]) => `${paths.length} ${word} (${listed(paths)})`)
  return {
    changed: changed.slice(0, few),
    added: added.slice(0, few),
    removed: removed.slice(0, few),
    counts: { changed: changed.length, added: added.length, removed: removed.length },
    message: `${after.root} is not what it was when it was taken in: ${told.join(', ')}.`,
  }
}

async function checkedTarget(root: string, relative: string, inside: readonly string[]): Promise<string> {
  const path = `${root}/${relative}`
  const target = await readlink(path).catch((cause: unknown) => gone(path, cause))
  // The folder of the link is real, since the walk follows none; a link that leads nowhere is judged by what it says.
  const resolved = await realpath(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') refuse(root, relative, `is a symlink that cannot be followed (${error.code ?? error.message})`, 'Mend it, or take it out of the drop.')
    return resolve(dirname(path), target)
  })
  if (!inside.some((folder) => isWithin(folder, resolved))) {
    refuse(root, relative, `is a symlink that leads out of the drop, to ${escapeName(resolved)}`, 'Copy what it leads to into the drop.')
  }
  return target
}

function refuse(root: string, relative: string, what: string, hint: string): never {
  throw new GracerError(`In the drop ${root}, ${escapeName(relative)} ${what}.`, { code: 'drop-refused', hint })
}

function gone(path: string, cause: unknown): never {
  throw new GracerError(`The drop ${path} is not there any more.`, { code: 'drop-gone', hint: 'Drop it again.', cause })
}

function listed(paths: readonly string[]): string {
  const first = paths.slice(0, few).map(escapeName).join(', ')
  return paths.length > few ? `${first}, …` : first
}

function byPath(a: ManifestEntry, b: ManifestEntry): number {
  return a.path < b.path ? -1 : a.path > b.path ? 1 : 0
}
