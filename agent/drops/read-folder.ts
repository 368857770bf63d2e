import { lstat, readdir } from 'node:fs/promises'
import type { Stats } from 'node:fs'
import { readCurrent } from './current-link.ts'
import type { Listing, Seen } from './entry.ts'
import { instantNow } from './instant.ts'
import { judgeName } from './name.ts'
import { missing } from './safe-folder.ts'

/** A reading of the folder, with the lstat of the names that `wants` asks for. */
export async function readFolder(folder: string, wants: (name: string) => boolean): Promise<Pick<Listing, 'at' | 'names' | 'seen' | 'current'>> {
  const at = instantNow()
  const names = new Set(await readdir(folder))
  const seen = new Map<string, Seen>()
  await Promise.all([...names].map(async (name) => {
    if (judgeName(name).kind === 'refused' || !wants(name)) return
    const stats = await lstat(`${folder}/${name}`).catch(missing)
    if (stats !== null) seen.set(name, seenOf(stats))
  }))
  return { at, names, seen, current: names.has('current') ? await readCurrent(folder) : null }
}

function seenOf(stats: Stats): Seen {
  const kind = stats.isSymbolicLink() ? 'link' : stats.isDirectory() ? 'folder' : stats.isFile() ? 'file' : 'other'
  const seen = { kind, inode: stats.ino, birthMs: stats.birthtimeMs, ctimeMs: stats.ctimeMs } as const
  return kind === 'file' ? { ...seen, file: { size: stats.size, mtimeMs: stats.mtimeMs, mode: stats.mode } } : seen
}
