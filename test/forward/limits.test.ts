import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, expect, test } from 'vitest'
import { BodyProgress } from '../../proxy/forward/body-progress.ts'
import { mostClients } from '../../proxy/forward/admission.ts'
import { defaultLimits } from '../../proxy/front-settings.ts'
import { answering, RawClient, startBackend, startFront, startRawBackend, until } from './support.ts'

const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
const upload = (length: number): string => `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`
const ok = answering('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')

describe('the head of a request', () => {
  test('that comes byte by byte is answered 408 once its time is over', async () => {
    const { port } = await startFront(1, { limits: { headMs: 1_000 } })
    const client = new RawClient(port).send('GET / HTTP/1.1\r\nHost: ')
    const drip = setInterval(() => { if (client.socket.writable) client.send('a') }, 50)
    await client.closes()
    clearInterval(drip)
    expect(client.text).toContain('code: head-too-slow')
  })
})

describe('the body of a request', () => {
  test('of which nothing comes for the limit is answered 408 as the client\'s doing, and the release is let go', async () => {
    const upstream = await startRawBackend((socket) => { socket.resume() })
    const lines: string[] = []
    const { port, picker } = await startFront(upstream.port, { limits: { bodyStallMs: 200 }, refused: (service, code) => lines.push(`${service} ${code}`) })
    const client = await new RawClient(port).send(`${upload(10)}12345`).closes()
    expect(client.statuses).toEqual([408])
    expect(client.text).toContain('code: body-too-slow')
    expect(picker.visit.ends).toEqual(['client-gone'])
    expect(lines).toEqual(['default body-too-slow'])
    await until('the release to be let go', () => upstream.sockets.size === 0)
  })

  test('that goes on is never ended, however slow it is', async () => {
    const backend = await startBackend()
    const { port } = await startFront(backend.port, { limits: { bodyStallMs: 200 } })
    const client = new RawClient(port).send(upload(20))
    const drip = setInterval(() => client.send('a'), 50)
    await until('it all', () => backend.seen.length === 1 || client.closed)
    clearInterval(drip)
    await client.sees('200 OK')
  })

  test('is not waited for while the release does not take it, nor once a reply is under way', async () => {
    let take = (): void => {}
    const upstream = await startRawBackend((socket) => {
      socket.pause()
      take = () => socket.on('data', () => {}).once('data', () => socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n')).resume()
    })
    const { port } = await startFront(upstream.port, { limits: { bodyStallMs: 200 } })
    const size = 40 * 1024 * 1024
    const client = new RawClient(port).send(upload(size))
    // All buffers between here and there are full, and stay so for several times the limit.
    client.socket.write(Buffer.alloc(size - 1))
    let last = -1
    await until('no more to be taken', () => {
      const now = client.socket.writableLength
      const same = now === last && now > 0
      last = now
      return same
    })
    const end = performance.now() + 700
    await until('several times the limit', () => client.closed || performance.now() > end)
    expect(client.closed).toBe(false)
    take()
    await client.sees('ok\r\n', 10_000)
    const later = performance.now() + 700
    await until('several times the limit', () => client.closed || performance.now() > later)
    expect(client.closed).toBe(false)
  })

  test('larger than the limit is answered 413 before anything of it reaches the release, where its length is told', async () => {
    const backend = await startBackend()
    const { port, picker } = await startFront(backend.port, { limits: { bodyBytes: 10 } })
    const client = await new RawClient(port).send(`${upload(11)}12345678901`).closes()
    expect(client.statuses).toEqual([413])
    expect(picker.visits).toEqual([])
    expect((await new RawClient(port).send(`${upload(10)}1234567890`).sees('200 OK')).closed).toBe(false)
  })

  test('in chunks is cut off at the limit with 413, and the release sees no end of it', async () => {
    const backend = await startBackend((req, res) => { req.on('end', () => res.end('whole')).resume() })
    const { port, picker } = await startFront(backend.port, { limits: { bodyBytes: 10 } })
    const client = new RawClient(port).send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n12345678\r\n')
    await until('the first chunk at the release', () => backend.raw.join('').includes('12345678'))
    await client.send('3\r\nabc\r\n0\r\n\r\n').closes()
    expect(client.statuses).toEqual([413])
    expect(backend.seen).toEqual([])
    expect(picker.visit.ends).toEqual(['client-gone'])
  })

  test('that waits to be asked for is refused before it is sent', async () => {
    const backend = await startBackend()
    const { port } = await startFront(backend.port, { limits: { bodyBytes: 10 } })
    const client = await new RawClient(port).send('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n').closes()
    expect(client.statuses).toEqual([413])
  })
})

test('a rate is an average over a window, and waiting that is not the client\'s does not count', () => {
  const limits = { bodyStallMs: null, bodyRate: 1_000 }
  const steady = new BodyProgress(0, 0)
  expect(steady.isTooSlow(29_999, 10, limits)).toBe(false)
  expect(steady.isTooSlow(30_000, 29_000, limits)).toBe(true)
  const held = new BodyProgress(0, 0)
  held.heldUp(29_000, 10)
  expect(held.isTooSlow(31_000, 20, limits)).toBe(false)
  expect(held.isTooSlow(59_000, 30_010, limits)).toBe(false)
})

describe('a client that does not read', () => {
  async function stalls(limits: { readStallMs: number }) {
    const upstream = await startRawBackend(answering('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', (socket) => {
      const block = Buffer.concat([Buffer.from('10000\r\n'), Buffer.alloc(65_536), Buffer.from('\r\n')])
      const more = (): void => { while (socket.writable && socket.write(block)); }
      socket.on('drain', more)
      more()
    }))
    const running = await startFront(upstream.port, { limits })
    const client = connect(running.port, '127.0.0.1').on('error', () => {})
    await once(client, 'connect')
    client.write(get)
    return { ...running, upstream, client }
  }

  test('is cut after the limit as its own doing, with little of its reply in memory, and the release is let go', async () => {
    const before = process.memoryUsage().arrayBuffers
    const { picker, upstream, front, client } = await stalls({ readStallMs: 300 })
    await until('it to be cut', () => picker.visits[0]?.ends.length === 1)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * 1024 * 1024)
    expect(picker.visit.ends).toEqual(['client-gone'])
    await until('the connections to be gone', () => upstream.sockets.size === 0 && front.connections() === 0)
    client.destroy()
  })

  test('and goes on, a little at a time, is not cut', async () => {
    const { picker, client } = await stalls({ readStallMs: 600 })
    let taken = 0
    client.on('data', (chunk: Buffer) => {
      taken += chunk.length
      client.pause()
      setTimeout(() => client.resume(), 1)
    })
    await until('many times what all buffers hold', () => taken > 48 * 1024 * 1024 || picker.visits[0]?.ends.length === 1, 20_000)
    expect(picker.visit.ends).toEqual([])
    client.destroy()
  })

  test('of a WebSocket is cut as well, and a silent WebSocket is left alone', async () => {
    const agree = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n'
    const ask = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
    const upstream = await startRawBackend(answering(agree))
    const { port, picker } = await startFront(upstream.port, { limits: { readStallMs: 200, firstByteMs: 200 } })
    const client = await new RawClient(port).send(ask).sees('101')
    const end = performance.now() + 700
    await until('several times the limit', () => client.closed || performance.now() > end)
    expect(picker.visit.ends).toEqual([])
    client.socket.pause()
    // One binary message after the other, 65,535 bytes each.
    const message = Buffer.concat([Buffer.from([0x82, 126, 255, 255]), Buffer.alloc(65_535)])
    const [socket] = upstream.sockets
    const more = (): void => { while (socket?.writable === true && socket.write(message)); }
    socket?.on('drain', more)
    more()
    await until('it to be cut', () => picker.visit.ends.length === 1)
    expect(picker.visit.ends).toEqual(['client-gone'])
    await until('the release to be let go', () => upstream.sockets.size === 0)
  })

  test('is left alone while nothing waits for it: an event stream that is silent', async () => {
    const upstream = await startRawBackend(answering('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n'))
    const { port, picker } = await startFront(upstream.port, { limits: { readStallMs: 200, bodyStallMs: 200, firstByteMs: 200 } })
    const client = await new RawClient(port).send(get).sees('\r\n\r\n')
    const end = performance.now() + 700
    await until('several times the limit', () => client.closed || performance.now() > end)
    expect(picker.visit.ends).toEqual([])
  })
})

describe('the first byte of a reply', () => {
  test('that does not come is answered 504 with its reason, counted against the release, and its connection is closed', async () => {
    const upstream = await startRawBackend((socket) => { socket.resume() })
    const { port, picker } = await startFront(upstream.port, { limits: { firstByteMs: 200 } })
    const client = await new RawClient(port).send(get).sees('code: first-byte')
    expect(client.statuses).toEqual([504])
    expect(client.closed).toBe(false)
    expect(picker.visit.ends).toEqual(['lost'])
    expect(picker.visit.failures).toEqual(['slow'])
    await until('its connection to be closed', () => upstream.sockets.size === 0)
  })

  test('is not waited for while the body is still coming in', async () => {
    const backend = await startBackend()
    const { port } = await startFront(backend.port, { limits: { firstByteMs: 200 } })
    const client = new RawClient(port).send(upload(3))
    for (const byte of 'abc') {
      const end = performance.now() + 300
      await until('longer than the limit', () => performance.now() > end)
      client.send(byte)
    }
    await client.sees('200 OK')
  })

  test('may take as long as it takes by default', () => {
    expect(defaultLimits).toMatchObject({ firstByteMs: null, bodyBytes: null, bodyRate: null, connections: null })
  })
})

describe('clients beyond the limit', () => {
  test('get 503 with Retry-After at once, and are taken again when one has left', async () => {
    const upstream = await startRawBackend(ok)
    const codes: string[] = []
    const { port, front } = await startFront(upstream.port, { limits: { connections: 2 }, refused: (_service, code) => codes.push(code) })
    const first = await new RawClient(port).send(get).sees('ok')
    await new RawClient(port).send(get).sees('ok')
    const third = await new RawClient(port).send(get).closes()
    expect(third.statuses).toEqual([503])
    expect(third.text).toMatch(/Retry-After: 1\r\n[^]*code: too-many-connections/)
    expect(codes).toEqual(['too-many-connections'])
    first.socket.end()
    await until('room', () => front.connections() === 1)
    await new RawClient(port).send(get).sees('ok')
  })

  test('are counted by the share of each worker, and never more than there are descriptors for', () => {
    expect(mostClients(100, 4, null)).toBe(25)
    expect(mostClients(1, 4, null)).toBe(1)
    expect(mostClients(null, 4, null)).toBe(Infinity)
    expect(mostClients(null, 1, 1_104)).toBe(500)
    expect(mostClients(100_000, 1, 1_104)).toBe(500)
    expect(mostClients(null, 1, 64)).toBe(1)
  })
})

test('limits that change hold for connections that are open', async () => {
  const upstream = await startRawBackend((socket) => { socket.resume() })
  const { port, front } = await startFront(upstream.port)
  const client = new RawClient(port).send(get)
  await until('the request to be there', () => upstream.sockets.size === 1)
  front.setLimits({ ...defaultLimits, firstByteMs: 200 })
  await client.sees('code: first-byte')
})
