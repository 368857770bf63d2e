import type { Timed } from './clock.ts'

/** Something the fault injector can kill or stop. What waits for a stopped process is kept for it, in order. */
export class SimProcess {
  readonly name: string
  alive = true
  stalled = false
  /** Milliseconds it has been stopped altogether, as of `resumed`. */
  stalledMs = 0
  stalledSince = 0
  readonly backlog: Timed[] = []
  readonly #deaths: (() => void)[] = []

  constructor(name: string) {
    this.name = name
  }

  onDeath(callback: () => void): void {
    this.#deaths.push(callback)
  }

  die(): void {
    if (!this.alive) return
    this.alive = false
    this.stalled = false
    this.backlog.length = 0
    for (const callback of this.#deaths.splice(0)) callback()
  }
}
