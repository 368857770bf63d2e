/** One save (or start, or key) as it is told afterwards: what changed, when it was noticed, and what it took. */
export class Round {
  readonly number: number
  readonly cause: 'start' | 'save' | 'key'
  readonly noticedUs = Number(process.hrtime.bigint() / 1000n)
  /** Builds and boots of it that were begun too early. */
  restarts = 0
  buildMs: number | null = null
  bootMs: number | null = null
  readonly #begunAt = performance.now()
  readonly #paths = new Set<string>()
  #pending = new Set<string>()

  constructor(number: number, cause: Round['cause']) {
    this.number = number
    this.cause = cause
  }

  /** Absolute paths, in the order in which they were noticed. */
  get paths(): readonly string[] {
    return [...this.#paths]
  }

  get onlyStyles(): boolean {
    return this.cause === 'save' && this.#paths.size > 0 && this.paths.every((path) => path.endsWith('.css'))
  }

  noticed(paths: readonly string[]): void {
    for (const path of paths) this.#pending.add(path)
  }

  /** A burst is over, and `paths` are not what they were: those of the noticed ones among them. */
  settle(paths: readonly string[]): readonly string[] {
    const changed = new Set(paths)
    const real = [...this.#pending].filter((path) => changed.has(path))
    for (const path of real) this.#paths.add(path)
    this.#pending = new Set()
    return real
  }

  bootBegins(): void {
    this.bootMs = null
  }

  totalMs(): number {
    return performance.now() - this.#begunAt
  }
}
