import type { ReleaseId } from '../table.ts'
import type { WorkerId } from './committer.ts'

/**
 * Waits until every worker has said that a release is quiet. A worker that is gone has nothing in flight; the workers
 * of a dead master cannot say anything, so nothing is quiet before the last of them has left.
 */
export class QuietWatch {
  readonly #waiting = new Map<ReleaseId, Set<WorkerId>>()
  readonly #quiet: (release: ReleaseId) => void
  #orphans = 0

  constructor(quiet: (release: ReleaseId) => void) {
    this.#quiet = quiet
  }

  begin(release: ReleaseId, workers: readonly WorkerId[]): void {
    this.#waiting.set(release, new Set(workers))
    this.#check(release)
  }

  said(worker: WorkerId, release: ReleaseId): void {
    this.#waiting.get(release)?.delete(worker)
    this.#check(release)
  }

  workerGone(worker: WorkerId): void {
    for (const [release, workers] of [...this.#waiting]) {
      if (workers.delete(worker)) this.#check(release)
    }
  }

  setOrphans(count: number): void {
    this.#orphans = count
    if (count === 0) for (const release of [...this.#waiting.keys()]) this.#check(release)
  }

  #check(release: ReleaseId): void {
    if (this.#orphans > 0 || this.#waiting.get(release)?.size !== 0) return
    this.#waiting.delete(release)
    this.#quiet(release)
  }
}
