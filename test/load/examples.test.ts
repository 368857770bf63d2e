import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { runRelease, runWithSocket, type AppProcess, type Runnable } from './app-process.ts'
import { startLoad } from './load.ts'
import { appsFolder } from './make-release.ts'

let app: AppProcess | null = null

afterEach(async () => {
  if (app?.child.exitCode === null && app.child.signalCode === null) await app.stop('SIGKILL')
  app = null
})

function example(name: string): Runnable {
  const path = join(appsFolder, '../../deploy/examples', name)
  return { path, command: name === 'python' ? ['python3', 'server.py'] : ['node', 'server.mjs'] }
}

test.each(['hello', 'express', 'library', 'python'])('the example %s runs by itself, answers under load, names its release and goes when told', async (name) => {
  app = await runRelease(example(name), { GRACER_RELEASE: 'monday-build' })
  const page = await fetch(`http://127.0.0.1:${app.port}/`, { headers: { connection: 'close' } })
  expect(await page.text()).toContain('monday-build')
  expect((await fetch(`http://127.0.0.1:${app.port}/healthz`, { headers: { connection: 'close' } })).status).toBe(200)
  const report = await startLoad({ port: app.port, plainPath: '/', connections: 5, rate: 100, maxRequests: 50 }).finished
  expect(report).toMatchObject({ ok: 50, failed: 0 })
  expect(await app.stop('SIGTERM')).toBe(0)
})

test.each(['library', 'python'])('the example %s takes up a socket that is handed down, and says that it is ready', async (name) => {
  app = await runWithSocket(example(name))
  const report = await startLoad({ port: app.port, plainPath: '/', connections: 2, rate: 100, maxRequests: 10 }).finished
  expect(report).toMatchObject({ ok: 10, failed: 0 })
  expect(await app.stop('SIGTERM')).toBe(0)
})

test('the clock of hello ticks as server-sent events and ends when the server goes', async () => {
  app = await runRelease(example('hello'))
  const clock = await fetch(`http://127.0.0.1:${app.port}/clock`)
  expect(clock.headers.get('content-type')).toBe('text/event-stream')
  const reader = clock.body!.getReader()
  const first = await reader.read()
  expect(Buffer.from(first.value!).toString()).toMatch(/^data: \d\d:\d\d:\d\d, from hello \(version 1\)\n\n$/)
  expect(await app.stop('SIGTERM')).toBe(0)
  let last = await reader.read()
  while (!last.done) last = await reader.read()
})
