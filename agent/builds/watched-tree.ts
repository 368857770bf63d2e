import { createHash } from 'node:crypto'
import { createReadStream, readlinkSync } from 'node:fs'
import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { isWithin } from '../drops/identity.ts'
import { walkTree } from '../drops/walk.ts'

const versionControl = new Set(['.git', '.hg', '.svn'])

/** Whether this is not part of the build that a watched folder is: version control, and what gracer itself keeps there. */
export function notOfTheBuild(path: string, name: string, ours: readonly string[]): boolean {
  return versionControl.has(name) || ours.some((folder) => isWithin(folder, path))
}

/** How a watched file or folder looks, its content unread. */
export interface Print {
  /** Equal where nothing has changed. */
  readonly text: string
  /** Real path. */
  readonly source: string
  /** Files and symlinks, relative to `source` and sorted; '' is a watched file itself. */
  readonly files: readonly string[]
  /** The youngest ctime of them; wall clock. */
  readonly stampMs: number
  /** With the root's own ctime, which a rename moves: a folder moved back is another drop. */
  readonly placedMs: number
  readonly inode: number
}

/** `without`: folders of ours, which are not part of it. Rejects with what the file system says; ENOENT where the root is gone. */
export async function readPrint(source: string, without: readonly string[]): Promise<Print> {
  const lines: string[] = []
  const files: string[] = []
  const skipped = (relative: string): boolean => relative.split('/').some((part, index, parts) => notOfTheBuild(join(source, parts.slice(0, index + 1).join('/')), part, without))
  let stampMs = 0
  await walkTree(source, {
    visit: (relative, stats) => {
      if (relative !== '' && skipped(relative)) return
      // A folder's own times move by what is left out of it.
      const isFolder = stats.isDirectory()
      lines.push(`${relative}:${stats.ino}:${stats.mode}:${isFolder ? '' : `${stats.size}:${stats.mtimeMs}:${stats.ctimeMs}`}`)
      if (!isFolder) stampMs = Math.max(stampMs, stats.ctimeMs)
      if (stats.isFile() || stats.isSymbolicLink()) files.push(relative)
    },
  })
  const { ino, ctimeMs } = await lstat(source)
  const text = createHash('sha256').update(`${source}\n${lines.sort().join('\n')}`).digest('hex')
  return { text, source, files: files.sort(), stampMs, placedMs: Math.max(stampMs, ctimeMs), inode: ino }
}

/** SHA-256 over names, x bits and content: equal for what is the same build, whenever it was copied. */
export async function digestOf({ source, files }: Pick<Print, 'source' | 'files'>): Promise<string> {
  const hash = createHash('sha256')
  for (const file of files) {
    const path = file === '' ? source : join(source, file)
    const stats = await lstat(path)
    hash.update(`${JSON.stringify(file)}:${stats.isSymbolicLink() ? `link:${readlinkSync(path)}` : `${stats.mode & 0o111}:${stats.size}`}\n`)
    if (stats.isFile()) for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
  }
  return hash.digest('hex')
}

/** Kernels stamp with a clock that ticks every 1 to 10 ms. */
const slackMs = 50

/**
 * Whether what lies there is still what was announced: nothing in it is younger, or it holds the same all the same. To be
 * asked after it was copied. `announcedMs`: wall clock.
 */
export async function isStill(source: string, without: readonly string[], digest: string, announcedMs: number): Promise<boolean> {
  const print = await readPrint(source, without)
  return print.placedMs < announcedMs - slackMs || await digestOf(print) === digest
}
