import { expect, test } from 'vitest'
import { answering, RawClient, startBackend, startFront, startRawBackend, target, until } from './support.ts'
import type { AccessRecord } from '../../proxy/access/access-line.ts'
import type { FrontOptions } from '../../proxy/forward/front.ts'

async function start(to: Parameters<typeof startFront>[0], options: Partial<FrontOptions> = {}) {
  const records: AccessRecord[] = []
  const running = await startFront(to, { access: { wants: () => true, write: (record) => records.push(record) }, ...options })
  return { ...running, records }
}

test('each request has one record: complete, refused, malformed, lost, cut off by its client, upgraded', async () => {
  const backend = await startBackend((req, res) => {
    if (req.url === '/hang') return
    if (req.url === '/break') return void req.socket.destroy()
    req.resume().on('end', () => res.writeHead(201).end('hello'))
  })
  const { port, records } = await start(backend.port)
  const client = new RawClient(port).send('POST /a?b=c HTTP/1.1\r\nHost: shop.example\r\nX-Request-Id: mine\r\nContent-Length: 3\r\n\r\nabc')
  await client.sees('hello')
  client.send('POST /break HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx')
  await client.sees('502')
  const gone = new RawClient(port).send('GET /hang HTTP/1.1\r\nHost: a\r\n\r\n')
  await until('the request at the backend', () => backend.seen.some(({ url }) => url === '/hang'))
  gone.socket.destroy()
  await until('its record', () => records.length === 3)
  await new RawClient(port).send('GET /x#y HTTP/1.1\r\nHost: a\r\n\r\n').sees('400')
  await new RawClient(port).send('GET / HTTP/1.1\r\nHost : a\r\n\r\n').sees('400')
  await until('all records', () => records.length === 5)
  expect(records[0]).toMatchObject({ service: 'default', release: 'v1', status: 201, end: 'complete', method: 'POST', target: '/a?b=c', host: 'shop.example', client: '127.0.0.1', requestId: 'mine', retry: 0, upgraded: false, code: null })
  expect(records[0]?.bytesIn).toBe(backend.raw[0]?.indexOf('POST /break'))
  expect(records[0]?.totalMs).toBeGreaterThanOrEqual(records[0]?.upstreamMs ?? Infinity)
  expect(records[0]?.upstreamMs).toBeGreaterThanOrEqual(records[0]?.firstByteMs ?? Infinity)
  expect(records.slice(1).map(({ status, end, code, target: path }) => [status, end, code, path])).toEqual([
    [502, 'lost', 'upstream-gone', '/break'], [null, 'client-gone', null, '/hang'], [400, 'complete', 'target', '/x#y'], [400, 'complete', 'malformed', null],
  ])
})

test('a WebSocket has its record at its end, a retried GET says so, and a trusted proxy names the client', async () => {
  const upstream = await startRawBackend(answering('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n'))
  const { port, records } = await start(upstream.port, { trustProxy: true })
  const socket = new RawClient(port).send('GET /ws HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 198.51.100.1, 192.0.2.7\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n')
  await socket.sees('101')
  expect(records).toEqual([])
  socket.socket.destroy()
  await until('the record', () => records.length === 1)
  expect(records[0]).toMatchObject({ status: 101, upgraded: true, end: 'client-gone', client: '192.0.2.7', forwardedFor: '198.51.100.1, 192.0.2.7' })

  const flaky = await startRawBackend((one, number) => (number === 0 ? one.once('data', () => one.destroy()) : answering('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')(one)))
  const second = await start(() => target(flaky.port))
  await new RawClient(second.port).send('GET / HTTP/1.1\r\nHost: a\r\n\r\n').sees('ok')
  await until('the record', () => second.records.length === 1)
  expect(second.records[0]).toMatchObject({ status: 200, retry: 1, end: 'complete' })
})

test('what the front itself answers is found by the id and the status that its client was told', async () => {
  const backend = await startBackend((req, res) => req.resume().on('end', () => res.end('late')))
  const { port, records } = await start(backend.port, { limits: { bodyBytes: 10 } })
  const declared = await new RawClient(port).send('POST /big HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 11\r\n\r\n').sees(/request: \S+\s/)
  const chunked = await new RawClient(port).send('POST /big HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n').sees(/request: \S+\s/)
  const malformed = await new RawClient(port).send('GET / HTTP/1.1\r\nHost : a\r\n\r\n').sees(/request: \S+\s/)
  await until('all records', () => records.length === 3)
  expect(records[0]).toMatchObject({ status: 413, end: 'complete', code: 'body-too-large', host: 'shop.example', target: '/big' })
  expect(records[1]).toMatchObject({ status: 413, end: 'client-gone', code: 'body-too-large', release: 'v1' })
  expect(records.map(({ requestId }) => requestId)).toEqual([declared, chunked, malformed].map((client) => /request: (\S+)/.exec(client.text)?.[1]))
})
