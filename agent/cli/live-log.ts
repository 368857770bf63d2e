import { setTimeout as delay } from 'node:timers/promises'
import { GracerError } from '../../inherit/gracer-error.ts'
import type { ControlClient } from '../control/client.ts'
import type { ControlEvent, LogPlace } from '../control/handlers.ts'
import { queryPath } from './context.ts'
import { FileTail } from './tail-file.ts'

/**
 * The log of whichever release is live: follows the flip from one file to the next. Each file is taken up again where
 * it was left, so a flip-back repeats nothing; a release not seen before is shown from its first line.
 */
export class LiveLog {
  readonly #client: ControlClient
  readonly #service: string
  readonly #firstLines: number
  readonly #tails = new Map<string, FileTail>()
  #release: string | null = null
  #current: FileTail | null = null
  /** Set by events; the place is asked for before the next read. */
  #stale = true

  /** `firstLines`: so many of the last lines of the first file are shown. */
  constructor(client: ControlClient, service: string, firstLines: number) {
    this.#client = client
    this.#service = service
    this.#firstLines = firstLines
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
          const moves = event.kind === 'outcome' || event.phase === 'flipped' || event.phase === 'confirmed' || event.phase === 'flipping-back'
          if (event.service === this.#service && moves) this.#stale = true
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
    if (bytes !== null || !this.#stale) return { bytes, switched: null, restarted }
    this.#stale = false
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
    const tail = this.#tails.get(place.file) ?? (first ? await FileTail.atLastLines(place.file, this.#firstLines) : new FileTail(place.file))
    this.#tails.set(place.file, tail)
    this.#current = tail
    this.#release = place.release
    this.#stale = false
  }

  #path(): string {
    return queryPath('/v1/logs', { service: this.#service })
  }
}
