import { open, stat } from 'node:fs/promises'

const chunkBytes = 64 * 1024

/**
 * Reads a growing file from where it left off. It holds no descriptor, so a file that was moved away or removed is let
 * go. A file that is now shorter was truncated (the size cap of a log does that), one with another inode was replaced:
 * both are read from their beginning.
 */
export class FileTail {
  readonly path: string
  #position: number
  #inode: number | null = null
  #restarted = false

  /** `position`: bytes to leave out. */
  constructor(path: string, position = 0) {
    this.path = path
    this.#position = position
  }

  /** A tail that begins with the last `lines` lines; of a file that is not there yet, at its beginning. */
  static async atLastLines(path: string, lines: number): Promise<FileTail> {
    return new FileTail(path, await lastLinesPosition(path, lines))
  }

  /** True once after the file was found truncated or replaced. */
  takeRestarted(): boolean {
    const restarted = this.#restarted
    this.#restarted = false
    return restarted
  }

  /** The next bytes, at most 64 KiB; null: nothing new, or no file. */
  async read(): Promise<Buffer | null> {
    const found = await stat(this.path).catch(ignoreMissing)
    if (found === null) return null
    if (found.size < this.#position || (this.#inode !== null && found.ino !== this.#inode)) {
      this.#position = 0
      this.#restarted = true
    }
    this.#inode = found.ino
    if (found.size === this.#position) return null
    const handle = await open(this.path, 'r').catch(ignoreMissing)
    if (handle === null) return null
    try {
      const buffer = Buffer.allocUnsafe(Math.min(chunkBytes, found.size - this.#position))
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, this.#position)
      this.#position += bytesRead
      return bytesRead === 0 ? null : buffer.subarray(0, bytesRead)
    } finally {
      await handle.close()
    }
  }
}

function ignoreMissing(error: unknown): null {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
  throw error
}

/** Where the last `lines` lines begin; read backward, so that the size of the file does not matter. */
async function lastLinesPosition(path: string, lines: number): Promise<number> {
  const handle = await open(path, 'r').catch(ignoreMissing)
  if (handle === null) return 0
  try {
    let end = (await handle.stat()).size
    if (lines === 0) return end
    let wanted = lines
    const buffer = Buffer.allocUnsafe(chunkBytes)
    for (let last = true; end > 0; last = false) {
      const start = Math.max(0, end - chunkBytes)
      const { bytesRead } = await handle.read(buffer, 0, end - start, start)
      // The newline that ends the last line begins no other.
      for (let at = bytesRead - (last && buffer[bytesRead - 1] === 0x0a ? 2 : 1); at >= 0; at--) {
        if (buffer[at] === 0x0a && --wanted === 0) return start + at + 1
      }
      end = start
    }
    return 0
  } finally {
    await handle.close()
  }
}
