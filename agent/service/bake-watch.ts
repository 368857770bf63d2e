import { releaseKey } from '../../proxy/release-key.ts'
import { crossedText, crossesRule, type BakeRule } from '../canary/bake-rule.ts'
import type { Figures } from '../master-link.ts'
import type { Tentative } from '../swap/state.ts'

/** How often the users of a baking release are looked at. */
const lookMs = 250
/** A release that has crossed the rule and stays, because the old one is sick too, is told of again after this. */
const againMs = 5_000

export interface BakeWatchOptions {
  readonly service: string
  readonly tentative: () => Readonly<Tentative> | null
  /** As the release was taken in with. */
  readonly rule: (release: string) => BakeRule
  readonly figures: () => Promise<Figures | null>
  readonly crossed: (release: string, message: string) => void
}

/** Looks after a release that bakes by what the master knows of its users: another agent goes on with the same numbers. */
export class BakeWatch {
  readonly #options: BakeWatchOptions
  #timer: NodeJS.Timeout | null = null
  #toldAt = -Infinity

  constructor(options: BakeWatchOptions) {
    this.#options = options
  }

  begin(release: string): void {
    this.#end()
    this.#toldAt = -Infinity
    this.#timer = setInterval(() => {
      if (this.#bakes(release) === null) this.#end()
      else if (performance.now() - this.#toldAt >= againMs) void this.#look(release)
    }, lookMs)
  }

  async #look(release: string): Promise<void> {
    const { service, figures, rule, crossed } = this.#options
    const users = (await figures())?.services.find((one) => one.service === service)?.users
    const bakes = this.#bakes(release)
    if (bakes === null || users?.live?.release !== releaseKey(service, release)) return
    const old = users.before.find((one) => one.release === releaseKey(service, bakes.fallback ?? '')) ?? null
    const by = rule(release)
    if (!crossesRule(by, users.live, old) || performance.now() - this.#toldAt < againMs) return
    this.#toldAt = performance.now()
    crossed(release, crossedText(by, users.live, old))
  }

  #bakes(release: string): Readonly<Tentative> | null {
    const tentative = this.#options.tentative()
    return tentative?.release === release && tentative.ending === null ? tentative : null
  }

  #end(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }
}
