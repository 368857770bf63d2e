import { describe, expect, test } from 'vitest'
import { closedPort, RawClient, startBackend, startFront, startRawBackend, target, until } from './support.ts'

const head = 'POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n'

describe('H9 Expect: 100-continue', () => {
  test('the client is told to go on only when an upstream is connected, and the upstream never sees the field', async () => {
    const backend = await startBackend()
    const { port, picker } = await startFront(() => null)
    const client = new RawClient(port).send(head)
    await until('the request to wait', () => picker.waiting.size === 1)
    expect(client.text).toBe('')
    picker.choose = () => target(backend.port)
    picker.wake()
    await client.sees('HTTP/1.1 100 Continue\r\n\r\n')
    await client.send('hello').sees('ok')
    expect(client.statuses).toEqual([100, 200])
    expect(backend.seen[0]?.body).toBe('hello')
    expect(backend.raw[0]).not.toMatch(/expect/i)
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await until('the connection to serve the next', () => client.statuses.length === 3)
  })

  test('it is told once, however often a dial fails', async () => {
    const backend = await startBackend()
    const dead = await closedPort()
    const { port } = await startFront((request) => (request.failed === null ? target(dead, 'shop/v2') : target(backend.port)))
    const client = new RawClient(port).send(head)
    await client.sees('100 Continue')
    await client.send('hello').sees('ok')
    expect(client.statuses).toEqual([100, 200])
  })

  test('a client that sends its body at once is served too', async () => {
    const backend = await startBackend()
    const { port } = await startFront(backend.port)
    const client = new RawClient(port).send(`${head}hello`)
    await client.sees('ok')
    expect(client.statuses).toEqual([100, 200])
  })

  test('a refusal comes instead of 100, and the connection closes: the body may or may not follow', async () => {
    const { port } = await startFront(() => ({ status: 503, code: 'no-release', reason: 'Nothing is live.', retryAfterSeconds: null }))
    const client = await new RawClient(port).send(head).closes()
    expect(client.statuses).toEqual([503])
    expect(client.text).toMatch(/^Connection: close\r$/m)
  })

  test('an upstream that says 417 is heard', async () => {
    const upstream = await startRawBackend((socket) => { socket.once('data', () => socket.write('HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n')) })
    const { port } = await startFront(upstream.port)
    const client = new RawClient(port).send(head)
    await client.sees('417')
    expect(client.statuses).toEqual([100, 417])
  })

  test('an upstream\'s own 100 is not passed on a second time', async () => {
    const upstream = await startRawBackend((socket) => { socket.once('data', () => socket.write('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')) })
    const { port } = await startFront(upstream.port)
    const client = new RawClient(port).send(`${head}hello`)
    await client.sees('ok')
    expect(client.statuses).toEqual([100, 200])
  })

  test('a request without a body is not told to go on, also when it is sent twice', async () => {
    const upstream = await startRawBackend((socket, number) => { socket.once('data', () => { if (number === 0) socket.destroy(); else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok') }) })
    const { port } = await startFront(upstream.port)
    const client = new RawClient(port).send('GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n')
    await client.sees('ok')
    expect(client.statuses).toEqual([200])
  })

  test('HTTP/1.0 cannot expect anything', async () => {
    const backend = await startBackend()
    const { port } = await startFront(backend.port)
    const client = await new RawClient(port).send('POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello').closes()
    expect(client.statuses).toEqual([200])
  })
})
