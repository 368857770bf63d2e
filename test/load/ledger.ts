import type { Failure } from './failure.ts'
import type { EntryKind } from './kinds.ts'

export type Outcome =
  /** The whole reply came and was right to the last byte. */
  | 'ok'
  | 'failed'
  /** The client went away on purpose: nothing was owed to it. */
  | 'aborted'
  /** The server ended a WebSocket or an event stream in order, where such an end is allowed. */
  | 'ended'

/** One request. Times are process.hrtime.bigint(), nanoseconds of the monotonic clock, all of this one process. */
export interface Entry {
  readonly number: number
  readonly kind: EntryKind
  /** The number of the connection it went over; 0 when none came about. */
  readonly connection: number
  /** When the client set about it, before it dialled. */
  readonly startedAt: bigint
  /** Taken before its first byte was written; null when none was. */
  readonly sentAt: bigint | null
  /** Taken when the reply's head had been read. */
  readonly headAt: bigint | null
  /** Taken when the outcome was known. */
  readonly completedAt: bigint
  readonly status: number | null
  /** Bytes of the reply's body. */
  readonly bytes: number
  /** The release named in the reply's head. */
  readonly release: string | null
  readonly outcome: Outcome
  readonly failure: Failure | null
  /** True when it was the client that ended it. */
  readonly aborted: boolean
}

/** A request under way. The first outcome stands, later ones are ignored. */
export class OpenEntry {
  readonly number: number
  readonly kind: EntryKind
  readonly startedAt = process.hrtime.bigint()
  connection = 0
  bytes = 0
  #sentAt: bigint | null = null
  #headAt: bigint | null = null
  #status: number | null = null
  #release: string | null = null
  #close: ((entry: Entry) => void) | null

  constructor(number: number, kind: EntryKind, close: (entry: Entry) => void) {
    this.number = number
    this.kind = kind
    this.#close = close
  }

  get settled(): boolean {
    return this.#close === null
  }

  get hasHead(): boolean {
    return this.#headAt !== null
  }

  /** Call in the same tick as, and before, the write of the first byte. */
  sent(connection: number, at = process.hrtime.bigint()): void {
    this.connection = connection
    this.#sentAt = at
  }

  head(status: number, release: string | null): void {
    this.#headAt = process.hrtime.bigint()
    this.#status = status
    this.#release = release
  }

  ok(): void {
    this.#settle('ok', null, false)
  }

  failed(why: Failure): void {
    this.#settle('failed', why, false)
  }

  aborted(): void {
    this.#settle('aborted', null, true)
  }

  ended(): void {
    this.#settle('ended', null, false)
  }

  #settle(outcome: Outcome, why: Failure | null, aborted: boolean): void {
    const close = this.#close
    if (close === null) return
    this.#close = null
    close({
      number: this.number, kind: this.kind, connection: this.connection, startedAt: this.startedAt, sentAt: this.#sentAt,
      headAt: this.#headAt, completedAt: process.hrtime.bigint(), status: this.#status, bytes: this.bytes,
      release: this.#release, outcome, failure: why, aborted,
    })
  }
}

/** One entry a request, in order of completion. */
export class Ledger {
  readonly entries: Entry[] = []
  readonly outcomes: Record<Outcome, number> = { ok: 0, failed: 0, aborted: 0, ended: 0 }
  /** In the order of their first full replies. */
  readonly releasesSeen = new Set<string>()
  readonly open = new Set<OpenEntry>()
  readonly #onFailure: ((entry: Entry) => void) | undefined
  #begun = 0

  constructor(onFailure?: (entry: Entry) => void) {
    this.#onFailure = onFailure
  }

  begin(kind: EntryKind): OpenEntry {
    const open = new OpenEntry(++this.#begun, kind, (entry) => {
      this.open.delete(open)
      this.entries.push(entry)
      this.outcomes[entry.outcome]++
      if (entry.outcome === 'ok' && entry.release !== null) this.releasesSeen.add(entry.release)
      if (entry.outcome === 'failed') this.#onFailure?.(entry)
    })
    this.open.add(open)
    return open
  }
}
