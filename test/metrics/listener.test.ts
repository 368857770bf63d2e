import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { isLoopbackName, listenForMetrics } from '../../agent/metrics/listener.ts'
import { RawClient, exchangeRaw, until } from '../forward/support.ts'

async function start(text: () => Promise<string> = () => Promise.resolve('# figures\n'), port = 0) {
  const logs: string[] = []
  const listener = await listenForMetrics({ listen: { host: '127.0.0.1', port }, text, log: (_level, event) => logs.push(event) })
  onTestFinished(() => listener.close())
  return { listener, logs, port: listener.address?.port ?? 0 }
}

const ask = (port: number, head: string): Promise<RawClient> => exchangeRaw(port, `${head}\r\nConnection: close\r\n\r\n`)

it('answers GET and HEAD of /metrics, and nothing else', async () => {
  const { port } = await start()
  const got = await ask(port, 'GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9464')
  expect(got.text).toContain('200 OK')
  expect(got.text.toLowerCase()).toContain('content-type: text/plain; version=0.0.4; charset=utf-8')
  expect(got.text.endsWith('\r\n\r\n# figures\n')).toBe(true)
  expect((await ask(port, 'HEAD /metrics HTTP/1.1\r\nHost: localhost')).text).toMatch(/200 OK[^]*\r\n\r\n$/)
  expect((await ask(port, 'GET /metrics?x=1 HTTP/1.1\r\nHost: [::1]:1')).statuses).toEqual([200])
  expect((await ask(port, 'POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0')).statuses).toEqual([405])
  for (const path of ['/', '/v1/status', '/v1/down', '/metrics/', '/%6detrics']) expect([path, (await ask(port, `GET ${path} HTTP/1.1\r\nHost: localhost`)).statuses]).toEqual([path, [404]])
})

it('refuses a Host that is no name of this machine: a foreign name that points here is a page in a browser', async () => {
  const { port } = await start()
  for (const host of ['evil.example', 'evil.example:9464', '127.0.0.1.evil.example', 'localhost.evil.example', '10.0.0.1', '']) {
    expect([host, (await ask(port, `GET /metrics HTTP/1.1\r\nHost: ${host}`)).statuses]).toEqual([host, [403]])
  }
  expect(['localhost', 'LOCALHOST:1', '127.0.0.1', '127.9.9.9:80', '[::1]', '[::1]:9464'].every(isLoopbackName)).toBe(true)
  expect(['[::2]', '::1', '128.0.0.1', 'localhost:', '127.0.0.1:port', '127.0.0.1@x'].some(isLoopbackName)).toBe(false)
})

it('says 503 where the master does not answer: figures that are not there are not 0', async () => {
  const { port } = await start(() => Promise.reject(new Error('no')))
  expect((await ask(port, 'GET /metrics HTTP/1.1\r\nHost: localhost')).statuses).toEqual([503])
})

it('lets scrapes at the same time share one report', async () => {
  let reports = 0
  let release = (): void => {}
  const { port } = await start(() => {
    reports += 1
    return new Promise((resolve) => { release = () => resolve('# shared\n') })
  })
  const clients = [1, 2, 3, 4].map(() => new RawClient(port).send('GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n'))
  await until('the first report', () => reports === 1)
  await new RawClient(port).send('GET /other HTTP/1.1\r\nHost: localhost\r\n\r\n').sees('404')
  release()
  for (const client of clients) await client.sees('# shared')
  expect(reports).toBe(1)
})

it('holds a bounded number of connections, and closes what sends no request', async () => {
  const { port } = await start()
  const idle = Array.from({ length: 40 }, () => new RawClient(port))
  await until('the surplus to be closed', () => idle.filter((client) => client.closed).length >= 24)
  await until('the silent to be closed', () => idle.every((client) => client.closed), 15_000)
  expect((await ask(port, 'GET /metrics HTTP/1.1\r\nHost: localhost')).statuses).toEqual([200])
}, 30_000)

it('takes a port that is taken at first as soon as it is free', async () => {
  const holder = createServer().listen(0, '127.0.0.1')
  await once(holder, 'listening')
  const { port } = holder.address() as AddressInfo
  const { listener, logs } = await start(undefined, port)
  expect([listener.address, logs]).toEqual([null, ['metrics.not-listening']])
  holder.close()
  await until('it to listen', () => listener.address !== null, 10_000)
  expect((await ask(port, 'GET /metrics HTTP/1.1\r\nHost: localhost')).statuses).toEqual([200])
}, 20_000)
