import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { runRelease, runWithSocket, type AppProcess } from './app-process.ts'
import { defaultKinds, type Kind } from './kinds.ts'
import { startLoad } from './load.ts'
import { makeRelease, type AppName, type Behaviour } from './make-release.ts'

let dir = ''
let app: AppProcess | null = null

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'gracer-load-'))
})

afterEach(async () => {
  if (app?.child.exitCode === null && app.child.signalCode === null) await app.stop('SIGKILL')
  app = null
  await rm(dir, { recursive: true, force: true })
})

async function run(behaviour: Behaviour, name: AppName = 'app'): Promise<AppProcess> {
  app = await runRelease(await makeRelease(dir, 'v1', { app: name, behaviour }))
  return app
}

const get = (path: string): Promise<Response> => fetch(`http://127.0.0.1:${app?.port}${path}`, { redirect: 'manual' })

const most: readonly Kind[] = ['keep-alive', 'fresh', 'post', 'upload', 'slow', 'pipeline']
const apps: readonly (readonly [AppName, readonly Kind[]])[] = [
  ['app', [...defaultKinds, 'events', 'abort']],
  ['express', [...defaultKinds, 'events', 'abort']],
  ['fastify', [...defaultKinds, 'events', 'abort']],
  ['python', most],
  ['port-only', ['keep-alive', 'fresh', 'post', 'pipeline']],
]

test.each(apps)('nothing fails against the healthy app %s with all kinds at once on 240 connections', async (name, kinds) => {
  app = await runRelease(await makeRelease(dir, 'a-release', { app: name }))
  const load = startLoad({ port: app.port, kinds, durationMs: 3000 })
  const report = await load.finished
  expect(report.failures).toEqual([])
  expect(report).toMatchObject({ failed: 0, refused: 0, connections: 240, endedBy: 'duration', releasesSeen: ['a-release'] })
  // Fresh connections come and go, all others stay.
  expect(report.peakOpen).toBeGreaterThanOrEqual(200)
  expect(Object.keys(report.kinds)).toEqual(expect.arrayContaining([...kinds]))
  for (const kind of kinds) if (kind !== 'abort') expect(report.kinds[kind]?.ok, kind).toBeGreaterThan(0)
  expect(load.ledger).toHaveLength(report.requests)
  expect(load.counts()).toMatchObject({ inFlight: 0, openConnections: 0 })
  if (name !== 'port-only') expect(await app.stop('SIGTERM')).toBe(0)
})

test('an app that is killed in the middle of the load is caught by every kind', async () => {
  await run({})
  const load = startLoad({ port: app!.port, connections: 60 })
  await expect.poll(() => load.counts().ok, { timeout: 10_000 }).toBeGreaterThan(100)
  await app!.stop('SIGKILL')
  await expect.poll(() => load.ledger.some(({ kind, failure }) => kind === 'keep-alive' && failure?.code === 'refused')).toBe(true)
  const report = await load.stop()
  const failedKinds = Object.entries(report.kinds).filter(([, tally]) => tally.failed > 0).map(([kind]) => kind)
  expect(failedKinds).toEqual(expect.arrayContaining(['slow', 'stream', 'upload', 'websocket-session', 'keep-alive']))
  expect(report.refused).toBeGreaterThan(0)
})

test('a crash at boot leaves a stack trace on stderr and exit code 1', async () => {
  await run({ crashAtBoot: true })
  expect(await app!.exit).toBe(1)
  expect(app!.output()).toMatch(/the database is not there\n\s+at misbehaveAtBoot/)
})

test('errors on everything, on the health path alone, and on all but it', async () => {
  for (const [fail, health, page] of [['all', 500, 500], ['health', 500, 200], ['public', 200, 500]] as const) {
    await run({ fail })
    expect([(await get('/healthz')).status, (await get('/')).status], fail).toEqual([health, page])
    await app!.stop()
  }
})

test('an app that turns bad after some requests does so at the next one', async () => {
  await run({ fail: 'all', failAfterRequests: 2 })
  const statuses = []
  for (let i = 0; i < 3; i++) statuses.push((await get('/')).status)
  expect(statuses).toEqual([200, 200, 500])
  expect((await get('/healthz')).status).toBe(500)
})

test('an app that turns bad after a time is good before', async () => {
  await run({ fail: 'public', failAfterMs: 1500 })
  expect((await get('/')).status).toBe(200)
  await expect.poll(async () => (await get('/')).status, { timeout: 10_000 }).toBe(500)
})

test('a redirect to elsewhere, on everything', async () => {
  await run({ redirectTo: 'http://127.0.0.1:1/login' })
  const reply = await get('/healthz')
  expect([reply.status, reply.headers.get('location')]).toEqual([301, 'http://127.0.0.1:1/login'])
})

test('an app that listens late says nothing before', async () => {
  const before = performance.now()
  await run({ listenAfterMs: 700 })
  expect(performance.now() - before).toBeGreaterThan(700)
  expect((await get('/healthz')).status).toBe(200)
})

test('an app that exits by itself does so with the code it was told', async () => {
  await run({ exitAfterMs: 600, exitCode: 7 })
  expect(await app!.exit).toBe(7)
})

test('GET /die leaves half a reply and no process', async () => {
  await run({})
  await expect(get('/die').then((reply) => reply.text())).rejects.toThrow()
  expect(await app!.exit).toBe(9)
})

test('an app that ignores SIGTERM answers on, and leaves its daemon behind when killed', async () => {
  await run({ ignoreSigterm: true, doubleFork: true })
  app!.child.kill('SIGTERM')
  expect((await get('/healthz')).status).toBe(200)
  const daemon = Number(await readFile(join(dir, 'v1', 'daemon.pid'), 'utf8'))
  expect(await app!.stop('SIGKILL')).toBe('SIGKILL')
  // Signal 0: is it there? It outlived the app, and is this test's to end.
  expect(process.kill(daemon, 0)).toBe(true)
  process.kill(daemon, 'SIGKILL')
})

test('a keep-alive timeout as short as it is told', async () => {
  await run({ keepAliveTimeoutMs: 1 })
  const socket = connect(app!.port, '127.0.0.1')
  socket.on('error', () => socket.destroy())
  socket.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n')
  socket.resume()
  const begun = performance.now()
  await new Promise((resolve) => socket.once('close', resolve))
  // Node adds up to a second of its own; without the setting it would be 5 s.
  expect(performance.now() - begun).toBeLessThan(4000)
})

test('the Python app takes up the socket at descriptor 3 and says that it is ready', async () => {
  app = await runWithSocket(await makeRelease(dir, 'inherits', { app: 'python' }))
  const report = await startLoad({ port: app.port, kinds: ['keep-alive', 'post', 'slow'], connections: 6, rate: 60, maxRequests: 12 }).finished
  expect(report).toMatchObject({ failed: 0, releasesSeen: ['inherits'] })
  expect(await app.stop('SIGTERM')).toBe(0)
})
