import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, utimesSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { freePort } from '../../inherit/ephemeral-socket.ts'
import { until } from '../support/deadline.ts'
import { GracerProcess } from '../support/gracer-process.ts'
import { server, writeFiles, writeRelease } from './write-release.ts'

// What a running gracer takes up of its public port's settings, and what a worker without descriptors does.

const config = { settle: '100ms', bake: '60s', health: { path: '/healthz', interval: '50ms' } }
const program = { 'server.mjs': server("req.resume().on('end', () => res.end('ok'))") }
let gracer: GracerProcess

beforeAll(async () => {
  gracer = await GracerProcess.startWith({ config, workers: 2 }, (one) => {
    const past = new Date(Date.now() - 60_000)
    utimesSync(writeFiles(join(one.releases, 'r0'), program), past, past)
    return Promise.resolve()
  })
}, 30_000)

afterAll(() => gracer.end())

async function reload(change: Record<string, unknown>): Promise<string> {
  gracer.writeConfig({ ...config, ...change })
  const { code, stdout, stderr } = await gracer.cli('reload')
  expect([code, stderr]).toEqual([0, ''])
  return stdout
}

const post = (body: string): Promise<number> => fetch(gracer.url, { method: 'POST', body }).then((reply) => reply.status)
const lines = (file: string): number => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0)

test('a reload changes limits, the access log and metrics.listen of the running processes, and a new worker has them too', async () => {
  const before = (await gracer.status()).proxy.workers
  const [file, port] = [join(gracer.folder, 'access.log'), await freePort()]
  expect(await post('0123456789')).toBeLessThan(300)
  const said = await reload({ limits: { bodySize: '5B' }, log: { access: { file: './access.log' } }, metrics: { listen: `127.0.0.1:${port}` } })
  expect(said).toContain('limits.bodySize, log.access, metrics.listen changed and are in use')
  expect(said).not.toContain('again:')
  expect(await post('0123456789')).toBe(413)
  await until('its line', () => lines(file) === 1)
  expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ status: 413, code: 'body-too-large' })
  expect(await fetch(`http://127.0.0.1:${port}/metrics`).then((reply) => reply.text())).toContain('gracer_refused_total{service="",code="body-too-large"} 1')
  expect((await gracer.status()).proxy.workers).toEqual(before)

  process.kill(before[0] as number, 'SIGKILL')
  process.kill(before[1] as number, 'SIGKILL')
  await until('others', async () => (await gracer.status()).proxy.workers.every((pid) => !before.includes(pid)))
  expect(await post('0123456789')).toBe(413)
  await until('its line', () => lines(file) === 2)

  // The second port is held by the first listener: it must be free for another by then.
  const held = await freePort()
  const blocker = createServer().listen(held, '127.0.0.1')
  await new Promise((resolve) => blocker.once('listening', resolve))
  expect(await reload({ metrics: { listen: `127.0.0.1:${held}` } })).toMatch(/metrics\.listen is not served yet: .*EADDRINUSE.*; it is tried again/)
  blocker.close()
  await expect(fetch(`http://127.0.0.1:${port}/metrics`)).rejects.toThrow()
  expect(await post('0123456789')).toBeLessThan(300)
  await until('the figures there', () => fetch(`http://127.0.0.1:${held}/metrics`).then((reply) => reply.ok, () => false), 10_000)
  expect(lines(file)).toBe(2)
})

test('a reload says what needs a restart', async () => {
  expect(await reload({ log: { level: 'debug' } })).toContain('log.level changed; taken up when gracer is started again')
})

test.runIf(process.platform === 'linux')('workers without descriptors live on, blame no release, and serve again once they have some', async () => {
  expect((await gracer.cli('swap', writeRelease(gracer, 'r1', program), '--until', 'flip')).code).toBe(0)
  const { workers } = (await gracer.status()).proxy
  const hard = (pid: number): string => /^Max open files\s+\d+\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/limits`, 'utf8'))?.[1] ?? ''
  for (const pid of workers) execFileSync('prlimit', ['--pid', String(pid), `--nofile=${readdirSync(`/proc/${pid}/fd`).length + 4}:${hard(pid)}`])
  const clients: Socket[] = []
  let text = ''
  let closed = 0
  for (let n = 0; n < 40; n += 1) {
    const client = connect(gracer.port, '127.0.0.1').on('error', () => {}).on('close', () => { closed += 1 })
    client.on('data', (chunk: Buffer) => { text += chunk.toString() })
    client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    clients.push(client)
  }
  await until('some to be turned away', () => closed > 20)
  await until('one to be told why', () => text.includes('code: no-descriptors'))
  for (const client of clients) client.destroy()
  await until('an answer', () => fetch(gracer.url).then((reply) => reply.ok, () => false), 10_000)
  const status = await gracer.status()
  expect(status.proxy.workers).toEqual(workers)
  expect(status).toMatchObject({ violations: 0, lost: 0, services: [{ live: 'v2', confirmed: false }] })
  expect(gracer.gracerLog().some((line) => line.event === 'worker.fell-back')).toBe(false)
})
