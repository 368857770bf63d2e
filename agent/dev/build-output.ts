import { dirname } from 'node:path'

/**
 * Tells what a build writes from what a person saves, where both lie in the watched folders: a file that changes during
 * two builds in a row is the build's, and so is a new one beside it (names with hashes in them). A person's save during a
 * build costs one build more, and is never taken for the build's.
 */
export class BuildOutput {
  readonly #files = new Set<string>()
  readonly #folders = new Set<string>()
  #suspects = new Set<string>()
  #now = new Set<string>()

  /** A build begins. */
  begins(): void {
    this.#suspects = this.#now
    this.#now = new Set()
  }

  /**
   * A file has changed while a build runs: is that the build's own doing? `isNew`: there was none before. `learned`: it is
   * known from now on.
   */
  judge(path: string, isNew: boolean): 'output' | 'learned' | 'save' {
    if (this.#files.has(path)) return 'output'
    if (isNew && this.#folders.has(dirname(path))) {
      this.#files.add(path)
      return 'output'
    }
    this.#now.add(path)
    if (!this.#suspects.has(path)) return 'save'
    this.#files.add(path)
    this.#folders.add(dirname(path))
    return 'learned'
  }

  /** A file has changed while no build runs: a person's, whatever it was taken for. */
  saved(path: string): void {
    this.#now.delete(path)
    this.#files.delete(path)
  }
}
