import { rmSync, statSync } from 'node:fs'
import type { Log } from '../../proxy/log.ts'
import { LogTimes } from './log-times.ts'
import { rotateLog } from './rotate-log.ts'

/** A backend's log over this size is rotated: what it held is kept once, as `.1`. */
const mostBytes = 16 * 1024 * 1024

/** What belongs to a backend's log besides itself. */
export const besideLog = ['.1', '.1.next', '.times', '.times.next'] as const

export interface BackendLogsOptions {
  readonly service: string
  readonly log: Log
  readonly file: (release: string) => string
}

/** The output of a service's backends: kept from growing without end, and dated. */
export class BackendLogs {
  readonly #options: BackendLogsOptions
  readonly #times = new Map<string, LogTimes>()
  #looking = false
  #toldLossy = false

  constructor(options: BackendLogsOptions) {
    this.#options = options
  }

  /** Dates and rotates the logs of these releases. Never rejects. */
  async look(releases: readonly string[]): Promise<void> {
    if (this.#looking) return
    this.#looking = true
    for (const release of releases) {
      const file = this.#options.file(release)
      try {
        const now = Date.now()
        const size = statSync(file, { throwIfNoEntry: false })?.size
        if (size !== undefined) this.#timesOf(release).note(now, size)
        const rotation = await rotateLog(file, mostBytes)
        if (rotation === null) continue
        this.#timesOf(release).cut(rotation.bytes)
        if (!rotation.lossless) this.#tellLossy(file)
      } catch (error) {
        this.#options.log.warn('logs.not-cut', { service: this.#options.service, file, error: (error as Error).message })
      }
    }
    this.#looking = false
  }

  /** Where to begin to see all that was printed at `since` (ms since 1970) or later, in bytes from the beginning of the log; below 0: in `.1`. null: everything. */
  since(release: string, since: number): number | null {
    return this.#timesOf(release).since(since)
  }

  remove(release: string): void {
    this.#times.delete(release)
    const file = this.#options.file(release)
    for (const path of [file, ...besideLog.map((ending) => file + ending)]) rmSync(path, { force: true })
  }

  #timesOf(release: string): LogTimes {
    let times = this.#times.get(release)
    if (times === undefined) this.#times.set(release, times = new LogTimes(`${this.#options.file(release)}.times`))
    return times
  }

  #tellLossy(file: string): void {
    if (this.#toldLossy) return
    this.#toldLossy = true
    this.#options.log.warn('logs.cut-with-a-gap', { service: this.#options.service, file, message: 'The log was copied and truncated: lines written between the two are missing. Without a gap it goes on ext4 and xfs, with util-linux\'s fallocate installed.' })
  }
}
