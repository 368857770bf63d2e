import type { Completeness } from '../drop.ts'

/** A file that was moved in is whole at once, and its NAME.sha256 may be on its way; milliseconds, or `settle` where that is less. */
const patienceMs = 1000

export interface ChecksumSettings {
  readonly settleMs: number
  /** required: a file without NAME.sha256 is not taken. */
  readonly checksums: 'optional' | 'required'
}

/** Which NAME.sha256 lie beside files, and how long a file that is whole waits for its own. Touches no file. */
export class Checksums {
  /** File to the ctime of its checksum. */
  private readonly there = new Map<string, number>()
  /** File to the ctime of the checksum that lay there when a file of this name was last taken. */
  private readonly used = new Map<string, number>()
  private readonly settings: ChecksumSettings

  constructor(settings: ChecksumSettings) {
    this.settings = settings
  }

  seen(file: string, ctimeMs: number): void {
    this.there.set(file, ctimeMs)
  }

  /** Drops those that are not among `names`. */
  keep(names: ReadonlySet<string>): void {
    for (const file of this.there.keys()) {
      if (names.has(`${file}.sha256`)) continue
      this.there.delete(file)
      this.used.delete(file)
    }
  }

  taken(file: string): void {
    const ctimeMs = this.there.get(file)
    if (ctimeMs !== undefined) this.used.set(file, ctimeMs)
  }

  /** Whether one is there that no earlier file of this name was taken with. */
  fresh(file: string): boolean {
    const ctimeMs = this.there.get(file)
    return ctimeMs !== undefined && ctimeMs !== this.used.get(file)
  }

  missing(file: string): boolean {
    return this.settings.checksums === 'required' && !this.there.has(file)
  }

  /**
   * How long the file waits for its checksum at least; milliseconds, 0: not at all. A marker says that all is there, and who
   * has settled has waited. One that an earlier file of the name was taken with may be about to be replaced as well.
   */
  waitFor(file: string, how: Completeness): number {
    if (this.fresh(file)) return 0
    return this.missing(file) || how === 'moved' ? Math.min(patienceMs, this.settings.settleMs) : 0
  }

  clear(): void {
    this.there.clear()
  }
}
