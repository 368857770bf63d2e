import { closeSync, copyFileSync, ftruncateSync, openSync, statSync } from 'node:fs'

/**
 * Empties a log that has grown over `mostBytes`, keeping what it held once, as `.1`. Cut in place and never renamed:
 * whoever writes to it has it open, and appends (O_APPEND), so the next line stands at its new beginning.
 * Lines written between the copy and the cut are lost. Throws what the file system throws.
 */
export function capLog(file: string, mostBytes: number): void {
  const stats = statSync(file, { throwIfNoEntry: false })
  if (stats === undefined || stats.size <= mostBytes) return
  copyFileSync(file, `${file}.1`)
  const fd = openSync(file, 'r+')
  try {
    ftruncateSync(fd, 0)
  } finally {
    closeSync(fd)
  }
}
