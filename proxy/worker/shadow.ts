import { request as httpRequest } from 'node:http'
import type { CanaryRoute } from '../canary/route.ts'
import type { ShadowCopy, ShadowNews, ShadowRequest } from '../canary/shadow.ts'
import type { ReleaseId } from '../release-key.ts'

/** Copies of one worker that are under way at most; what comes beyond is not copied, and counted. */
const mostInFlight = 16
/** A copy that has no reply by then has failed; the whole of a reply may take as long again. Milliseconds. */
const copyMs = 10_000
/** News is sent this often. */
const newsMs = 100

export interface ShadowOptions {
  readonly send: (news: ShadowNews) => void
  readonly random?: () => number
}

/**
 * Sends copies of requests to a release that has no visitor yet, and throws its replies away: what is kept is status and
 * time of both. Whatever becomes of a copy, the client's own request knows nothing of it.
 */
export class Shadow {
  readonly #options: ShadowOptions
  readonly #news = new Map<ReleaseId, { copies: ShadowCopy[]; skipped: number }>()
  #inFlight = 0
  #timer: NodeJS.Timeout | null = null

  constructor(options: ShadowOptions) {
    this.#options = options
  }

  /** null: this one is not copied. */
  begin({ target, shadow }: CanaryRoute, request: () => ShadowRequest | null): Shadowed | null {
    if (shadow === null || shadow === undefined || (this.#options.random ?? Math.random)() >= shadow) return null
    const copied = request()
    if (copied === null) return null
    if (this.#inFlight >= mostInFlight) {
      this.#newsOf(target.release).skipped += 1
      return null
    }
    this.#inFlight += 1
    const shadowed = new Shadowed((copy) => this.#newsOf(target.release).copies.push(copy))
    // The client's own request goes first.
    setImmediate(() => this.#copy(target, copied, shadowed))
    return shadowed
  }

  #copy({ host, port }: CanaryRoute['target'], { path, fields }: ShadowRequest, shadowed: Shadowed): void {
    const begunAt = performance.now()
    let timer: NodeJS.Timeout | null = null
    const headIn = (status: number | null): void => shadowed.copied(status, performance.now() - begunAt)
    let isOver = false
    const over = (): void => {
      if (isOver) return
      isOver = true
      if (timer !== null) clearTimeout(timer)
      this.#inFlight -= 1
      headIn(null)
    }
    try {
      const copy = httpRequest({ host, port, path, method: 'GET', agent: false, headers: { ...fields, 'Gracer-Shadow': '1' } }, (reply) => {
        headIn(reply.statusCode ?? null)
        timer?.refresh()
        reply.on('error', () => {})
        reply.resume()
      })
      timer = setTimeout(() => copy.destroy(), copyMs)
      copy.on('upgrade', (_reply, socket) => socket.destroy())
      copy.on('error', over)
      copy.on('close', over)
      copy.end()
    } catch {
      // A field that Node does not send: the client's own request met it as well.
      over()
    }
  }

  #newsOf(release: ReleaseId): { copies: ShadowCopy[]; skipped: number } {
    let news = this.#news.get(release)
    if (news === undefined) this.#news.set(release, (news = { copies: [], skipped: 0 }))
    this.#timer ??= setTimeout(() => this.#flush(), newsMs)
    return news
  }

  #flush(): void {
    this.#timer = null
    for (const [release, news] of this.#news) this.#options.send({ release, ...news })
    this.#news.clear()
  }
}

/** One request and its copy: told of once both have a reply, or the copy has failed. */
export class Shadowed {
  readonly #done: (copy: ShadowCopy) => void
  #live: { readonly status: number; readonly ms: number } | null = null
  #copy: { readonly status: number | null; readonly ms: number } | null = null
  #isOver = false

  constructor(done: (copy: ShadowCopy) => void) {
    this.#done = done
  }

  /** The head of the client's own reply is there. */
  answered(status: number, ms: number): void {
    this.#live ??= { status, ms }
    this.#check()
  }

  /** The client's own request has ended: without a reply there is nothing to compare with. */
  gone(): void {
    if (this.#live === null) this.#isOver = true
  }

  /** status null: it has failed; the first word counts. */
  copied(status: number | null, ms: number): void {
    this.#copy ??= { status, ms }
    this.#check()
  }

  #check(): void {
    if (this.#isOver || this.#live === null || this.#copy === null) return
    this.#isOver = true
    this.#done({ live: this.#live, copy: this.#copy })
  }
}
