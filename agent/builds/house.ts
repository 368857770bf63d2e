import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { syncFolder } from '../../proxy/atomic-file.ts'

/** Under such a name lies what is not whole yet, or is to go: nothing that has it outlives the next start. */
const unsure = '.'

/**
 * Where gracer's own copies of builds lie: one folder a release, whole or not there. The folder is ours alone (0700), so
 * what lies in it is what was taken in.
 */
export class BuildHouse {
  readonly folder: string
  #next = 1

  constructor(folder: string) {
    this.folder = folder
    mkdirSync(folder, { recursive: true, mode: 0o700 })
  }

  /** Where the copy of a release lies once it is whole. */
  rootOf(release: string): string {
    return join(this.folder, release)
  }

  /**
   * Has `make` fill an empty folder, which then becomes the release's copy in one step. Whatever `make` throws, and
   * wherever the agent is killed, nothing of it is left under the release's name.
   */
  async build<T>(release: string, make: (into: string) => Promise<T>): Promise<T> {
    const aside = join(this.folder, `${unsure}${release}-${process.pid}-${this.#next++}`)
    await mkdir(aside, { mode: 0o700 })
    try {
      const made = await make(aside)
      const root = this.rootOf(release)
      // Left there by an agent that was killed before it could write down that it had made it.
      if (existsSync(root)) await this.#remove(release)
      await rename(aside, root)
      syncFolder(this.folder)
      return made
    } catch (error) {
      await rm(aside, { recursive: true, force: true })
      throw error
    }
  }

  /** For the start, when nothing is being made: removes what a dead agent left half made. Throws what the file system throws. */
  sweep(): void {
    for (const name of readdirSync(this.folder)) if (name.startsWith(unsure)) rmSync(join(this.folder, name), { recursive: true, force: true })
  }

  /** Removes all copies but these; what is being made stays. Resolves with the names of those that are gone. */
  async keepOnly(roots: ReadonlySet<string>): Promise<string[]> {
    const gone = readdirSync(this.folder).filter((name) => !name.startsWith(unsure) && !roots.has(join(this.folder, name)))
    // Renamed in this very step, in which nobody can begin to use them; then there is time.
    await Promise.all(gone.map((name) => this.#remove(name)))
    return gone
  }

  #remove(name: string): Promise<void> {
    const aside = join(this.folder, `${unsure}${name}-gone-${process.pid}-${this.#next++}`)
    renameSync(join(this.folder, name), aside)
    return rm(aside, { recursive: true, force: true })
  }
}
