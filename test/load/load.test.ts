import { afterEach, beforeEach, expect, test } from 'vitest'
import { GracerError } from '../../inherit/gracer-error.ts'
import { seededBytes } from './bytes.ts'
import { fakeServer, reply, type FakeServer } from './fake-server.ts'
import { allKinds, shareOut } from './kinds.ts'
import type { Entry } from './ledger.ts'
import { startLoad, type LoadOptions } from './load.ts'

let server: FakeServer
/** Replies that the server keeps back until told; null when it answers at once. */
let held: (() => void)[] | null = null

beforeEach(async () => {
  held = null
  server = await fakeServer((request, socket) => {
    const answer = (): void => void socket.write(reply(seededBytes(request.query('seed'), request.query('n'))))
    if (held === null) answer()
    else held.push(answer)
  })
})

afterEach(() => server.close())

const start = (options: LoadOptions = {}): ReturnType<typeof startLoad> => startLoad({ port: server.port, connections: 4, kinds: ['keep-alive'], rate: 100, ...options })

test('stop() lets what is in flight finish, and only then closes', async () => {
  held = []
  const load = start()
  await expect.poll(() => held?.length).toBe(4)
  const stopped = load.stop()
  const answers = held
  held = null
  for (const answer of answers) answer()
  expect(await stopped).toMatchObject({ requests: 4, ok: 4, failed: 0, endedBy: 'stop' })
  expect(load.counts()).toMatchObject({ ok: 4, inFlight: 0, openConnections: 0, releasesSeen: ['r1'] })
  expect(await load.stop()).toBe(await load.finished)
})

test('the load is bounded in time, in count and by a signal', async () => {
  expect(await start({ durationMs: 200 }).finished).toMatchObject({ endedBy: 'duration', failed: 0 })
  expect(await start({ maxRequests: 7 }).finished).toMatchObject({ endedBy: 'count', ok: 7 })
  const abort = new AbortController()
  const load = start({ signal: abort.signal })
  await expect.poll(() => load.counts().ok).toBeGreaterThan(0)
  abort.abort()
  expect(await load.finished).toMatchObject({ endedBy: 'signal', failed: 0 })
})

test('the rate is kept, with time to think on every connection', async () => {
  const report = await start({ connections: 20, rate: 200, durationMs: 1000 }).finished
  expect(report.ok).toBeGreaterThan(100)
  expect(report.ok).toBeLessThan(260)
  expect(report.opened).toBe(20)
})

test('every request is in the ledger, with times in their order on one clock', async () => {
  const failures: Entry[] = []
  const before = process.hrtime.bigint()
  const load = start({ maxRequests: 20, onFailure: (entry) => failures.push(entry) })
  await load.finished
  expect(load.ledger).toHaveLength(20)
  expect(new Set(load.ledger.map(({ number }) => number)).size).toBe(20)
  for (const { startedAt, sentAt, headAt, completedAt, bytes, status, aborted, outcome } of load.ledger) {
    const times = [before, startedAt, sentAt!, headAt!, completedAt]
    expect(times).toEqual([...times].sort((a, b) => Number(a - b)))
    expect({ status, aborted, outcome }).toEqual({ status: 200, aborted: false, outcome: 'ok' })
    expect(bytes).toBeGreaterThan(0)
  }
  expect(failures).toEqual([])
})

test('a failure is told when it happens', async () => {
  const failures: Entry[] = []
  await server.close()
  await start({ maxRequests: 2, onFailure: (entry) => failures.push(entry) }).finished
  expect(failures.map(({ failure, sentAt, connection }) => [failure?.code, sentAt, connection])).toEqual([['refused', null, 0], ['refused', null, 0]])
})

test('the longest time without a reply is in the report', async () => {
  const load = start({ connections: 1 })
  await expect.poll(() => load.counts().ok).toBeGreaterThan(1)
  held = []
  await expect.poll(() => held?.length).toBe(1)
  const since = performance.now()
  await expect.poll(() => performance.now() - since, { interval: 20 }).toBeGreaterThan(300)
  held.pop()?.()
  held = null
  const report = await load.stop()
  expect(report.longestGapMs).toBeGreaterThan(290)
  expect(report.kinds['keep-alive']?.maxMs).toBeGreaterThan(290)
})

test.each([
  ['another machine', { host: '192.0.2.1', port: 80 }],
  ['every address', { host: '0.0.0.0', port: 80 }],
  ['a name', { url: 'http://example.org/' }],
  ['a name that begins like loopback', { url: 'http://127.0.0.1.example.org/' }],
  ['https', { url: 'https://127.0.0.1/' }],
  ['no address', { url: 'localhost' }],
  ['no port', { host: '127.0.0.1' }],
  ['a port out of range', { host: '127.0.0.1', port: 70_000 }],
])('%s is refused: the load stays on this machine', (_what, target) => {
  expect(() => startLoad(target)).toThrow(expect.objectContaining({ code: 'load-target', exitCode: 2 }) as GracerError)
})

test('the connections are shared out to the last one, and every kind gets some', () => {
  for (const connections of [11, 12, 50, 200, 1001]) {
    const shares = [...shareOut(connections, allKinds).values()]
    expect(shares.reduce((sum, n) => sum + n, 0)).toBe(connections)
    expect(Math.min(...shares)).toBeGreaterThan(0)
  }
  expect(() => shareOut(3, allKinds)).toThrow(GracerError)
})
