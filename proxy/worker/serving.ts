import type { AccessLog } from '../access/access-log.ts'
import type { AccessSettings, FrontLimits, FrontSettings } from '../front-settings.ts'

export interface ServingOptions {
  /** As the worker was told at its start. */
  readonly first: FrontSettings
  readonly open: (settings: AccessSettings) => AccessLog
  readonly setLimits: (limits: FrontLimits) => void
}

/** How the public port is served at this moment: what a reload may change under open connections. */
export class Serving {
  readonly #options: ServingOptions
  #settings: FrontSettings
  #access: AccessLog | null

  constructor(options: ServingOptions) {
    this.#options = options
    this.#settings = options.first
    this.#access = options.first.access === null ? null : options.open(options.first.access)
  }

  get trustProxy(): boolean {
    return this.#settings.trustProxy
  }

  get limits(): FrontLimits {
    return this.#settings.limits
  }

  get access(): AccessLog | null {
    return this.#access
  }

  /** Does nothing where nothing differs. A request under way ends by the new settings. */
  apply(next: FrontSettings): void {
    const { limits, access } = this.#settings
    this.#settings = next
    if (!isSame(limits, next.limits)) this.#options.setLimits(next.limits)
    if (isSame(access, next.access)) return
    this.#access?.close()
    this.#access = next.access === null ? null : this.#options.open(next.access)
  }

  close(): void {
    this.#access?.close()
  }
}

function isSame(one: object | null, other: object | null): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}
