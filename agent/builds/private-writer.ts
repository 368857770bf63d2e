import { constants } from 'node:fs'
import { link, mkdir, open, symlink, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'

/** So many files are synced at a time, beside the writing of the next ones. */
const mostSyncs = 16

/**
 * Writes a tree into a private folder. Every file is new (O_EXCL) and synced, since a confirmed release must boot from it
 * after the machine has died. Paths are relative and were judged before.
 */
export class PrivateWriter {
  readonly #root: string
  readonly #syncs = new Set<Promise<void>>()
  readonly #folders: string[] = ['']
  #open: FileHandle | null = null
  #times: Date | null = null
  #failed: { readonly error: unknown } | null = null

  constructor(root: string) {
    this.#root = root
  }

  async folder(path: string): Promise<void> {
    await mkdir(join(this.#root, path), { mode: 0o755 })
    this.#folders.push(path)
  }

  async begin(path: string, mode: number, modified: Date | null): Promise<void> {
    this.#open = await open(join(this.#root, path), constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, mode)
    this.#times = modified
  }

  async write(chunk: Buffer): Promise<void> {
    let done = 0
    while (done < chunk.length) done += ((await this.#open?.write(chunk, done)) ?? { bytesWritten: chunk.length }).bytesWritten
  }

  async end(): Promise<void> {
    const handle = this.#open
    this.#open = null
    if (handle === null) return
    if (this.#times !== null) await handle.utimes(this.#times, this.#times)
    await this.#later(handle.datasync().finally(() => handle.close()))
  }

  hardLink(path: string, to: string): Promise<void> {
    return link(join(this.#root, to), join(this.#root, path))
  }

  symlink(path: string, target: string): Promise<void> {
    return symlink(target, join(this.#root, path))
  }

  /** Durable when it resolves. */
  async finish(): Promise<void> {
    for (const path of this.#folders) {
      const handle = await open(join(this.#root, path), 'r')
      await this.#later(handle.sync().finally(() => handle.close()))
    }
    await Promise.all(this.#syncs)
    if (this.#failed !== null) throw this.#failed.error
  }

  /** After an error: nothing is written any more when it resolves. */
  async abandon(): Promise<void> {
    await Promise.all(this.#syncs)
    await this.#open?.close().catch(() => undefined)
    this.#open = null
  }

  async #later(work: Promise<void>): Promise<void> {
    const sync: Promise<void> = work
      .catch((error: unknown) => {
        this.#failed ??= { error }
      })
      .finally(() => this.#syncs.delete(sync))
    this.#syncs.add(sync)
    if (this.#syncs.size >= mostSyncs) await Promise.race(this.#syncs)
    if (this.#failed !== null) throw this.#failed.error
  }
}
