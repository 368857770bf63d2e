import http from 'node:http'
import { utimesSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { until } from '../support/deadline.ts'
import { GracerProcess } from '../support/gracer-process.ts'
import { writeFiles } from './write-release.ts'

const ws = pathToFileURL(createRequire(import.meta.url).resolve('ws')).href
const program = `
import http from 'node:http'
import { WebSocketServer } from ${JSON.stringify(ws.replace(/index\.js$/, 'wrapper.mjs'))}
const server = http.createServer((req, res) => res.end(process.env.GRACER_RELEASE)).listen(process.env.PORT, process.env.HOST)
new WebSocketServer({ server }).on('connection', (socket) => socket.on('message', (data) => socket.send(String(data))))
`

let gracer: GracerProcess
afterEach(() => gracer?.end())

async function start(config: Record<string, unknown> = {}): Promise<void> {
  gracer = await GracerProcess.startWith({ workers: 2, config: { settle: '100ms', bake: '100ms', health: { path: '/healthz' }, ...config } }, async (one) => {
    const past = new Date(Date.now() - 60_000)
    utimesSync(writeFiles(join(one.releases, 'first'), { 'server.mjs': program }), past, past)
    await Promise.resolve()
  })
}

interface Reply { status: number | null; body: string; at: number }

function get(path = '/'): Promise<Reply> {
  return new Promise((resolve) => {
    const request = http.get({ port: gracer.port, host: '127.0.0.1', path, agent: false }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk)).on('end', () => resolve({ status: response.statusCode ?? null, body, at: performance.now() }))
    })
    request.on('error', () => resolve({ status: null, body: '', at: performance.now() }))
  })
}

const held = async (): Promise<number> => (await gracer.status()).services[0]?.traffic.held ?? 0

test('pause holds, a swap beside it happens, resume lets go to the new release; a WebSocket goes on; nothing is lost', async () => {
  await start()
  const socket = new WebSocket(`ws://127.0.0.1:${gracer.port}/`)
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
  const echo = (text: string): Promise<string> => new Promise((resolve) => {
    socket.once('message', (data) => resolve(String(data as Buffer)))
    socket.send(text)
  })
  const paused = await gracer.cli('pause', '--for', '2m')
  expect(paused).toMatchObject({ code: 0, stdout: expect.stringContaining('first is live now: requests of default wait') as string })
  expect((await gracer.cli('pause', '--for', '1m')).stdout).toContain('the pause is shorter now')
  expect((await gracer.cli('pause', '--for', '3m')).stdout).toContain('the pause is longer now')
  const waiting = Array.from({ length: 30 }, () => get())
  await until('all to be held', async () => (await held()) === 30)
  expect((await get('/healthz')).body).toBe('v1')
  expect(await echo('still here')).toBe('still here')
  expect((await gracer.cli('status')).stdout).toMatch(/PAUSED until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d, 30 waiting/)
  expect((await gracer.swap('first', '--until', 'flip')).code).toBe(0)
  expect(await held()).toBe(30)
  expect((await gracer.cli('resume')).stdout).toContain('answered again')
  expect((await gracer.cli('resume')).stdout).toContain('was not paused')
  const replies = await Promise.all(waiting)
  expect(replies.map(({ status, body }) => `${status} ${body}`)).toEqual(Array.from({ length: 30 }, () => '200 v2'))
  expect(await gracer.status()).toMatchObject({ lost: 0, violations: 0, services: [{ pausedUntil: null }] })
  socket.terminate()
}, 60_000)

test('gracer down during a pause answers what waited, by the release that is live, and ends', async () => {
  await start()
  expect((await gracer.cli('pause', '--for', '10m')).code).toBe(0)
  const waiting = Array.from({ length: 30 }, () => get())
  await until('all to be held', async () => (await held()) === 30)
  expect(await gracer.cli('down')).toMatchObject({ code: 0, stdout: 'nothing is live now: gracer has ended; "gracer up" starts it again\n' })
  expect((await Promise.all(waiting)).map(({ status, body }) => `${status} ${body}`)).toEqual(Array.from({ length: 30 }, () => '200 v1'))
}, 60_000)

test('kill -9 of agent and workers leave it paused, and it ends at its limit by itself with the agent stopped', async () => {
  await start({ hold: { max: 4 } })
  const forMs = 9_000
  const begun = performance.now()
  const answer = JSON.parse(await gracer.control('POST', '/v1/services/default/pause', { forMs })) as { pausedUntil: string }
  const { agent, proxy } = await gracer.status()
  process.kill(agent.pid, 'SIGKILL')
  for (const pid of proxy.workers) process.kill(pid, 'SIGKILL')
  const again = await until('another agent and workers', async () => {
    const now = await gracer.status().catch(() => null)
    return now !== null && now.agent.pid !== agent.pid && now.proxy.workers.length === 2 ? now : null
  })
  expect(again.services[0]?.pausedUntil).toBe(answer.pausedUntil)
  const waiting = [get(), get()]
  await until('them to be held', async () => (await held()) === 2)
  process.kill(again.agent.pid, 'SIGSTOP')
  try {
    const replies = await Promise.all(waiting)
    expect(replies.map(({ status }) => status)).toEqual([200, 200])
    for (const { at } of replies) expect(at - begun).toBeGreaterThan(forMs - 500)
  } finally {
    process.kill(again.agent.pid, 'SIGCONT')
  }
  await until('the agent to say so too', async () => (await gracer.status().catch(() => null))?.services[0]?.pausedUntil === null, 20_000)
}, 60_000)
