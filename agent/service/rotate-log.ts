import { execFile } from 'node:child_process'
import { open, rename, rm, stat, truncate, type FileHandle } from 'node:fs/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** A cut is a whole number of blocks on every file system in use (4 to 64 KiB). */
const blockBytes = 64 * 1024
const chunkBytes = 256 * 1024

export interface Rotation {
  /** So many bytes stand in `.1` now, and not in the log any more. */
  readonly bytes: number
  /** False: the file system or the machine has no lossless cut, and lines written in the last moment may be missing. */
  readonly lossless: boolean
}

/**
 * Moves what a log over `mostBytes` holds to `.1`. Whoever writes has the file open and appends (O_APPEND), so it can be
 * neither renamed nor replaced. Its front is copied, which nobody writes to any more, and then taken out of the file in
 * one step that the kernel puts before or after each write (fallocate(2), FALLOC_FL_COLLAPSE_RANGE: ext4, xfs).
 * Elsewhere it is copied to its end and truncated. null: there is nothing to do. Rejects as the file system does.
 */
export async function rotateLog(file: string, mostBytes: number): Promise<Rotation | null> {
  const next = `${file}.1.next`
  const finished = await finishRotation(file)
  const size = (await stat(file).catch(ignoreMissing))?.size ?? 0
  if (size <= mostBytes) return finished
  // The last block stays: a range that reaches the end is refused.
  const front = Math.floor((size - 1) / blockBytes) * blockBytes
  const source = await open(file, 'r')
  try {
    const target = await open(next, 'w', 0o600)
    try {
      let bytes = await copy(source, target, 0, front)
      const lossless = bytes > 0 && await collapse(file, bytes)
      // Readers know by the name `.1.next` that a shorter file was cut here, and by `.1` how much of it.
      if (!lossless) {
        bytes = await copy(source, target, bytes, Infinity)
        await truncate(file, 0)
      }
      await rename(next, `${file}.1`)
      return { bytes, lossless }
    } finally {
      await target.close()
    }
  } finally {
    await source.close()
  }
}

/** An agent that was killed between the cut and the name for it: what it had copied stands nowhere else. */
async function finishRotation(file: string): Promise<Rotation | null> {
  const next = `${file}.1.next`
  const kept = await open(next, 'r').catch(ignoreMissing)
  if (kept === null) return null
  try {
    const { size } = await kept.stat()
    if (size > 0 && !(await beginsWith(file, kept, size))) {
      await rename(next, `${file}.1`)
      return { bytes: size, lossless: true }
    }
  } finally {
    await kept.close()
  }
  await rm(next, { force: true })
  return null
}

async function beginsWith(file: string, kept: FileHandle, size: number): Promise<boolean> {
  const log = await open(file, 'r').catch(ignoreMissing)
  if (log === null) return false
  try {
    if ((await log.stat()).size < size) return false
    for (let at = 0; at < size; at += chunkBytes) {
      const [a, b] = await Promise.all([log, kept].map((handle) => handle.read(Buffer.alloc(chunkBytes), 0, Math.min(chunkBytes, size - at), at)))
      if (a === undefined || b === undefined || !a.buffer.subarray(0, a.bytesRead).equals(b.buffer.subarray(0, b.bytesRead))) return false
    }
    return true
  } finally {
    await log.close()
  }
}

/** Copies from `from` to `to`, or to the end as it is then; how far it came. */
async function copy(source: FileHandle, target: FileHandle, from: number, to: number): Promise<number> {
  const buffer = Buffer.allocUnsafe(chunkBytes)
  let at = from
  while (at < to) {
    const { bytesRead } = await source.read(buffer, 0, Math.min(buffer.length, to - at), at)
    if (bytesRead === 0) break
    await target.write(buffer, 0, bytesRead, at)
    at += bytesRead
  }
  return at
}

/** False where there is no such program (it is util-linux's; BusyBox has less) or the file system refuses. */
async function collapse(file: string, bytes: number): Promise<boolean> {
  if (process.platform !== 'linux') return false
  return await run('fallocate', ['--collapse-range', '--offset', '0', '--length', String(bytes), file], { timeout: 30_000 }).then(() => true, () => false)
}

function ignoreMissing(error: NodeJS.ErrnoException): null {
  if (error.code === 'ENOENT') return null
  throw error
}
