/** So many reloads in a row by nothing but these files, each right after a boot, are no person's. */
const most = 4
const afterBootMs = 1_000
/** Never given up on: somebody may well save the same file again and again. */
const code = /\.(?:[cm]?[jt]sx?|json5?|css|s[ac]ss|less|html?|vue|svelte|astro|mdx?|graphql|sql|py|rb|go|rs|wasm|ya?ml|toml|env.*)$/i

/**
 * Finds out that the app itself writes a watched file at every boot (a log, a database, an upload): then every boot would
 * bring the next. Code is never taken for that.
 */
export class OwnWrites {
  readonly #counts = new Map<string, number>()
  readonly #given = new Set<string>()

  ignores(path: string): boolean {
    return this.#given.has(path)
  }

  /** A reload begins because of these paths; `sinceBootMs`: since the last boot was ready. What is given up on from now on. */
  reload(paths: readonly string[], sinceBootMs: number): readonly string[] {
    if (sinceBootMs > afterBootMs || paths.some((path) => code.test(path))) {
      this.#counts.clear()
      return []
    }
    const found: string[] = []
    for (const path of paths) {
      const count = (this.#counts.get(path) ?? 0) + 1
      this.#counts.set(path, count)
      if (count < most) continue
      this.#given.add(path)
      found.push(path)
    }
    return found
  }
}
