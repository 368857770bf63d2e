import type { DrainOrder, ToAgent } from '../../proxy/messages.ts'
import { serviceOfKey, type ReleaseId } from '../../proxy/release-key.ts'
import type { MasterLink } from '../master-link.ts'
import type { longestDrain } from './longest-drain.ts'

export interface ServiceEndOptions {
  readonly service: string
  /** Those that run, by key. */
  readonly releases: readonly string[]
  readonly drain: ReturnType<typeof longestDrain>
  readonly link: Pick<MasterLink, 'drain' | 'signal'>
  /** The last process has ended. */
  readonly over: () => void
}

/** The end of a service that is in the config no more: what its processes have is finished, then they are stopped. */
export class ServiceEnd {
  readonly #options: ServiceEndOptions
  readonly #running: Set<ReleaseId>
  readonly #orders = new Map<ReleaseId, DrainOrder>()
  readonly #kills = new Map<ReleaseId, NodeJS.Timeout>()

  constructor(options: ServiceEndOptions) {
    this.#options = options
    this.#running = new Set(options.releases as readonly ReleaseId[])
  }

  begin(): void {
    for (const release of this.#running) this.#orders.set(release, this.#options.link.drain(release, this.#options.drain.deadlines))
    this.#check()
  }

  fromMaster(message: ToAgent): void {
    if (!('release' in message) || serviceOfKey(message.release) !== this.#options.service) return
    switch (message.type) {
      case 'quiet':
        if (this.#orders.get(message.release) === message.order) this.#stop(message.release)
        break
      case 'spawned':
        // Ordered before the service was taken out: it has never had a request.
        this.#running.add(message.release)
        this.#stop(message.release)
        break
      case 'exited':
        clearTimeout(this.#kills.get(message.release))
        this.#running.delete(message.release)
        this.#check()
        break
      default:
        break
    }
  }

  #stop(release: ReleaseId): void {
    if (this.#kills.has(release)) return
    const { link, drain } = this.#options
    link.signal(release, 'SIGTERM')
    this.#kills.set(release, setTimeout(() => link.signal(release, 'SIGKILL'), drain.stopMs))
  }

  #check(): void {
    if (this.#running.size === 0) this.#options.over()
  }
}
