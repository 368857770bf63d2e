import { close, constants, fstat, open, stat, write, writeSync } from 'node:fs'
import type { AccessSettings } from '../front-settings.ts'
import { accessLine, isTrouble, type AccessRecord } from './access-line.ts'

/** Lines wait so long for more of them, to be written together. */
const gatherMs = 100
/** As soon as so much has gathered it is written. */
const writeBytes = 64 * 1024
/** More than this is never held back for a disk that is slow or full: further lines are dropped. */
const mostBytes = 1024 * 1024
/** How often it is looked whether the file was moved aside, and, where it cannot be opened or written, tried again. */
const lookMs = 1_000

export interface AccessLogOptions extends AccessSettings {
  /** So many lines of a service could not be written; service '': it is not known whose. */
  readonly dropped: (service: string, lines: number) => void
  readonly log: (event: string, fields: Record<string, unknown>) => void
}

/**
 * One worker's hand on the access log, which all workers append to: with O_APPEND and whole lines in each write their
 * lines never mix. Nothing here is ever waited for by a request: there is one write under way at most, and what it
 * leaves no room for is dropped and counted.
 */
export class AccessLog {
  readonly #options: AccessLogOptions
  readonly #looking: NodeJS.Timeout
  #fd: number | null = null
  #stale: number | null = null
  #inode = -1
  #opening = false
  #gathered: string[] = []
  #gatheredBytes = 0
  #writing = false
  #timer: NodeJS.Timeout | null = null
  /** The last write ended within a line: the next one begins with a line end. */
  #torn = false
  #told = false
  #closed = false

  constructor(options: AccessLogOptions) {
    this.#options = options
    this.#open()
    this.#looking = setInterval(() => this.#look(), lookMs)
    this.#looking.unref()
  }

  /** Whether a request that ended like this gets a line. Asked before its record is put together. */
  wants(end: Pick<AccessRecord, 'status' | 'end'>): boolean {
    const { sample } = this.#options
    return sample >= 1 || isTrouble(end) || Math.random() < sample
  }

  write(record: AccessRecord): void {
    if (this.#closed) return
    const { sample, query, dropped } = this.#options
    if (this.#gatheredBytes >= mostBytes) return dropped(record.service, 1)
    const line = accessLine(new Date(), record, isTrouble(record) ? 1 : sample, query)
    this.#gathered.push(line)
    this.#gatheredBytes += line.length
    if (this.#gatheredBytes >= writeBytes) this.#flush()
    else this.#timer ??= setTimeout(() => this.#flush(), gatherMs)
  }

  /** Writes what has gathered and closes the file, at the worker's end or before another log; a file that takes nothing now gets nothing. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    clearInterval(this.#looking)
    if (this.#timer !== null) clearTimeout(this.#timer)
    const fd = this.#fd
    if (fd === null) {
      if (this.#gathered.length > 0) this.#options.dropped('', this.#gathered.length)
      return
    }
    try {
      // What is under way in a thread of its own goes first or after: both are whole lines.
      if (this.#gathered.length > 0) writeSync(fd, this.#take())
    } catch {
      // As good as it gets.
    }
    // Its number must not be anybody else's while a thread still writes to it.
    if (this.#writing && this.#stale === null) this.#stale = fd
    else close(fd, () => {})
  }

  #flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    const fd = this.#fd
    if (fd === null || this.#writing || this.#gathered.length === 0) return
    const lines = this.#gathered.length
    const bytes = this.#take()
    this.#writing = true
    write(fd, bytes, 0, bytes.length, null, (error, written) => {
      this.#writing = false
      if (this.#stale !== null) close(this.#stale, () => {})
      this.#stale = null
      if (error !== null) this.#failed(error, lines)
      else if (written < bytes.length) {
        // A full disk takes a part. The rest is left out, so that no other worker's line gets between the two halves.
        this.#torn = bytes[written - 1] !== 0x0a
        this.#failed(new Error('only a part could be written'), bytes.subarray(written).toString('latin1').split('\n').length - 1)
      } else this.#told = false
      if (this.#gatheredBytes >= writeBytes && error === null) this.#flush()
      else if (this.#gathered.length > 0 && !this.#closed) this.#timer ??= setTimeout(() => this.#flush(), gatherMs)
    })
  }

  #take(): Buffer {
    const text = (this.#torn ? '\n' : '') + this.#gathered.join('')
    this.#torn = false
    this.#gathered = []
    this.#gatheredBytes = 0
    return Buffer.from(text)
  }

  #failed(error: Error, lines: number): void {
    this.#options.dropped('', lines)
    this.#tell(error)
  }

  /** Once, until it works again. */
  #tell(error: Error): void {
    if (this.#told) return
    this.#told = true
    this.#options.log('access.not-written', { file: this.#options.file, error: error.message, message: 'Lines of the access log are dropped and counted.' })
  }

  #open(): void {
    if (this.#opening || this.#closed) return
    this.#opening = true
    // O_NONBLOCK: where it is a pipe, a reader that stalls must not stall the thread that writes, nor a missing one this.
    open(this.#options.file, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK, 0o600, (failed, fd) => {
      this.#opening = false
      if (failed !== null) return this.#tell(failed)
      fstat(fd, (error, stats) => {
        if (error !== null || this.#closed) return close(fd, () => {})
        // Its number must not be anybody else's while a thread still writes to it.
        if (this.#fd !== null && this.#writing) this.#stale = this.#fd
        else if (this.#fd !== null) close(this.#fd, () => {})
        this.#fd = fd
        this.#inode = stats.ino
        this.#flush()
      })
    })
  }

  /** Moved aside, by the agent for its size or by somebody's logrotate: what is under way still goes to the old one. */
  #look(): void {
    if (this.#fd === null) return this.#open()
    stat(this.#options.file, (error, stats) => {
      if (!this.#writing && (error?.code === 'ENOENT' || (error === null && stats.ino !== this.#inode))) this.#open()
    })
  }
}
