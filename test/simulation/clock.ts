import type { SimProcess } from './process.ts'

export interface Timed {
  time: number
  readonly order: number
  /** Whose event it is: it is lost when that process dies, and waits while it is stopped. null: the world's own. */
  readonly owner: SimProcess | null
  run: (() => void) | null
}

/** The simulated clock, in milliseconds, and what is to happen when. Equal times happen in the order they were set. */
export class Clock {
  now = 0
  steps = 0
  readonly #heap: Timed[] = []
  #next = 0
  #order = 0

  after(ms: number, owner: SimProcess | null, run: () => void): Timed {
    return this.at(this.now + ms, owner, run)
  }

  at(time: number, owner: SimProcess | null, run: () => void): Timed {
    const timed: Timed = { time, order: this.#next, owner, run }
    this.#next += 1
    this.#push(timed)
    return timed
  }

  cancel(timed: Timed | null): void {
    if (timed !== null) timed.run = null
  }

  stall(process: SimProcess): void {
    if (!process.alive || process.stalled) return
    process.stalled = true
    process.stalledSince = this.now
  }

  /** What came for it meanwhile is taken first, in its order. */
  resume(process: SimProcess): void {
    if (!process.stalled) return
    process.stalled = false
    process.stalledMs += this.now - process.stalledSince
    for (const timed of process.backlog.splice(0)) {
      timed.time = this.now
      this.#push(timed)
    }
  }

  /** Was the process stopped in the middle of the present event? Then the rest of it is the first thing it does on waking. */
  deferred(process: SimProcess, rest: () => void): boolean {
    if (!process.stalled) return false
    process.backlog.unshift({ time: this.now, order: this.#order, owner: process, run: rest })
    return true
  }

  /** Takes the next event; false when nothing is left. */
  step(): boolean {
    for (;;) {
      const timed = this.#pop()
      if (timed === undefined) return false
      const { run, owner } = timed
      if (run === null) continue
      if (owner !== null) {
        if (!owner.alive) continue
        if (owner.stalled) {
          owner.backlog.push(timed)
          continue
        }
      }
      if (timed.time > this.now) this.now = timed.time
      this.steps += 1
      timed.run = null
      this.#order = timed.order
      run()
      return true
    }
  }

  #push(timed: Timed): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(timed)
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = heap[parent] as Timed
      if (!before(timed, above)) break
      heap[at] = above
      at = parent
    }
    heap[at] = timed
  }

  #pop(): Timed | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (first === undefined || last === undefined || heap.length === 0) return first
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1] as Timed, heap[child] as Timed)) child += 1
      if (!before(heap[child] as Timed, last)) break
      heap[at] = heap[child] as Timed
      at = child
    }
    heap[at] = last
    return first
  }
}

function before(a: Timed, b: Timed): boolean {
  return a.time < b.time || (a.time === b.time && a.order < b.order)
}
