import { renameSync, rmSync, statSync } from 'node:fs'
import type { AccessSettings } from '../../proxy/front-settings.ts'

/**
 * Moves an access log that has grown over its size aside, as `.1`, the one before as `.2` and so on; the oldest goes.
 * By rename alone: workers write on into the moved file until they see that it was moved, so no line is lost.
 * Throws what the file system throws.
 */
export function rotateAccessLog({ file, maxBytes, keep }: Pick<AccessSettings, 'file' | 'maxBytes' | 'keep'>): boolean {
  const stats = statSync(file, { throwIfNoEntry: false })
  // A pipe is not ours to move.
  if (stats === undefined || !stats.isFile() || stats.size <= maxBytes) return false
  rmSync(`${file}.${keep}`, { force: true })
  for (let number = keep - 1; number >= 1; number -= 1) {
    if (statSync(`${file}.${number}`, { throwIfNoEntry: false }) !== undefined) renameSync(`${file}.${number}`, `${file}.${number + 1}`)
  }
  renameSync(file, `${file}.1`)
  return true
}
