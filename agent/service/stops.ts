import type { ServiceLink } from '../service-link.ts'

export interface StopsOptions {
  readonly link: ServiceLink
  /** It did not end in its time. */
  readonly killed: (release: string, what: string) => void
}

/** Processes that have been told to end: SIGTERM to the group, SIGKILL at their deadline. */
export class Stops {
  readonly #options: StopsOptions
  readonly #timers = new Map<string, NodeJS.Timeout>()

  constructor(options: StopsOptions) {
    this.#options = options
  }

  begin(release: string, stopMs: number): void {
    const { link, killed } = this.#options
    if (this.#timers.has(release)) return
    link.signal(release, 'SIGTERM')
    this.#timers.set(release, setTimeout(() => {
      killed(release, `it did not end within ${stopMs} ms of SIGTERM, so its process group got SIGKILL`)
      link.signal(release, 'SIGKILL')
    }, stopMs))
  }

  exited(release: string): void {
    clearTimeout(this.#timers.get(release))
    this.#timers.delete(release)
  }
}
