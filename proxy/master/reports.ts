import type { WorkerId } from './committer.ts'

/** A worker that does not answer by then is reported with its last ledger. */
const patienceMs = 500

export interface ReportsOptions {
  readonly ask: (worker: WorkerId, report: number) => void
  readonly workers: () => readonly WorkerId[]
  readonly answer: (request: number) => void
}

/** Asks every worker for its ledger as of now, and answers when all have said it. */
export class Reports {
  readonly #options: ReportsOptions
  readonly #open = new Map<number, { readonly request: number; readonly waiting: Set<WorkerId>; readonly timer: NodeJS.Timeout }>()
  #next = 1

  constructor(options: ReportsOptions) {
    this.#options = options
  }

  begin(request: number): void {
    const report = this.#next
    this.#next += 1
    const waiting = new Set(this.#options.workers())
    const timer = setTimeout(() => this.#finish(report), patienceMs)
    this.#open.set(report, { request, waiting, timer })
    for (const worker of waiting) this.#options.ask(worker, report)
    if (waiting.size === 0) this.#finish(report)
  }

  said(worker: WorkerId, report: number): void {
    const open = this.#open.get(report)
    if (open?.waiting.delete(worker) === true && open.waiting.size === 0) this.#finish(report)
  }

  workerGone(worker: WorkerId): void {
    for (const report of [...this.#open.keys()]) this.said(worker, report)
  }

  #finish(report: number): void {
    const open = this.#open.get(report)
    if (open === undefined) return
    clearTimeout(open.timer)
    this.#open.delete(report)
    this.#options.answer(open.request)
  }
}
