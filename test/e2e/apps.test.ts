import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import http from 'node:http'
import { describe, expect, test } from 'vitest'
import type { Kind } from '../load/kinds.ts'
import { startLoad, type Load } from '../load/load.ts'
import { makeRelease, type AppName } from '../load/make-release.ts'
import { until } from '../support/deadline.ts'
import { moveIn } from '../support/drop.ts'
import { GracerProcess } from '../support/gracer-process.ts'
import { Events, receipts } from './observe.ts'
import { writeFiles, writeRelease } from './write-release.ts'

// Programs as people have them, none of which knows gracer: each is swapped once by drop and once by command, under load.

interface App {
  readonly what: string
  /** Writes the release `name` into `folder`. */
  readonly write: (folder: string, name: string) => Promise<void> | void
  readonly config?: Record<string, unknown>
  readonly load: { readonly kinds: readonly Kind[] } | { readonly plainPath: string }
  /** How its port gets to it, as the log of gracer says. */
  readonly socket: 'inherit' | 'port'
}

const http1: readonly Kind[] = ['keep-alive', 'fresh', 'post', 'pipeline']

function ofLoad(app: AppName): App['write'] {
  return async (folder, name) => void (await makeRelease(folder, name, { app }))
}

const apps: readonly App[] = [
  { what: 'an express app', write: ofLoad('express'), load: { kinds: [...http1, 'upload', 'slow', 'stream', 'websocket'] }, socket: 'inherit' },
  { what: 'a fastify app', write: ofLoad('fastify'), load: { kinds: [...http1, 'upload', 'stream', 'websocket'] }, socket: 'inherit' },
  { what: 'a ws server', write: writeWebSocketServer, config: { health: { expect: '426' } }, load: { kinds: ['websocket'] }, socket: 'inherit' },
  {
    what: 'a Python program that takes up the socket by the protocol', write: ofLoad('python'),
    config: { command: ['python3', 'server.py'], socket: 'inherit' }, load: { kinds: [...http1, 'upload'] }, socket: 'inherit',
  },
  { what: 'a program that only knows PORT', write: ofLoad('port-only'), config: { command: ['python3', 'server.py'] }, load: { kinds: http1 }, socket: 'port' },
  { what: 'a package with an npm start script', write: writePackage, load: { kinds: [...http1, 'websocket'] }, socket: 'port' },
]

// Three at a time: each waits more than it works.
for (const some of [apps.slice(0, 3), apps.slice(3)]) {
  describe.concurrent(`${some.length} kinds of programs`, () => {
    test.each(some)('$what is swapped by drop and by command, and nothing is lost', swapTwice, 60_000)
  })
}

async function swapTwice(app: App): Promise<void> {
  const gracer = await GracerProcess.create({ config: { settle: '100ms', bake: '200ms', drain: { upgraded: '300ms', spread: '100ms' }, ...withHealth(app.config) } })
  let load: Load | null = null
  try {
    await app.write(gracer.releases, 'r0')
    await gracer.up()
    await gracer.live('r0')
    const running = startLoad({ port: gracer.port, connections: 24, rate: 120, ...app.load })
    load = running
    await until('the load to run', () => running.counts().requests > 60)

    const staging = join(gracer.folder, 'staging')
    await app.write(staging, 'r1')
    await moveIn(gracer, join(staging, 'r1'), 'r1')
    await gracer.live('r1')
    await app.write(staging, 'r2')
    const { code, stderr, outcome } = await gracer.swap(join(staging, 'r2'))
    expect(code, stderr).toBe(0)
    await until('replies of the last release', () => running.counts().releasesSeen.includes('r2'))

    const report = await running.stop()
    expect(report.failures).toEqual([])
    expect(report.releasesSeen).toEqual(['r0', 'r1', 'r2'])
    expect(running.staleAfterFlip()).toEqual([])
    expect(outcome).toMatchObject({ outcome: 'confirmed', receipt: { previous: 'r1' } })
    for (const receipt of await receipts(gracer)) expect(receipt).toMatchObject({ outcome: 'confirmed', lost: 0, violations: 0, cut: 0 })
    const status = await gracer.status()
    expect(status).toMatchObject({ lost: 0, violations: 0 })
    const spawned = gracer.gracerLog().filter((line) => line.event === 'backend.spawned')
    expect(spawned.map((line) => line['socket'])).toEqual([app.socket, app.socket, app.socket])
    // Whoever listens on a port of its own was looked up: nothing was taken on trust.
    expect(status.services[0]?.releases.every((release) => release.verified)).toBe(true)
  } finally {
    await load?.stop()
    await gracer.end()
  }
}

/** Closes a connection 1 s after its last reply, to the millisecond, as it says; Node's own limit has a second of grace. */
const impatientApp = `
import http from 'node:http'
const server = http.createServer((req, res) => {
  clearTimeout(req.socket.patience)
  res.writeHead(200, { connection: 'keep-alive', 'keep-alive': 'timeout=1' })
  // Slow enough that the 80 are under way at once, each on a connection of its own.
  setTimeout(() => req.pipe(res), 100)
  res.on('finish', () => { req.socket.patience = setTimeout(() => req.socket.destroy(), 1000) })
})
server.keepAliveTimeout = 0
server.listen(process.env.PORT)
process.on('SIGTERM', () => process.exit(0))
`

test('a backend that closes idle connections after 1 s, under POSTs a second apart from 80 clients, through a swap: none fails', async () => {
  const gracer = await GracerProcess.create({ config: { settle: '100ms', bake: '200ms' } })
  const clients: Poster[] = []
  try {
    writeFiles(join(gracer.releases, 'r0'), { 'server.mjs': impatientApp })
    await gracer.up()
    await gracer.live('r0')
    const events = await Events.open(gracer)
    clients.push(...Array.from({ length: 80 }, (_, index) => new Poster(gracer.port, index)))
    await until('each client to have had two replies', () => clients.every((client) => client.replies >= 2))
    await moveIn(gracer, writeRelease(gracer, 'r1', { 'server.mjs': impatientApp }), 'r1')
    await events.phase('flipped', 'r1')
    const before = clients.map((client) => client.replies)
    await until('each client to have had three replies of the new release', () => clients.every((client, index) => client.replies >= (before[index] ?? 0) + 3))
    events.close()
    expect(clients.flatMap((client) => client.failures)).toEqual([])
    // Each kept its one connection to gracer throughout; what lies behind it was renewed again and again.
    expect(clients.map((client) => client.connections)).toEqual(clients.map(() => 1))
    expect(await gracer.status()).toMatchObject({ lost: 0, violations: 0 })
  } finally {
    for (const client of clients) client.stop()
    await gracer.end()
  }
})

/** POSTs a second apart over one keep-alive connection, and retries nothing. */
class Poster {
  replies = 0
  connections = 0
  readonly failures: string[] = []
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  readonly #port: number
  readonly #index: number
  readonly #body: string
  #timer: NodeJS.Timeout | null

  constructor(port: number, index: number) {
    this.#port = port
    this.#index = index
    this.#body = `client ${index} `.repeat(20)
    // All at once, and then nothing for about a second: each connection behind gracer lies idle until just about its end.
    this.#timer = setTimeout(() => this.#post(), 0)
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#agent.destroy()
  }

  #post(): void {
    const request = http.request({ port: this.#port, host: '127.0.0.1', method: 'POST', path: '/echo', agent: this.#agent })
    request.on('error', (error) => this.#failed(error.message))
    request.once('socket', (socket) => {
      if (!request.reusedSocket) this.connections += 1
      socket.on('error', () => {})
    })
    request.on('response', (response) => {
      let text = ''
      response.on('error', (error) => this.#failed(error.message))
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk)).on('end', () => {
        if (response.statusCode !== 200 || text !== this.#body) return this.#failed(`${response.statusCode}: ${text.slice(0, 100)}`)
        this.replies += 1
        if (this.#timer !== null) this.#timer = setTimeout(() => this.#post(), 992 + ((this.#index + this.replies) % 9))
      })
    })
    request.end(this.#body)
  }

  #failed(why: string): void {
    if (this.#timer !== null) this.failures.push(why)
  }
}

function withHealth(config: Record<string, unknown> = {}): Record<string, unknown> {
  return { ...config, health: { path: '/healthz', ...(config['health'] as Record<string, unknown> | undefined) } }
}

/** The whole program is a WebSocket server: it has no HTTP but the 426 of the ws package. */
function writeWebSocketServer(folder: string, name: string): void {
  const ws = pathToFileURL(createRequire(import.meta.url).resolve('ws')).href
  writeFiles(join(folder, name), {
    'server.mjs': `
import ws from '${ws}'
const server = new ws.WebSocketServer({ port: Number(process.env.PORT) })
server.on('headers', (headers) => headers.push('x-release: ${name}'))
server.on('connection', (socket) => {
  socket.on('error', () => {})
  socket.on('message', (data, binary) => socket.send(data, { binary }))
})
`,
  })
}

/** As a package has it: the start script is more than node and a file, so npm and a shell stand between. */
async function writePackage(folder: string, name: string): Promise<void> {
  await makeRelease(folder, name)
  writeFiles(join(folder, name), { 'package.json': JSON.stringify({ name: 'shop', private: true, scripts: { start: 'NODE_ENV=production node server.mjs && echo done' } }) })
}
