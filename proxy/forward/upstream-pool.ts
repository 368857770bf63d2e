import type { Socket } from 'node:net'
import type { ReleaseId } from '../table.ts'

/** Without a hint of the upstream's: Node's own servers close at 5 s. */
const limitWithoutHintMs = 4_000
/** A request that may not be repeated takes no socket that was idle for longer. */
const strictLimitMs = 1_000
const sweepMs = 250

/** One connection to a release, from the dial to its end. */
export class Upstream {
  readonly socket: Socket
  readonly release: ReleaseId
  /** Lent to no request. */
  idle = true
  idleSince = 0
  /** What the release's last Keep-Alive field said, in milliseconds. */
  keepAliveMs: number | null = null
  /** socket.bytesRead when it was lent: whether a request got any byte of a reply. */
  readBefore = 0
  /** socket.bytesWritten when it was lent. */
  writtenBefore = 0

  constructor(socket: Socket, release: ReleaseId) {
    this.socket = socket
    this.release = release
  }

  get usable(): boolean {
    return !this.socket.destroyed && this.socket.writable && !this.socket.readableEnded
  }

  /**
   * For how long it may lie idle, in milliseconds: until 1 s before the upstream would close it. For a hint under 2 s
   * half of it, which leaves the same distance in proportion.
   */
  get idleLimitMs(): number {
    return this.keepAliveMs === null ? limitWithoutHintMs : Math.max(this.keepAliveMs - 1_000, this.keepAliveMs / 2)
  }
}

/**
 * Idle connections by release, the last used one first: so the others grow old and are closed.
 * A retired release keeps none.
 */
export class UpstreamPool {
  readonly #idle = new Map<ReleaseId, Upstream[]>()
  readonly #retired = new Set<ReleaseId>()
  readonly #now: () => number
  #sweep: NodeJS.Timeout | null = null

  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /** Takes charge of a freshly connected socket, lent to nobody yet. */
  adopt(socket: Socket, release: ReleaseId): Upstream {
    const upstream = new Upstream(socket, release)
    // One permanent listener each: adding and removing them per request would cost more than they do.
    // Bytes or FIN that nobody asked for: whatever it is, the next request must not meet it.
    socket.on('data', () => { if (upstream.idle) this.#discard(upstream) })
    socket.on('end', () => { if (upstream.idle) this.#discard(upstream) })
    socket.on('close', () => { if (upstream.idle) this.#discard(upstream) })
    // What an http.ClientRequest says when it has its whole reply and both sides want to keep the connection.
    socket.on('free', () => this.put(upstream))
    return upstream
  }

  /**
   * The idle connection that was used last, or null. `strict` is for a request that must not be sent twice: it takes
   * none that was idle for 1 s or longer, or for half of the upstream's hint.
   */
  take(release: ReleaseId, strict: boolean): Upstream | null {
    const idle = this.#idle.get(release)
    if (idle === undefined) return null
    const now = this.#now()
    for (;;) {
      const upstream = idle.at(-1)
      if (upstream === undefined) return null
      const idleFor = now - upstream.idleSince
      const limit = upstream.idleLimitMs
      if (!upstream.usable || idleFor >= limit) {
        idle.pop()
        upstream.socket.destroy()
        continue
      }
      if (strict && (idleFor >= strictLimitMs || (upstream.keepAliveMs !== null && idleFor >= upstream.keepAliveMs / 2))) return null
      idle.pop()
      return upstream
    }
  }

  /** Keeps a connection that became idle, or destroys it where it may not be kept. */
  put(upstream: Upstream): void {
    upstream.idle = true
    if (this.#retired.has(upstream.release) || !upstream.usable || upstream.idleLimitMs <= 0) {
      upstream.socket.destroy()
      return
    }
    upstream.idleSince = this.#now()
    const idle = this.#idle.get(upstream.release)
    if (idle === undefined) this.#idle.set(upstream.release, [upstream])
    else idle.push(upstream)
    if (this.#sweep === null) {
      this.#sweep = setInterval(() => this.#removeOld(), sweepMs)
      this.#sweep.unref()
    }
  }

  /** Destroys the idle connections of a release, and from now on every one of its connections that becomes idle. */
  retire(release: ReleaseId): void {
    this.#retired.add(release)
    const idle = this.#idle.get(release)
    this.#idle.delete(release)
    for (const upstream of idle ?? []) upstream.socket.destroy()
  }

  revive(release: ReleaseId): void {
    this.#retired.delete(release)
  }

  count(release: ReleaseId): number {
    return this.#idle.get(release)?.length ?? 0
  }

  destroy(): void {
    for (const release of [...this.#idle.keys()]) this.retire(release)
    if (this.#sweep !== null) clearInterval(this.#sweep)
    this.#sweep = null
  }

  #discard(upstream: Upstream): void {
    upstream.socket.destroy()
    const idle = this.#idle.get(upstream.release)
    const at = idle?.lastIndexOf(upstream) ?? -1
    if (at !== -1) idle?.splice(at, 1)
  }

  #removeOld(): void {
    const now = this.#now()
    for (const [release, idle] of this.#idle) {
      const kept = idle.filter((upstream) => {
        if (now - upstream.idleSince < upstream.idleLimitMs) return true
        upstream.socket.destroy()
        return false
      })
      if (kept.length === 0) this.#idle.delete(release)
      else if (kept.length < idle.length) this.#idle.set(release, kept)
    }
    if (this.#idle.size === 0 && this.#sweep !== null) {
      clearInterval(this.#sweep)
      this.#sweep = null
    }
  }
}
