import { expect, test } from 'vitest'
import { spawnFront } from './own-process.ts'
import { answering, RawClient, startBackend, startRawBackend, until } from './support.ts'

const post = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'

test('NODE_OPTIONS=--insecure-http-parser loosens nothing about requests', async () => {
  const backend = await startBackend()
  const { port } = await spawnFront(backend.port, '--insecure-http-parser')
  for (const body of ['3\nabc\n0\n\n', '3\r\nabc0\r\n\r\n']) {
    const client = await new RawClient(port).send(post + body).closes()
    expect(client.statuses).toEqual([400])
  }
  expect(backend.seen).toEqual([])
})

test('NODE_OPTIONS=--insecure-http-parser loosens nothing about replies', async () => {
  const upstream = await startRawBackend(answering('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc0\r\n\r\n'))
  const { port } = await spawnFront(upstream.port, '--insecure-http-parser')
  const client = await new RawClient(port).send('GET / HTTP/1.1\r\nHost: a\r\n\r\n').closes()
  expect(client.text.endsWith('0\r\n\r\n')).toBe(false)
})

test('a front that serves says nothing on stderr, not even that http-proxy is old', async () => {
  const backend = await startBackend()
  const { port, stderr } = await spawnFront(backend.port, '--pending-deprecation --trace-warnings')
  const client = new RawClient(port)
  for (let n = 1; n <= 30; n += 1) {
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi')
    await until('a reply', () => client.statuses.length === n)
  }
  expect(stderr()).toBe('')
})
