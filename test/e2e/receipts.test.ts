import http from 'node:http'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { afterEach, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import type { Outcome, Receipt } from '../../agent/control/shapes.ts'
import { startLoad, type Load } from '../load/load.ts'
import type { Kind } from '../load/kinds.ts'
import { until } from '../support/deadline.ts'
import { dropRelease, firstRelease, moveIn } from '../support/drop.ts'
import { GracerProcess } from '../support/gracer-process.ts'
import { Events, receipts, releaseStatus } from './observe.ts'
import { writeFiles, writeRelease } from './write-release.ts'

// What a receipt says must be what the clients have seen, above all when it is not clean.

let gracer: GracerProcess
let load: Load | null = null
let events: Events

afterEach(async () => {
  await load?.stop()
  load = null
  events?.close()
  await gracer?.end()
})

async function start(config: Record<string, unknown>): Promise<void> {
  gracer = await GracerProcess.startWith({ config: { settle: '100ms', health: { path: '/healthz' }, ...config } }, (one) => firstRelease(one, 'r0'))
  events = await Events.open(gracer)
}

async function startLoadOf(kinds: readonly Kind[] | undefined, connections = 60): Promise<Load> {
  const started = startLoad({ port: gracer.port, connections, rate: 200, ...(kinds === undefined ? {} : { kinds }) })
  load = started
  // Long enough for the slow ones to be under way.
  await until('the load to run', () => started.counts().requests > 200)
  return started
}

/** The receipt of an outcome; the same must stand in the history. */
async function receiptOf(outcome: Outcome): Promise<Receipt> {
  expect(outcome.receipt).not.toBeNull()
  const written = (await receipts(gracer)).find((one) => one.release === outcome.release)
  expect(written).toEqual(outcome.receipt)
  return written as Receipt
}

// A WebSocket's life and its messages are entries of their own in the ledger of the load: these are counted by hand.
const requestsOnly: readonly Kind[] = ['keep-alive', 'fresh', 'post', 'upload', 'slow', 'stream', 'pipeline']

test('a backend killed in mid-reply during its drain: the receipt has lost what the clients have lost, one for one', async () => {
  await start({ bake: '500ms' })
  const sockets = await Promise.all([1, 2, 3].map(() => openSocket('/ws')))
  const running = await startLoadOf(requestsOnly)
  const old = await releaseStatus(gracer, 'r0')
  await dropRelease(gracer, 'r1')
  await events.phase('flipped', 'r1')
  await until('replies under way on the old release', async () => ((await releaseStatus(gracer, 'r0'))?.inFlight ?? 0) > sockets.length + 4)
  process.kill(old?.pid ?? 0, 'SIGKILL')
  const outcome = await events.outcome('r1')
  const report = await running.stop()
  const codes = await Promise.all(sockets.map((socket) => socket.closed))
  expect(codes).toEqual([1006, 1006, 1006])

  expect(outcome.outcome).toBe('confirmed')
  const receipt = await receiptOf(outcome)
  expect(report.failed).toBeGreaterThan(0)
  expect(receipt.lost).toBe(report.failed + sockets.length)
  expect(receipt).toMatchObject({ cut: 0, violations: 0, streamsEnded: 0, upgradedEnded: 0 })
  // What is safe to repeat and had no byte of its reply yet was not lost but sent to the new release.
  expect(receipt.retried).toBeGreaterThan(0)
  expect(report.failures.flatMap((group) => group.examples).every((example) => example.release === 'r0' || example.status === 502)).toBe(true)
  expect(await gracer.status()).toMatchObject({ lost: receipt.lost, violations: 0 })
})

test('a drain deadline that cuts: the receipt has cut and lost what the clients have lost, one for one', async () => {
  await start({ bake: '1s', drain: { timeout: '300ms' } })
  const running = await startLoadOf(requestsOnly)
  await dropRelease(gracer, 'r1')
  const outcome = await events.outcome('r1')
  const report = await running.stop()
  expect(outcome.outcome).toBe('confirmed')
  const receipt = await receiptOf(outcome)
  expect(report.failed).toBeGreaterThan(0)
  expect(receipt).toMatchObject({ cut: report.failed, lost: report.failed, violations: 0 })
  // Kept to its deadline, and not to the second.
  expect(receipt.phasesMs.drain).toBeGreaterThanOrEqual(299)
  expect(receipt.phasesMs.drain).toBeLessThan(900)
  const text = await gracer.cli('explain', 'r1')
  expect(text.stdout).toContain(`${report.failed} cut`)
  expect(text.stdout).toMatch(new RegExp(`lost +${report.failed}, violations: 0`))

  // The next swap is clean, and another agent finishes it: its receipt is whole, and none of this is laid at its door.
  gracer.writeConfig({ settle: '100ms', health: { path: '/healthz' }, bake: '1500ms' })
  await dropRelease(gracer, 'r2')
  await events.phase('drained', 'r2')
  process.kill((await gracer.status()).agent.pid, 'SIGKILL')
  const next = await until('the receipt of r2', async () => (await receipts(gracer).catch(() => [])).find((one) => one.name === 'r2'))
  expect(next).toMatchObject({ outcome: 'confirmed', previous: 'r1', lost: 0, cut: 0, violations: 0 })
  const { takeIn, boot, health, flip, drain, bake } = next.phasesMs
  for (const phase of [takeIn, boot, health, flip, drain, bake]) expect(phase).toBeGreaterThanOrEqual(0)
  expect(bake).toBeGreaterThanOrEqual(1_499)
})

test('a clean swap under all kinds of load: nothing lost, and every phase has its time', async () => {
  await start({ bake: '600ms', drain: { streams: '200ms', upgraded: '200ms', spread: '100ms' } })
  const running = await startLoadOf(undefined)
  await dropRelease(gracer, 'r1')
  const outcome = await events.outcome('r1')
  const report = await running.stop()
  expect(report.failures).toEqual([])
  expect(running.staleAfterFlip()).toEqual([])
  const receipt = await receiptOf(outcome)
  expect(receipt).toMatchObject({ outcome: 'confirmed', reason: null, previous: 'r0', name: 'r1', lost: 0, violations: 0, cut: 0, survivors: [] })
  const { takeIn, boot, health, flip, drain, bake, stop } = receipt.phasesMs
  for (const phase of [takeIn, boot, health, flip, drain, bake, stop]) expect(phase).toBeGreaterThanOrEqual(0)
  expect(health).toBeGreaterThan(5)
  expect(bake).toBeGreaterThanOrEqual(599)
  expect(bake).toBeLessThan(6_000)
  // Slow replies last over a second, so that some must have been under way, and no more than there are connections.
  expect(receipt.inFlightAtFlip).toBeGreaterThan(0)
  expect(receipt.inFlightAtFlip).toBeLessThanOrEqual(60)
  expect(receipt.drained).toBeGreaterThan(0)
  expect(receipt.longestParkMs).toBeLessThan(500)
  expect(Date.now() - Date.parse(receipt.startedAt)).toBeLessThan(30_000)
})

test('at their grace WebSockets get 1001 between two frames and event streams end after an event, counted and not lost', async () => {
  const small = 4
  const streams = 5
  gracer = await GracerProcess.create({ config: { settle: '100ms', bake: '200ms', drain: { streams: '400ms', upgraded: '400ms', spread: '200ms' } } })
  const app = socketApp(24 * 1024 * 1024)
  writeFiles(`${gracer.releases}/r0`, app)
  await gracer.up()
  await gracer.live('r0')
  events = await Events.open(gracer)

  const sockets = await Promise.all(Array.from({ length: small }, () => openSocket('/small')))
  const big = await openSocket('/big', true)
  const feeds = await Promise.all(Array.from({ length: streams }, () => openFeed()))
  await until('every stream to run', () => feeds.every((feed) => feed.events().length > 2) && sockets.every((socket) => socket.messages.length > 2))

  await moveIn(gracer, writeRelease(gracer, 'r1', app), 'r1')
  await events.phase('flipped', 'r1')
  const closed = await Promise.all(sockets.map((socket) => socket.closed))
  expect(closed).toEqual(Array.from({ length: small }, () => 1001))
  // Its grace is over like the others', but its frame is not: the close frame must wait for the end of it.
  big.resume()
  expect(await big.closed).toBe(1001)
  expect(big.messages).toEqual([24 * 1024 * 1024])
  for (const feed of feeds) expect(await feed.ended).toBe('complete')
  for (const feed of feeds) {
    expect(feed.text().endsWith('\n\n')).toBe(true)
    expect(feed.events()).toEqual(Array.from({ length: feed.events().length }, (_, index) => `id: ${index + 1}`))
  }

  const outcome = await events.outcome('r1')
  const receipt = await receiptOf(outcome)
  expect(receipt).toMatchObject({ outcome: 'confirmed', streamsEnded: streams, upgradedEnded: small + 1, lost: 0, cut: 0, violations: 0 })
  expect(receipt.phasesMs.drain).toBeGreaterThanOrEqual(399)
  expect(await gracer.status()).toMatchObject({ lost: 0, violations: 0 })
})

interface OpenSocket {
  /** The length of each message. */
  readonly messages: number[]
  readonly closed: Promise<number>
  resume(): void
}

async function openSocket(path: string, paused = false): Promise<OpenSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${gracer.port}${path}`, { perMessageDeflate: false })
  socket.on('error', () => {})
  const messages: number[] = []
  socket.on('message', (data: Buffer) => messages.push(data.length))
  const closed = new Promise<number>((resolve) => socket.once('close', resolve))
  await new Promise<void>((resolve, reject) => {
    socket.once('open', () => {
      if (paused) socket.pause()
      resolve()
    })
    socket.once('error', reject)
  })
  return { messages, closed, resume: () => socket.resume() }
}

interface OpenFeed {
  text(): string
  /** The id line of each event. */
  events(): string[]
  readonly ended: Promise<'complete' | 'broken off'>
}

function openFeed(): Promise<OpenFeed> {
  return new Promise((resolve, reject) => {
    const request = http.get(`${gracer.url}/events`, { agent: false })
    request.on('error', reject)
    request.on('response', (response) => {
      let text = ''
      response.on('error', () => {})
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
      const ended = new Promise<'complete' | 'broken off'>((end) => response.once('close', () => end(response.complete ? 'complete' : 'broken off')))
      resolve({ text: () => text, events: () => text.split('\n').filter((line) => line.startsWith('id: ')), ended })
    })
  })
}

/** A program with WebSockets that talk all the time, one that sends a single frame of so many bytes, and event streams. */
function socketApp(bigBytes: number): Record<string, string> {
  const ws = pathToFileURL(createRequire(import.meta.url).resolve('ws')).href
  return {
    'server.mjs': `
import http from 'node:http'
import ws from '${ws}'
const server = http.createServer((req, res) => {
  if (req.url !== '/events') return res.end('ok')
  res.writeHead(200, { 'content-type': 'text/event-stream' })
  let id = 0
  const timer = setInterval(() => res.write('id: ' + ++id + '\\ndata: ' + 'x'.repeat(500) + '\\n\\n'), 5)
  res.on('close', () => clearInterval(timer))
})
const sockets = new ws.WebSocketServer({ server })
sockets.on('connection', (socket, req) => {
  socket.on('error', () => {})
  if (req.url === '/big') return socket.send(Buffer.alloc(${bigBytes}))
  const timer = setInterval(() => socket.send('x'.repeat(3000)), 5)
  socket.on('close', () => clearInterval(timer))
})
server.listen(process.env.PORT)
`,
  }
}
