import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'

import { GracerError } from '../gracer-error.ts'

/** A file with the pid of the process that serves: written whole, by a rename, before it is said to be ready. */
export class PidFile {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  /** Throws GracerError 'pid-file'. */
  write(): void {
    const temporary = `${this.#path}.${process.pid}.tmp`
    try {
      writeFileSync(temporary, `${process.pid}\n`)
      renameSync(temporary, this.#path)
    } catch (cause) {
      rmSync(temporary, { force: true })
      throw new GracerError(`the pid file ${this.#path} cannot be written (${(cause as NodeJS.ErrnoException).code ?? String(cause)})`, {
        code: 'pid-file',
        cause,
        hint: 'Its folder must exist and be writable for this user.',
      })
    }
  }

  /** A successor that failed may have put its own pid there. */
  restore(): void {
    if (!this.#isOwn()) this.write()
  }

  remove(): void {
    if (this.#isOwn()) rmSync(this.#path, { force: true })
  }

  #isOwn(): boolean {
    try {
      return readFileSync(this.#path, 'utf8').trim() === String(process.pid)
    } catch {
      return false
    }
  }
}
