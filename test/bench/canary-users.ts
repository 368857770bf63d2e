import http from 'node:http'

/** One request and what came of it. Milliseconds of performance.now(). */
export interface Asked {
  readonly user: number
  readonly begunMs: number
  readonly endedMs: number
  /** As the app names itself, such as 'v3'; null: no app answered. */
  readonly release: string | null
  readonly status: number
  /** Why there was no complete reply; null: there was one. */
  readonly failure: string | null
}

export interface UsersOptions {
  readonly port: number
  readonly users: number
  /** Requests a second, over all users. */
  readonly rate: number
  readonly connections?: number
  /** How gracer tells them apart: by a header of their own, or by its cookie, which each of them keeps. */
  readonly by?: 'header' | 'cookie'
}

/** Users who ask again and again, each one request at a time, over connections that they share, as behind a front end. */
export class CanaryUsers {
  readonly asked: Asked[] = []
  readonly #options: UsersOptions
  readonly #agent: http.Agent
  readonly #cookies: (string | undefined)[]
  readonly #busy = new Set<number>()
  #timer: NodeJS.Timeout | null = null
  #next = 0
  #due = 0

  constructor(options: UsersOptions) {
    this.#options = options
    this.#agent = new http.Agent({ keepAlive: true, maxSockets: options.connections ?? 64 })
    this.#cookies = new Array<string | undefined>(options.users)
  }

  start(): void {
    let last = performance.now()
    this.#timer = setInterval(() => {
      const now = performance.now()
      this.#due = Math.min(this.#due + ((now - last) * this.#options.rate) / 1_000, this.#options.rate)
      last = now
      for (; this.#due >= 1; this.#due -= 1) this.#askNext()
    }, 2)
  }

  /** No new request; resolves when the last one has its end. */
  async stop(): Promise<readonly Asked[]> {
    if (this.#timer !== null) clearInterval(this.#timer)
    for (const deadline = performance.now() + 15_000; this.#busy.size > 0 && performance.now() < deadline; ) await new Promise((resolve) => setTimeout(resolve, 5))
    this.#agent.destroy()
    return this.asked
  }

  #askNext(): void {
    const { users } = this.#options
    for (let tries = 0; tries < users; tries += 1) {
      const user = this.#next
      this.#next = (this.#next + 1) % users
      if (this.#busy.has(user)) continue
      this.#ask(user)
      return
    }
  }

  #ask(user: number): void {
    this.#busy.add(user)
    const cookie = this.#cookies[user]
    const headers = this.#options.by === 'cookie' ? (cookie === undefined ? {} : { cookie }) : { 'x-user': `user-${user}` }
    const begunMs = performance.now()
    let release: string | null = null
    let status = 0
    const end = (failure: string | null): void => {
      if (!this.#busy.delete(user)) return
      this.asked.push({ user, begunMs, endedMs: performance.now(), release, status, failure })
    }
    const request = http.request({ host: '127.0.0.1', port: this.#options.port, path: '/page', agent: this.#agent, headers }, (response) => {
      release = (response.headers['x-release'] as string | undefined) ?? null
      status = response.statusCode ?? 0
      const set = response.headers['set-cookie']?.find((one) => one.startsWith('gracer-visit='))
      if (set !== undefined) this.#cookies[user] = set.split(';')[0]
      response.on('data', () => {})
      response.on('error', (error) => end(error.message))
      response.on('end', () => end(null))
      response.on('close', () => end(response.complete ? null : 'it broke off'))
    })
    request.setTimeout(15_000, () => request.destroy(new Error('no reply within 15 s')))
    request.on('error', (error) => end(error.message))
    request.end()
  }
}

/** Users who had a full reply of the release, and were answered by another in a request that began later. */
export function sentBack(asked: readonly Asked[], release: string): Asked[] {
  const since = new Map<number, number>()
  for (const one of asked) {
    if (one.release !== release || one.failure !== null) continue
    since.set(one.user, Math.min(one.endedMs, since.get(one.user) ?? Infinity))
  }
  return asked.filter((one) => one.release !== null && one.release !== release && one.begunMs > (since.get(one.user) ?? Infinity))
}
