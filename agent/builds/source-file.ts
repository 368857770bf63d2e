import { createHash } from 'node:crypto'
import { constants, type Stats } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { GracerError } from '../../inherit/gracer-error.ts'

const chunkBytes = 64 * 1024

/**
 * A dropped file, opened once: whatever its path names meanwhile, it is this one that is read, hashed and taken. A change
 * of it while it is read is noticed.
 */
export class SourceFile {
  readonly path: string
  readonly stats: Stats
  readonly #handle: FileHandle
  readonly #hash = createHash('sha256')
  #bytes = 0

  private constructor(path: string, handle: FileHandle, stats: Stats) {
    this.path = path
    this.#handle = handle
    this.stats = stats
  }

  /** Follows no symlink and waits for no FIFO. @throws GracerError 'build-unreadable', 'no-build' */
  static async open(path: string): Promise<SourceFile> {
    let handle: FileHandle
    try {
      handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? 'unreadable'
      if (code === 'ENOENT') throw new GracerError(`there is no build at ${path} any more`, { code: 'build-unreadable', hint: 'Drop it again.', cause: error })
      if (code === 'ELOOP') throw new GracerError(`${path} is a symlink`, { code: 'build-unreadable', hint: 'Name the file that it leads to.', cause: error })
      throw new GracerError(`${path} cannot be read (${code})`, { code: 'build-unreadable', hint: 'Make it readable for the user that runs gracer.', cause: error })
    }
    const stats = await handle.stat()
    if (stats.isFile()) return new SourceFile(path, handle, stats)
    await handle.close()
    throw new GracerError(`${path} is neither a file nor a folder`, { code: 'no-build', hint: 'Drop a folder, an archive or a program.' })
  }

  /** The first bytes; what is read otherwise does not move by it. */
  async peek(bytes: number): Promise<Buffer> {
    const { buffer, bytesRead } = await this.#handle.read(Buffer.alloc(bytes), 0, bytes, 0)
    return buffer.subarray(0, bytesRead)
  }

  get bytesRead(): number {
    return this.#bytes
  }

  /** From the begin to the end, once; all that it gives is hashed. */
  async *chunks(signal: AbortSignal): AsyncGenerator<Buffer> {
    for (;;) {
      signal.throwIfAborted()
      const { buffer, bytesRead } = await this.#handle.read(Buffer.allocUnsafe(chunkBytes), 0, chunkBytes, this.#bytes)
      if (bytesRead === 0) return
      this.#bytes += bytesRead
      const chunk = buffer.subarray(0, bytesRead)
      this.#hash.update(chunk)
      yield chunk
    }
  }

  /** SHA-256 in hex of all that was read. @throws GracerError 'build-changed' where the file changed meanwhile */
  async digest(): Promise<string> {
    const after = await this.#handle.stat()
    const { size, mtimeMs } = this.stats
    if (after.size !== size || after.mtimeMs !== mtimeMs || this.#bytes !== size) {
      throw new GracerError(`${this.path} changed while it was being read`, { code: 'build-changed', hint: 'Copy it under a name that begins with a dot and rename it, and it is taken when it is whole.' })
    }
    return this.#hash.digest('hex')
  }

  close(): Promise<void> {
    return this.#handle.close()
  }
}

/** SHA-256 of a file as it is now, in hex. @throws GracerError as SourceFile does */
export async function hashFile(path: string, signal: AbortSignal): Promise<string> {
  const file = await SourceFile.open(path)
  try {
    // Reading is what hashes.
    for await (const chunk of file.chunks(signal)) void chunk
    return await file.digest()
  } finally {
    await file.close()
  }
}
