import type { Stats } from 'node:fs'
import type { FolderBook } from './book.ts'
import type { Due, Findings, Look } from './entry.ts'
import type { FileFacts } from './identity.ts'
import { instantNow } from './instant.ts'
import type { findHolders, HolderScan } from './open-files.ts'
import { walkTree } from './walk.ts'

/** After this long without a change at its top, a folder found at the start is not walked: a cold disk takes seconds for it. */
const oldMs = 3_600_000

export interface Looks {
  readonly folder: string
  readonly book: FolderBook
  readonly findHolders: typeof findHolders
  readonly signal: AbortSignal
  readonly deliver: (found: Findings) => void
  /** The processes were asked for their open files. */
  readonly onScan: (scan: HolderScan) => void
  readonly onError: (path: string, error: NodeJS.ErrnoException) => void
}

/** Looks into the trees that are due, asks once who works in those that are quiet, and delivers what the book says of it. */
export async function lookInto(due: readonly Due[], looks: Looks): Promise<void> {
  const quiet: { readonly look: Look; readonly sure: boolean; readonly path: string }[] = []
  for (const each of due) {
    const path = `${looks.folder}/${each.name}`
    try {
      const look = await lookAt(path, each, looks.signal)
      if (each.sure || looks.book.weighed(look) === 'quiet') quiet.push({ look, sure: each.sure, path })
    } catch (error) {
      if (looks.signal.aborted) return
      looks.book.failed(each.name, performance.now())
      looks.onError(path, error as NodeJS.ErrnoException)
    }
  }
  const asked = quiet.flatMap((each) => (each.sure ? [] : [each.path]))
  const scan = asked.length === 0 ? null : await looks.findHolders(asked)
  if (looks.signal.aborted) return
  if (scan !== null) looks.onScan(scan)
  for (const { look, path } of quiet) looks.deliver(looks.book.settled(look, scan?.holders.get(path) ?? [], instantNow()))
}

async function lookAt(path: string, due: Due, signal: AbortSignal): Promise<Look> {
  const began = instantNow()
  const look = { name: due.name, inode: due.inode, began }
  if (due.initial && (due.sure || began.wall - due.ctimeMs > oldMs)) return { ...look, endedMs: began.mono, youngestMs: due.ctimeMs, print: null }
  let youngestMs = 0
  let count = 0
  let bytes = 0
  let stamps = 0
  let file: FileFacts | undefined
  const visit = (relative: string, stats: Stats): 'stop' | undefined => {
    if (relative === '' && stats.isFile()) file = { size: stats.size, mtimeMs: stats.mtimeMs, mode: stats.mode }
    count += 1
    bytes += stats.size
    // A change after the clock was set back is not the youngest; the sum, in whole microseconds, shows it.
    stamps = (stamps + Math.round(stats.ctimeMs * 1000)) % 1e15
    youngestMs = Math.max(youngestMs, stats.ctimeMs)
    // What was stamped in the future, before the clock was set back, is not young.
    return stats.ctimeMs > due.enoughAboveMs && stats.ctimeMs <= began.wall ? 'stop' : undefined
  }
  const whole = await walkTree(path, { signal, visit })
  return { ...look, endedMs: performance.now(), youngestMs, print: whole ? `${count} ${bytes} ${stamps}` : null, file }
}
