import { existsSync, linkSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { replaceFile } from '../proxy/atomic-file.ts'
import type { Log } from '../proxy/log.ts'
import { newServiceState, type ServiceState } from './swap/state.ts'

/**
 * One service's journal: its whole state in one file, replaced atomically and synced before anything is done about it.
 * The copy before it is kept, for the case that the newest was torn by the end of the machine.
 */
export class Journal {
  readonly #path: string
  readonly #previous: string
  readonly #service: string
  readonly #log: Log
  #written = ''
  /** The newest copy is on the disk, and not only in the kernel's memory. */
  #isSynced = true

  constructor(folder: string, service: string, log: Log) {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    this.#path = join(folder, 'journal.json')
    this.#previous = join(folder, 'journal.previous.json')
    this.#service = service
    this.#log = log
  }

  /** The newest copy that can be read. Where none can, a new state: gracer never refuses to serve for a bad journal. */
  read(): ServiceState {
    for (const path of [this.#path, this.#previous]) {
      const found = this.#readOne(path)
      if (found === null) continue
      if (path === this.#previous) this.#log.error('journal.previous-used', { path: this.#path }, 'The journal could not be read; the copy before it was taken.')
      return found
    }
    return newServiceState(this.#service)
  }

  /**
   * Durable when it returns; with `synced` false only for as long as the machine runs, and without waiting for the disk.
   * Writes nothing where nothing has changed. Throws what the file system throws.
   */
  write(state: ServiceState, synced = true): void {
    const text = `${JSON.stringify(state)}\n`
    if (text === this.#written) return
    // The copy before it is one that is on the disk.
    if (this.#isSynced && existsSync(this.#path)) {
      rmSync(this.#previous, { force: true })
      linkSync(this.#path, this.#previous)
    }
    replaceFile(this.#path, text, synced)
    this.#isSynced = synced
    this.#written = text
  }

  #readOne(path: string): ServiceState | null {
    let text: string
    try {
      text = readFileSync(path, 'utf8')
    } catch {
      return null
    }
    try {
      const state = JSON.parse(text) as Partial<ServiceState>
      if (state.schema === 1 && Array.isArray(state.releases) && Array.isArray(state.leaving) && typeof state.nextNumber === 'number') {
        return { ...newServiceState(this.#service), ...state, service: this.#service } as ServiceState
      }
    } catch {
      // Said below, with what is done about it.
    }
    const aside = `${path}.bad-${Date.now()}`
    renameSync(path, aside)
    this.#log.error('journal.unreadable', { path, movedTo: aside }, 'A journal could not be read; it was put aside.')
    return null
  }
}
