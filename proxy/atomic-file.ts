import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'

/**
 * Replaces a file whole: temporary name beside it, rename(2). `durable` also syncs the file before and the folder
 * after the rename, so that it survives the machine and not only the process; a fraction of a millisecond on an SSD.
 * Throws what the file system throws; the old file is then still there.
 */
export function replaceFile(path: string, text: string, durable: boolean): void {
  const aside = `${path}.${process.pid}.tmp`
  const fd = openSync(aside, 'w', 0o600)
  try {
    writeSync(fd, text)
    if (durable) fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  renameSync(aside, path)
  if (durable) syncFolder(dirname(path))
}

/** fsync(2) of the folder makes the rename itself durable. */
export function syncFolder(path: string): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** The file as JSON; null where there is none, or where it is torn or garbage. */
export function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as unknown
  } catch {
    return null
  }
}
