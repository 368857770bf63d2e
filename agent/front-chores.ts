import type { Log } from '../proxy/log.ts'
import { accessSettings } from './config/front-config.ts'
import type { Config } from './config/types.ts'
import { formatListen } from './config/units.ts'
import { listenForMetrics, type MetricsListener } from './metrics/listener.ts'
import { rotateAccessLog } from './service/rotate-access.ts'
import type { StateFolder } from './state-folder.ts'

const rotateLookMs = 1_000

export interface FrontChoresOptions {
  readonly state: StateFolder
  readonly log: Log
  readonly metrics: () => Promise<string>
}

/**
 * What the agent does for the public port beside its services: moves the access log aside, and serves the figures. Both
 * as the config says that was applied last.
 */
export class FrontChores {
  readonly #options: FrontChoresOptions
  #config: Config | null = null
  #listener: MetricsListener | null = null

  constructor(options: FrontChoresOptions) {
    this.#options = options
    setInterval(() => this.#rotate(), rotateLookMs)
  }

  /** Gives what could not be made so yet, a sentence each. */
  async apply(config: Config): Promise<readonly string[]> {
    const before = this.#config?.metrics ?? null
    const listen = config.metrics ?? null
    this.#config = config
    if (before === null ? listen === null : listen !== null && formatListen(before) === formatListen(listen)) return []
    await this.#listener?.close()
    this.#listener = null
    if (listen === null) return []
    const { metrics, log } = this.#options
    this.#listener = await listenForMetrics({ listen, text: metrics, log: (level, event, fields) => log[level](event, fields) })
    const { problem } = this.#listener
    return problem === null ? [] : [`metrics.listen is not served yet: ${problem}; it is tried again every 2 seconds, and the figures are on the control socket meanwhile`]
  }

  #rotate(): void {
    const access = this.#config === null ? null : accessSettings(this.#config.front, this.#options.state)
    if (access === null) return
    try {
      rotateAccessLog(access)
    } catch (error) {
      this.#options.log.warn('access.not-moved', { file: access.file, error: (error as Error).message })
    }
  }
}
