import type { DrainOrder } from '../messages.ts'
import type { WorkerId } from './committer.ts'

/**
 * Waits until every worker has said that the release of a drain order is quiet. A worker that is gone has nothing in flight; the workers
 * of a dead master cannot say anything, so nothing is quiet before the last of them has left.
 */
export class QuietWatch {
  readonly #waiting = new Map<DrainOrder, Set<WorkerId>>()
  readonly #quiet: (order: DrainOrder) => void
  #orphans = 0

  constructor(quiet: (order: DrainOrder) => void) {
    this.#quiet = quiet
  }

  begin(order: DrainOrder, workers: readonly WorkerId[]): void {
    this.#waiting.set(order, new Set(workers))
    this.#check(order)
  }

  said(worker: WorkerId, order: DrainOrder): void {
    this.#waiting.get(order)?.delete(worker)
    this.#check(order)
  }

  workerGone(worker: WorkerId): void {
    for (const [order, workers] of [...this.#waiting]) {
      if (workers.delete(worker)) this.#check(order)
    }
  }

  setOrphans(count: number): void {
    this.#orphans = count
    if (count === 0) for (const order of [...this.#waiting.keys()]) this.#check(order)
  }

  #check(order: DrainOrder): void {
    if (this.#orphans > 0 || this.#waiting.get(order)?.size !== 0) return
    this.#waiting.delete(order)
    this.#quiet(order)
  }
}
