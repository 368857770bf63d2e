import { describe, expect, test } from 'vitest'
import { answering, closedPort, RawClient, startBackend, startFront, startRawBackend, target, until } from './support.ts'
import type { Refusal } from '../../proxy/visit.ts'

const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

describe('dialling', () => {
  test('a refused dial is picked again, naming the release that failed, and its visit ends as not sent', async () => {
    const backend = await startBackend()
    const dead = await closedPort()
    const { port, picker } = await startFront((request) => (request.failed?.has('shop/v2') === true ? target(backend.port, 'shop/v1') : target(dead, 'shop/v2')))
    await new RawClient(port).send(get).sees('ok')
    await until('the second visit to end', () => picker.ends[1]?.length === 1)
    expect(picker.ends).toEqual([['not-sent'], ['complete']])
    expect(picker.requests.map((request) => [...(request.failed ?? [])])).toEqual([[], ['shop/v2']])
    expect(new Set(picker.requests.map((request) => request.arrivedAt)).size).toBe(1)
  })

  test('dials that fail for ever end in 502 after a bounded number of picks, and the last counts as lost', async () => {
    const dead = await closedPort()
    const { port, picker } = await startFront(dead)
    const client = new RawClient(port).send(get)
    await client.sees('code: dial-failed')
    expect(client.statuses).toEqual([502])
    expect(client.text).toMatch(/^Retry-After: 1\r$/m)
    expect(picker.ends).toEqual([...Array.from({ length: 999 }, () => ['not-sent']), ['lost']])
  })

  test('nothing of the body is read before an upstream is connected', async () => {
    const backend = await startBackend()
    const { port, picker } = await startFront(() => null)
    const client = new RawClient(port)
    const body = 'x'.repeat(8_000_000)
    client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`)
    await until('the request to wait', () => picker.waiting.size === 1)
    // Most of it stays with the client: the kernel's buffers and one of Node's are all that may fill.
    await until('the client to be held back', () => client.socket.writableLength > 1_000_000)
    const waiting = client.socket.writableLength
    expect(waiting).toBeGreaterThan(1_000_000)
    picker.choose = () => target(backend.port)
    picker.wake()
    await client.closes()
    expect(client.statuses).toEqual([200])
    expect(backend.seen[0]?.body.length).toBe(body.length)
  })
})

describe('refusals', () => {
  const refusal: Refusal = { status: 503, code: 'no-release', reason: 'Nothing is live.', retryAfterSeconds: 7 }

  test('of the picker: status, Retry-After, reason, code and request id in plain text, and the connection is kept', async () => {
    const { port, picker } = await startFront(() => refusal)
    const client = new RawClient(port).send('GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: id-1\r\n\r\n')
    await client.sees('request: id-1\n')
    expect(client.text).toBe([
      'HTTP/1.1 503 Service Unavailable', 'Content-Type: text/plain; charset=utf-8', 'Content-Length: 74', 'Cache-Control: no-store', 'Retry-After: 7',
      /^Date: .*$/m.exec(client.text)?.[0].trim(), 'Connection: keep-alive', 'Keep-Alive: timeout=75', '',
      '503 Service Unavailable\n\nNothing is live.\n\ncode: no-release\nrequest: id-1\n',
    ].join('\r\n'))
    client.send(get)
    await until('two replies', () => client.statuses.length === 2)
    expect(picker.visits).toHaveLength(0)
  })

  test('in JSON where the client asks for it', async () => {
    const { port } = await startFront(() => refusal)
    const client = new RawClient(port).send('GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: id-1\r\nAccept: application/json, */*\r\n\r\n')
    await client.sees('}\n')
    expect(JSON.parse(client.text.split('\r\n\r\n')[1] ?? '')).toEqual({ error: { status: 503, code: 'no-release', message: 'Nothing is live.', requestId: 'id-1' } })
  })

  test('in JSON also when the release has failed', async () => {
    const upstream = await startRawBackend((socket) => { socket.once('data', () => socket.destroy()) })
    const { port } = await startFront(upstream.port)
    const client = new RawClient(port).send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nAccept: application/problem+json\r\n\r\nhi')
    await client.sees('"code":"upstream-gone"')
    expect(client.text).toContain('Content-Type: application/json\r\n')
  })

  test('no service for the host and path: 404, and nothing is picked', async () => {
    const asked: string[][] = []
    const { port, picker } = await startFront(1, { serviceFor: (host, path) => { asked.push([host, path]); return null } })
    const client = new RawClient(port).send('GET /a/b?c#'.replace('#', '') + ' HTTP/1.1\r\nHost: EXAMPLE.com.:8080\r\n\r\n')
    await client.sees('code: no-service')
    expect(client.statuses).toEqual([404])
    expect(asked).toEqual([['example.com', '/a/b']])
    expect(picker.requests).toHaveLength(0)
  })

  test('of an upload under way: the client reads all of it, then the connection closes', async () => {
    const { port } = await startFront(() => refusal)
    const client = new RawClient(port).send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n')
    for (let sent = 0; sent < 2_000_000; sent += 100_000) client.send('x'.repeat(100_000))
    await client.closes()
    expect(client.error).toBeNull()
    expect(client.text).toContain('code: no-release')
    expect(client.text).toMatch(/^Connection: close\r$/m)
  })
})

describe('an upstream that dies before its reply', () => {
  const mortal = async (after: number) => await startRawBackend((socket, number) => {
    socket.on('data', () => { if (number < after) socket.resetAndDestroy(); else socket.write(ok) })
  })

  test.each(['GET', 'HEAD', 'OPTIONS'])('%s without a body is picked and sent once more', async (method) => {
    const upstream = await mortal(1)
    const { port, picker } = await startFront(upstream.port)
    const client = new RawClient(port).send(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`)
    await client.sees('200 OK')
    await until('the visits to end', () => picker.ends.flat().length === 2)
    expect(picker.ends).toEqual([['retried'], ['complete']])
  })

  test('the second try takes a fresh connection, however many stale ones are in the pool', async () => {
    // Every connection answers once and dies on its second request.
    const upstream = await startRawBackend((socket) => {
      let requests = 0
      socket.on('data', () => { requests += 1; if (requests === 1) socket.write(ok); else socket.resetAndDestroy() })
    })
    const { front, port } = await startFront(upstream.port)
    const clients = Array.from({ length: 3 }, () => new RawClient(port).send(get))
    await until('three idle connections', () => front.idleUpstreams('shop/v1') === 3)
    const client = clients[0] as RawClient
    client.send(get)
    await until('the second reply', () => client.statuses.length === 2)
    expect(client.statuses).toEqual([200, 200])
  })

  test('a release that accepts and closes again while it goes down counts as failed, behind a stale connection too', async () => {
    // The first request is answered; the connection dies on the second, and every new one after it.
    let requests = 0
    const dying = await startRawBackend((socket) => {
      socket.on('data', () => { requests += 1; if (requests === 1) socket.write(ok); else socket.resetAndDestroy() })
    })
    const old = await startRawBackend((socket) => { socket.on('data', () => socket.write(ok)) })
    const { port, picker, front } = await startFront(({ failed }) => (failed?.has('shop/new') === true ? target(old.port, 'shop/old') : target(dying.port, 'shop/new')))
    const client = new RawClient(port).send(get)
    await until('an idle connection', () => front.idleUpstreams('shop/new') === 1)
    client.send(get)
    await until('the second reply', () => client.statuses.length === 2)
    expect(client.statuses).toEqual([200, 200])
    await until('the visits to end', () => picker.ends.flat().length === 4)
    expect(picker.visits.map((visit) => [visit.release, ...visit.ends])).toEqual([['shop/new', 'complete'], ['shop/new', 'retried'], ['shop/new', 'retried'], ['shop/old', 'complete']])
  })

  test('a second death is 502 and lost', async () => {
    const upstream = await mortal(5)
    const { port, picker } = await startFront(upstream.port)
    const client = new RawClient(port).send(get)
    await client.sees('code: upstream-gone')
    expect(client.statuses).toEqual([502])
    expect(picker.ends).toEqual([['retried'], ['lost']])
  })

  test.each([
    ['POST', 'Content-Length: 2\r\n\r\nhi'], ['POST', '\r\n'], ['PUT', 'Content-Length: 2\r\n\r\nhi'], ['DELETE', '\r\n'],
    ['GET', 'Content-Length: 2\r\n\r\nhi'], ['PATCH', 'Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  ])('H21 %s with "%s" is never sent again', async (method, rest) => {
    let requests = 0
    const upstream = await startRawBackend((socket) => { socket.once('data', () => { requests += 1; socket.resetAndDestroy() }) })
    const { port, picker } = await startFront(upstream.port)
    const client = new RawClient(port).send(`${method} / HTTP/1.1\r\nHost: a\r\n${rest}`)
    await client.sees('code: upstream-gone')
    expect(client.statuses).toEqual([502])
    expect(picker.ends).toEqual([['lost']])
    expect(requests).toBe(1)
  })

  test('one byte of a reply is enough for it not to be repeated', async () => {
    const upstream = await startRawBackend((socket) => { socket.once('data', () => { socket.write('H', () => socket.end()) }) })
    const { port, picker } = await startFront(upstream.port)
    const client = new RawClient(port).send(get)
    await client.sees('code: bad-reply')
    expect(picker.ends).toEqual([['lost']])
  })

  test('H21 exactly once: of 200 POSTs through an upstream that resets at random, none arrives twice', async () => {
    const arrived = new Map<string, number>()
    const upstream = await startRawBackend((socket) => {
      let text = ''
      socket.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1')
        const id = /X-Id: (\d+)\r\n[\s\S]*\r\n\r\nbody/.exec(text)?.[1]
        if (id === undefined) return
        text = ''
        arrived.set(id, (arrived.get(id) ?? 0) + 1)
        if (Number(id) % 3 === 0) socket.resetAndDestroy()
        else socket.write(ok)
      })
    })
    const { port } = await startFront(upstream.port)
    await Promise.all(Array.from({ length: 10 }, async (_, client) => {
      const connection = new RawClient(port)
      for (let n = 0; n < 20; n += 1) {
        connection.send(`POST / HTTP/1.1\r\nHost: a\r\nX-Id: ${client * 20 + n}\r\nContent-Length: 4\r\n\r\nbody`)
        await until('a reply', () => connection.statuses.length === n + 1)
      }
      expect(connection.statuses.filter((status) => status === 200 || status === 502)).toHaveLength(20)
    }))
    expect(arrived.size).toBe(200)
    expect([...arrived.values()].every((times) => times === 1)).toBe(true)
  })
})

describe('a client that goes away', () => {
  test('while its request waits: the pick is cancelled', async () => {
    const { port, picker } = await startFront(() => null)
    const client = new RawClient(port).send(get)
    await until('the request to wait', () => picker.waiting.size === 1)
    client.socket.destroy()
    await until('the pick to be cancelled', () => picker.waiting.size === 0)
  })

  test('in its upload: the upstream is destroyed at once', async () => {
    const upstream = await startRawBackend((socket) => { socket.resume() })
    const { port, picker } = await startFront(upstream.port)
    const client = new RawClient(port).send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhello')
    await until('the upstream connection', () => upstream.sockets.size === 1)
    client.socket.resetAndDestroy()
    await until('the upstream connection to close', () => upstream.sockets.size === 0)
    expect(picker.ends).toEqual([['client-gone']])
  })

  test('in its download: the upstream is destroyed at once', async () => {
    const upstream = await startRawBackend((socket) => { socket.once('data', () => { socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello') }) })
    const { port, picker } = await startFront(upstream.port)
    const client = new RawClient(port).send(get)
    await client.sees('hello')
    client.socket.destroy()
    await until('the upstream connection to close', () => upstream.sockets.size === 0)
    expect(picker.ends).toEqual([['client-gone']])
  })

  test('behind a slow reply: every request on its connection ends as client-gone', async () => {
    const upstream = await startRawBackend((socket) => { socket.resume() })
    const { port, picker } = await startFront(upstream.port)
    const client = new RawClient(port).send(get + get + get)
    await until('three at the upstream', () => upstream.sockets.size === 3)
    client.socket.destroy()
    await until('the upstream connections to close', () => upstream.sockets.size === 0)
    expect(picker.ends).toEqual([['client-gone'], ['client-gone'], ['client-gone']])
  })

  test('before it has read a reply that the upstream finished: it is client-gone, and the pooled connection lives on', async () => {
    const body = Buffer.alloc(20_000_000, 'x')
    const backend = await startBackend((req, res) => { req.resume(); res.end(req.url === '/big' ? body : 'ok') })
    const { port, picker } = await startFront(backend.port)
    const client = new RawClient(port)
    client.socket.pause()
    client.send('GET /big HTTP/1.1\r\nHost: a\r\n\r\n')
    await until('the reply to begin', () => picker.visits[0]?.status === 200)
    client.socket.destroy()
    await until('the visit to end', () => picker.ends[0]?.length === 1)
    expect(picker.ends).toEqual([['client-gone']])
  })
})

describe('deadlines', () => {
  test('a cut destroys both sides', async () => {
    const upstream = await startRawBackend((socket) => { socket.resume() })
    const { port, picker } = await startFront(upstream.port)
    const client = new RawClient(port).send(get)
    await until('the upstream connection', () => upstream.sockets.size === 1)
    picker.visit.cut()
    await client.closes()
    await until('the upstream connection to close', () => upstream.sockets.size === 0)
    expect(picker.ends).toEqual([['cut']])
  })

  test('a cut of one request takes those behind it on the same connection, which are lost', async () => {
    const upstream = await startRawBackend((socket) => { socket.resume() })
    const { port, picker } = await startFront(upstream.port)
    const client = new RawClient(port).send(get + get)
    await until('both at the upstream', () => upstream.sockets.size === 2)
    picker.visits[0]?.cut()
    await client.closes()
    await until('the upstream connections to close', () => upstream.sockets.size === 0)
    expect(picker.ends).toEqual([['cut'], ['lost']])
  })

  test('a cut after the end does nothing', async () => {
    const backend = await startBackend()
    const { port, picker } = await startFront(backend.port)
    const client = new RawClient(port).send(get)
    await client.sees('ok')
    await until('the visit to end', () => picker.visit.ends.length === 1)
    picker.visit.cut()
    client.send(get)
    await until('two replies', () => client.statuses.length === 2)
    expect(picker.ends[0]).toEqual(['complete'])
  })
})

describe('a reply before the whole request', () => {
  test('reaches the client although it still sends, and then the connection closes', async () => {
    const upstream = await startRawBackend((socket) => {
      socket.once('data', () => socket.write('HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno'))
    })
    const { front, port, picker } = await startFront(upstream.port)
    const client = new RawClient(port).send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 80000000\r\n\r\n')
    for (let sent = 0; sent < 80_000_000; sent += 100_000) client.send('x'.repeat(100_000))
    await client.closes()
    expect(client.error).toBeNull()
    expect(client.statuses).toEqual([413])
    expect(client.text).toMatch(/^Connection: close\r$/m)
    expect(picker.ends).toEqual([['complete']])
    await until('the upstream connection to close', () => upstream.sockets.size === 0)
    expect(front.idleUpstreams('shop/v1')).toBe(0)
  })

  test('full duplex: the upstream may answer piece by piece while the client still sends', async () => {
    const backend = await startBackend((req, res) => {
      res.writeHead(200)
      res.flushHeaders()
      req.on('data', (chunk: Buffer) => res.write(`got ${chunk.toString()};`))
      req.on('end', () => res.end('bye'))
    })
    const { port } = await startFront(backend.port)
    const client = new RawClient(port).send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n')
    await client.sees('200 OK')
    await client.send('3\r\none\r\n').sees('got one;')
    await client.send('3\r\ntwo\r\n').sees('got two;')
    await client.send('0\r\n\r\n').sees('bye')
  })
})

describe('each visit ends exactly once', () => {
  test('whatever clients and upstreams do at random, 400 times', async () => {
    const upstream = await startRawBackend((socket) => {
      socket.on('data', () => {
        const what = Math.random()
        if (what < 0.15) socket.resetAndDestroy()
        else if (what < 0.3) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf')
        else if (what < 0.4) socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n', () => socket.destroy())
        else if (what < 0.5) socket.write('nonsense\r\n\r\n')
        else socket.write(ok)
      })
    })
    const { front, port, picker } = await startFront(upstream.port)
    for (let round = 0; round < 20; round += 1) {
      const clients = Array.from({ length: 20 }, () => {
        const client = new RawClient(port).send(Math.random() < 0.5 ? get : `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n${Math.random() < 0.7 ? 'hi' : 'h'}`)
        if (Math.random() < 0.3) client.send(get)
        if (Math.random() < 0.3) setTimeout(() => client.socket.destroy(), Math.random() * 4)
        return client
      })
      await until('a reply or a close for every client', () => clients.every((client) => client.closed || client.text.includes('\r\n\r\n') || client.socket.destroyed || !client.text.length), 100).catch(() => {})
      for (const client of clients) client.socket.destroy()
    }
    await until('the front to be empty', () => front.connections() === 0)
    await until('all visits to end', () => picker.ends.every((ends) => ends.length > 0))
    expect(picker.ends.filter((ends) => ends.length !== 1)).toEqual([])
  })
})

test('answering twice over one connection uses one connection upstream', async () => {
  const upstream = await startRawBackend(answering(ok))
  const { port } = await startFront(upstream.port)
  const client = new RawClient(port).send(get)
  await client.sees('ok')
  client.send(get)
  await until('two replies', () => client.statuses.length === 2)
  expect(upstream.sockets.size).toBe(1)
})
