import type { ShadowCopy } from '../../proxy/canary/shadow.ts'
import { emptyHistogram, observe, quantileUs, type Histogram } from '../../proxy/histogram.ts'

/** What is known of the copies that a release got: JSON. */
export interface ShadowJournal {
  readonly copies: number
  readonly same: number
  readonly worse: number
  readonly skipped: number
  readonly live: Histogram
  readonly copy: Histogram
}

/** As `status` shows it. Times in milliseconds to the head of the reply; null: there is none. */
export interface ShadowFigures {
  readonly copies: number
  /** Of the copies: with the status of the client's own reply. */
  readonly same: number
  /** An error, or no reply, where the client's own was none. */
  readonly worse: number
  /** Not copied, because as many were under way as may be. */
  readonly skipped: number
  readonly liveMs: { readonly p50: number | null; readonly p99: number | null }
  readonly copyMs: { readonly p50: number | null; readonly p99: number | null }
}

/** Compares replies with those of their copies, in status and time. */
export class ShadowTally {
  #copies = 0
  #same = 0
  #worse = 0
  #skipped = 0
  readonly #live: Histogram
  readonly #copy: Histogram

  constructor(journal: ShadowJournal | null = null) {
    this.#live = journal?.live ?? emptyHistogram()
    this.#copy = journal?.copy ?? emptyHistogram()
    if (journal === null) return
    this.#copies = journal.copies
    this.#same = journal.same
    this.#worse = journal.worse
    this.#skipped = journal.skipped
  }

  add(copies: readonly ShadowCopy[], skipped: number): void {
    this.#skipped += skipped
    for (const { live, copy } of copies) {
      this.#copies += 1
      if (copy.status === live.status) this.#same += 1
      else if (live.status < 500 && (copy.status === null || copy.status >= 500)) this.#worse += 1
      observe(this.#live, live.ms * 1_000)
      if (copy.status !== null) observe(this.#copy, copy.ms * 1_000)
    }
  }

  figures(): ShadowFigures {
    return { copies: this.#copies, same: this.#same, worse: this.#worse, skipped: this.#skipped, liveMs: timesOf(this.#live), copyMs: timesOf(this.#copy) }
  }

  journal(): ShadowJournal {
    return { copies: this.#copies, same: this.#same, worse: this.#worse, skipped: this.#skipped, live: this.#live, copy: this.#copy }
  }
}

function timesOf(histogram: Histogram): { p50: number | null; p99: number | null } {
  const [p50, p99] = [0.5, 0.99].map((q) => quantileUs(histogram, q))
  return { p50: milliseconds(p50), p99: milliseconds(p99) }
}

/** With one decimal. */
function milliseconds(us: number | null | undefined): number | null {
  return us === null || us === undefined ? null : Math.round(us / 100) / 10
}
