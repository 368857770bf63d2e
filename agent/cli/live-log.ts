import { setTimeout as delay } from 'node:timers/promises'
import { GracerError } from '../../inherit/gracer-error.ts'
import type { ControlClient } from '../control/client.ts'
import type { ControlEvent, LogPlace } from '../control/handlers.ts'
import { queryPath } from './context.ts'
import type { FileTail } from './tail-file.ts'

/** What is live may change without an event: a restart after a crash tells of its probes only. */
const askAgainMs = 2_000

/**
 * The log of whichever release is live: follows the flip from one file to the next. Each file is taken up again where
 * it was left, so a flip-back repeats nothing.
 */
export class LiveLog {
  readonly #client: ControlClient
  readonly #service: string
  readonly #begin: (place: LogPlace, first: boolean) => Promise<FileTail>
  readonly #since: number | undefined
  readonly #tails = new Map<string, FileTail>()
  #release: string | null = null
  #current: FileTail | null = null
  /** Set by events; the place is asked for before the next read. */
  #stale = true
  #askedAt = 0

  /** `begin` decides where a file that was not shown before is taken up; it is told where `since` (ms since 1970) begins. */
  constructor(client: ControlClient, service: string, begin: (place: LogPlace, first: boolean) => Promise<FileTail>, since?: number) {
    this.#client = client
    this.#service = service
    this.#begin = begin
    this.#since = since
  }

  /** The label of the live release, whose log is now what read() reads. @throws as ControlClient.request */
  async begin(): Promise<string> {
    const place = await this.#client.request<LogPlace>('GET', this.#path())
    await this.#take(place)
    return place.release
  }

  /** Watches for flips until the signal; an agent that is away is waited for. */
  async watch(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        for await (const event of this.#client.stream<ControlEvent>('GET', '/v1/events', undefined, signal)) {
          if (event.service === this.#service) this.#stale = true
        }
      } catch (error) {
        if (!(error instanceof GracerError) && !signal.aborted) throw error
      }
      // Whatever happened while nobody was listening is caught up with by asking.
      this.#stale = true
      await delay(200, undefined, { signal }).catch(() => {})
    }
  }

  /** The next bytes; null: nothing new. `switched` names a release that has just become the one shown. */
  async read(): Promise<{ readonly bytes: Buffer | null; readonly switched: string | null; readonly restarted: boolean }> {
    const bytes = (await this.#current?.read()) ?? null
    const restarted = this.#current?.takeRestarted() ?? false
    const due = this.#stale || performance.now() - this.#askedAt > askAgainMs
    if (bytes !== null || !due) return { bytes, switched: null, restarted }
    this.#stale = false
    this.#askedAt = performance.now()
    const place = await this.#client.request<LogPlace>('GET', this.#path()).catch((error: unknown) => {
      if (!(error instanceof GracerError)) throw error
      // No agent, or nothing live yet: the next event asks again.
      return null
    })
    if (place === null || (place.release === this.#release && place.file === this.#current?.path)) return { bytes: null, switched: null, restarted }
    await this.#take(place)
    return { bytes: null, switched: place.release, restarted }
  }

  async #take(place: LogPlace): Promise<void> {
    const first = this.#current === null
    const tail = this.#tails.get(place.file) ?? (await this.#begin(place, first))
    this.#tails.set(place.file, tail)
    this.#current = tail
    this.#release = place.release
    this.#stale = false
  }

  #path(): string {
    return queryPath('/v1/logs', { service: this.#service, since: this.#since?.toString() })
  }
}
