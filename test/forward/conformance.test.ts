import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import util from 'node:util'
import { describe, expect, test, vi } from 'vitest'
import { answering, closedPort, RawClient, startBackend, startFront, startRawBackend, target, until } from './support.ts'

const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
const handshake = 'GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
const switched = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n'

/** What http-proxy 1.18.1 does by itself, row by row, and that it does not happen here. */
describe('http-proxy 1.18.1 is guarded', () => {
  test('client goes away: the upstream request is cancelled at once', async () => {
    const upstream = await startRawBackend((socket) => { socket.resume() })
    const { port, picker } = await startFront(upstream.port)
    const client = new RawClient(port).send(get)
    await until('the request at the upstream', () => upstream.sockets.size === 1)
    await until('the pick', () => picker.visits.length === 1)
    client.socket.destroy()
    await until('the upstream connection to close', () => upstream.sockets.size === 0)
    expect(picker.ends).toEqual([['client-gone']])
  })

  test('upstream dies in mid-body: the client\'s connection breaks too, without a clean end', async () => {
    const upstream = await startRawBackend(answering('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n', (socket) => setImmediate(() => socket.destroy())))
    const { port, picker } = await startFront(upstream.port)
    const client = await new RawClient(port).send(get).closes()
    expect(client.text).toContain('200 OK')
    expect(client.text.endsWith('0\r\n\r\n')).toBe(false)
    expect(picker.ends).toEqual([['lost']])
  })

  test('DELETE with Transfer-Encoding over a kept connection: its body is no request', async () => {
    const backend = await startBackend()
    const { port } = await startFront(backend.port)
    const client = new RawClient(port).send(get)
    await client.sees('ok')
    const inner = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n'
    client.send(`DELETE /d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n`)
    await until('two replies', () => client.statuses.length === 2)
    expect(backend.seen.map(({ method, url, body }) => [method, url, body])).toEqual([['GET', '/', ''], ['DELETE', '/d', inner]])
  })

  test('WebSocket client resets before the 101: nothing is thrown, the upstream is let go', async () => {
    const upstream = await startRawBackend((socket) => { socket.resume() })
    const { port, picker, front } = await startFront(upstream.port)
    const client = new RawClient(port).send(handshake)
    await until('the handshake at the upstream', () => upstream.sockets.size === 1)
    client.socket.resetAndDestroy()
    await until('the upstream connection to close', () => upstream.sockets.size === 0)
    expect(picker.ends).toEqual([['client-gone']])
    expect(front.connections()).toBe(0)
  })

  test('request with Expect: the guards attach all the same', async () => {
    const upstream = await startRawBackend((socket) => { socket.resume() })
    const { port, picker } = await startFront(upstream.port)
    const client = new RawClient(port).send('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n')
    await client.sees('100 Continue')
    client.socket.destroy()
    await until('the upstream connection to close', () => upstream.sockets.size === 0)
    expect(picker.ends).toEqual([['client-gone']])
  })

  test('stale connection in the pool: a GET is sent again on a fresh one', async () => {
    // Answers once a connection, then dies on the second request without a byte: as a stale one looks from here.
    const upstream = await startRawBackend((socket) => {
      let requests = 0
      socket.on('data', () => {
        requests += 1
        if (requests === 1) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
        else socket.resetAndDestroy()
      })
    })
    const { port, picker } = await startFront(upstream.port)
    const client = new RawClient(port).send(get)
    await client.sees('ok')
    client.send(get)
    await until('two replies', () => client.statuses.length === 2)
    expect(client.statuses).toEqual([200, 200])
    await until('the visits to end', () => picker.ends.flat().length === 3)
    expect(picker.ends).toEqual([['complete'], ['retried'], ['complete']])
  })

  test('failed dial: not a byte of the body is gone, the next pick gets all of it', async () => {
    const backend = await startBackend()
    const dead = await closedPort()
    const { port, picker } = await startFront((request) => (request.failed?.has('shop/v2') === true ? target(backend.port, 'shop/v1') : target(dead, 'shop/v2')))
    const body = 'x'.repeat(300_000)
    const client = new RawClient(port).send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`)
    await client.closes()
    expect(client.statuses).toEqual([200])
    expect(backend.seen[0]?.body).toBe(body)
    expect(picker.ends).toEqual([['not-sent'], ['complete']])
  })

  test('ws(): a close frame can be put in', async () => {
    const upstream = await startRawBackend(answering(switched))
    const { port, picker } = await startFront(upstream.port)
    const client = new RawClient(port).send(handshake)
    await client.sees('101 ')
    await until('the tunnel', () => picker.visit.kind === 'upgraded')
    picker.visit.grace()
    await client.sees('\x88\x02\x03\xe9')
  })

  test('hop-by-hop fields: none passes, either way', async () => {
    const backend = await startBackend((req, res) => {
      req.resume()
      res.writeHead(200, ['Connection', 'keep-alive, X-Own', 'X-Own', 'b', 'Keep-Alive', 'timeout=9', 'Proxy-Authenticate', 'x', 'Trailer', 'X-T', 'Upgrade', 'h2c', 'X-Kept', 'c'])
      res.end('ok')
    })
    const { port } = await startFront(backend.port)
    const sent = ['Connection: keep-alive, X-Mine', 'X-Mine: a', 'Keep-Alive: timeout=9', 'TE: trailers', 'Trailer: X-T', 'Upgrade: h2c', 'HTTP2-Settings: AA', 'Proxy-Connection: keep-alive', 'Proxy-Authorization: x', 'X-Kept: c']
    const client = new RawClient(port).send(`GET / HTTP/1.1\r\nHost: a\r\n${sent.join('\r\n')}\r\n\r\n`)
    await client.sees('\r\n\r\n')
    const upstreamSaw = backend.raw.join('').toLowerCase()
    for (const name of ['x-mine', 'keep-alive:', '\r\nte:', 'trailer', 'upgrade', 'http2-settings', 'proxy-connection', 'proxy-authorization']) expect(upstreamSaw).not.toContain(name)
    expect(upstreamSaw).toContain('x-kept: c')
    const clientSaw = client.text.toLowerCase()
    for (const name of ['x-own', 'timeout=9', 'proxy-authenticate', 'trailer', 'upgrade']) expect(clientSaw).not.toContain(name)
    expect(clientSaw).toContain('x-kept: c')
    expect(clientSaw).toContain('keep-alive: timeout=75')
  })

  test('inbound X-Forwarded-For: not believed', async () => {
    const backend = await startBackend()
    const { port } = await startFront(backend.port)
    const client = new RawClient(port).send('GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n')
    await client.sees('ok')
    expect(backend.raw.join('')).toContain('X-Forwarded-For: 127.0.0.1\r\n')
    expect(backend.raw.join('')).not.toContain('6.6.6.6')
  })

  test('103 and trailers: passed on', async () => {
    const upstream = await startRawBackend(answering('HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\nSet-Cookie: a=b\r\n\r\n'))
    const { port } = await startFront(upstream.port)
    const client = new RawClient(port).send(get)
    await client.sees('ok\r\n0\r\nX-Sum: 1\r\n\r\n')
    expect(client.statuses).toEqual([103, 200])
    expect(client.text).toContain('Link: </a.css>; rel=preload\r\n')
    expect(client.text).not.toContain('Set-Cookie')
  })

  test('trailers of a request: passed on but for those that frame or route', async () => {
    const backend = await startBackend()
    const { port } = await startFront(backend.port)
    const client = new RawClient(port).send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\nHost: b\r\nAuthorization: c\r\nX-Forwarded-For: d\r\n\r\n')
    await client.sees('ok')
    expect(backend.seen[0]?.rawTrailers).toEqual(['X-Sum', '1'])
  })

  test('util._extend: never called, and left as it was', async () => {
    const original = Object.getOwnPropertyDescriptor(util, '_extend')
    const called = vi.fn(Object.assign)
    Object.defineProperty(util, '_extend', { value: called, configurable: true, writable: true, enumerable: true })
    vi.resetModules()
    const require = (await import('node:module')).createRequire(import.meta.url)
    for (const file of Object.keys(require.cache)) if (file.includes('/http-proxy/')) delete require.cache[file]
    try {
      const { sendRequest } = await import('../../proxy/forward/http-lane.ts')
      expect(Object.getOwnPropertyDescriptor(util, '_extend')?.value).toBe(called)
      const { createFront } = await import('../../proxy/forward/front.ts')
      const backend = await startBackend()
      const { FakePicker } = await import('./support.ts')
      const front = createFront({ picker: new FakePicker(() => target(backend.port)), serviceFor: () => 's', trustProxy: false, limits: { idleMs: 1000 }, log: () => {} })
      front.server.listen(0, '127.0.0.1')
      await once(front.server, 'listening')
      const client = new RawClient((front.server.address() as { port: number }).port).send(get)
      await client.sees('ok')
      front.destroy()
      expect(sendRequest).toBeTypeOf('function')
      expect(called).not.toHaveBeenCalled()
    } finally {
      if (original !== undefined) Object.defineProperty(util, '_extend', original)
    }
  })

  test('a new connection for every request: one serves them all', async () => {
    const backend = await startBackend()
    const { front, port } = await startFront(backend.port)
    for (let n = 0; n < 20; n += 1) {
      const client = new RawClient(port).send(get)
      await client.sees('ok')
      await until('the connection to be idle', () => front.idleUpstreams('shop/v1') === 1)
    }
    expect(backend.connections).toBe(1)
  })

  test('slashes are joined and dots resolved: the path is sent as it came', async () => {
    const backend = await startBackend()
    const { port } = await startFront(backend.port)
    const request = httpRequest({ port, host: '127.0.0.1', path: '/a//b/../http:/c?d//e?f' })
    request.end()
    await once(request, 'response')
    expect(backend.seen[0]?.url).toBe('/a//b/../http:/c?d//e?f')
  })
})
