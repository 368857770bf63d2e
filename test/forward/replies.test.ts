import { describe, expect, test } from 'vitest'
import { answering, RawClient, startBackend, startFront, startRawBackend, until } from './support.ts'

const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

/** Nothing has been sent to the client yet: it gets 502, and the upstream connection is not used again. */
const unfit: readonly [string, string][] = [
  ['Content-Length and Transfer-Encoding', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['two different Content-Lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef'],
  ['two equal Content-Lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nabcde'],
  ['a Content-Length that is no number', 'HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nabcde'],
  ['Transfer-Encoding: gzip, chunked', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n'],
  ['Transfer-Encoding: xchunked', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n'],
  ['two Transfer-Encodings', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['a flood of interim replies', `${'HTTP/1.1 102 Processing\r\n\r\n'.repeat(1000)}${ok}`],
  ['a head of 1 MB', `HTTP/1.1 200 OK\r\nX: ${'y'.repeat(1_000_000)}\r\n\r\n`],
  ['a bare CR in a field', 'HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n'],
  ['a bare LF in the head', 'HTTP/1.1 200 OK\nContent-Length: 0\n\n'],
  ['NUL in a field', 'HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n'],
  ['a folded field', 'HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n'],
  ['status 099', 'HTTP/1.1 099 No\r\nContent-Length: 0\r\n\r\n'],
  ['HTTP/2.0 as version', 'HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n'],
  ['no HTTP at all', 'SSH-2.0-OpenSSH\r\n\r\n'],
  ['101 unasked', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\n'],
  ['101 unasked and without fields', 'HTTP/1.1 101 Switching Protocols\r\n\r\n'],
  ['half a head', 'HTTP/1.1 200 OK\r\nContent-Le'],
]

describe('H7 replies that cannot be passed on', () => {
  test.each(unfit)('%s: 502, a connection that is not used again, and lost', async (_title, reply) => {
    const upstream = await startRawBackend(answering(reply, (socket) => socket.end()))
    const { front, port, picker, logs } = await startFront(upstream.port)
    const client = new RawClient(port).send(get)
    await client.sees('code: bad-reply')
    expect(client.statuses).toEqual([502])
    expect(picker.ends).toEqual([['lost']])
    expect(front.idleUpstreams('shop/v1')).toBe(0)
    await until('the upstream connection to close', () => upstream.sockets.size === 0)
    expect(logs.some((line) => line.event === 'forward.bad-reply')).toBe(true)
  })

  test('an app reports by Gracer-Failed that a 200 is none; the client never sees the field', async () => {
    const upstream = await startRawBackend(answering(ok.replace('\r\n\r\n', '\r\nGracer-Failed: payment\r\nX-Kept: yes\r\n\r\n')))
    const { port, picker } = await startFront(upstream.port)
    const client = new RawClient(port).send(get)
    await client.sees('X-Kept: yes')
    await until('the visit to end', () => picker.ends[0]?.length === 1)
    expect([client.statuses, picker.visit.reported, picker.ends]).toEqual([[200], true, [['complete']]])
    expect(client.text).not.toMatch(/gracer-failed/i)
  })

  test('bytes behind the body: the reply passes as it was framed, the connection is not used again', async () => {
    const upstream = await startRawBackend(answering(`${ok}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`))
    const { front, port } = await startFront(upstream.port)
    const client = new RawClient(port).send(get)
    await client.sees('ok')
    await until('the upstream connection to close', () => upstream.sockets.size === 0)
    expect(front.idleUpstreams('shop/v1')).toBe(0)
    expect(client.text).not.toContain('evil')
  })

  test('bytes on an idle connection: it is closed, and the next request gets its own reply', async () => {
    const upstream = await startRawBackend(answering(ok))
    const { front, port } = await startFront(upstream.port)
    const client = new RawClient(port).send(get)
    await client.sees('ok')
    await until('an idle connection', () => front.idleUpstreams('shop/v1') === 1)
    for (const socket of upstream.sockets) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil')
    await until('the idle connection to go', () => front.idleUpstreams('shop/v1') === 0, 1_000)
    client.send(get)
    await until('two replies', () => client.statuses.length === 2)
    expect(client.text).not.toContain('evil')
  })

  test.each([
    ['chunked', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nwo'],
    ['with Content-Length', 'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello'],
  ])('a body cut short, %s: the client sees the break and no clean end', async (_title, reply) => {
    const upstream = await startRawBackend(answering(reply, (socket) => setImmediate(() => socket.end())))
    const { port, picker } = await startFront(upstream.port)
    const client = await new RawClient(port).send(get).closes()
    expect(client.text).toContain('hello')
    expect(client.text).not.toContain('\r\n0\r\n')
    expect(picker.ends).toEqual([['lost']])
  })

  test('a body without length that ends with a reset is cut short too', async () => {
    const upstream = await startRawBackend(answering('HTTP/1.1 200 OK\r\n\r\nhello', (socket) => { setTimeout(() => socket.resetAndDestroy(), 20) }))
    const { port, picker } = await startFront(upstream.port)
    const client = await new RawClient(port).send(get).closes()
    expect(client.text).toContain('hello')
    expect(client.text.endsWith('0\r\n\r\n')).toBe(false)
    expect(picker.ends).toEqual([['lost']])
  })

  test('a malformed chunk in the reply breaks the client\'s connection', async () => {
    const upstream = await startRawBackend(answering('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n'))
    const { port, picker } = await startFront(upstream.port)
    const client = await new RawClient(port).send(get).closes()
    expect(client.text.endsWith('0\r\n\r\n')).toBe(false)
    expect(picker.ends).toEqual([['lost']])
  })
})

describe('H8 framing', () => {
  const cases: readonly [string, string, string, string][] = [
    ['HEAD with Content-Length', 'HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n', 'Content-Length: 500\r\n'],
    ['HEAD with Transfer-Encoding', 'HEAD', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', 'HTTP/1.1 200 OK\r\n'],
    ['304 with Content-Length', 'GET', 'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 500\r\n\r\n', 'ETag: "a"\r\n'],
    ['204', 'GET', 'HTTP/1.1 204 No Content\r\n\r\n', 'HTTP/1.1 204 No Content\r\n'],
  ]
  test.each(cases)('%s has no body and the connection serves the next request', async (_title, method, reply, expected) => {
    const upstream = await startRawBackend(answering(reply))
    const { port, picker } = await startFront(upstream.port)
    const client = new RawClient(port).send(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`)
    await client.sees(/\r\n\r\n$/)
    expect(client.text).toContain(expected)
    expect(client.text).toMatch(/^Connection: keep-alive\r$/m)
    expect(client.text).not.toMatch(/transfer-encoding/i)
    client.send(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`)
    await until('two replies', () => client.statuses.length === 2)
    await until('both visits to end', () => picker.ends.flat().length === 2)
    expect(picker.ends).toEqual([['complete'], ['complete']])
  })

  test('a 204 with a body: head only, no Content-Length, and the connection is not used again', async () => {
    const upstream = await startRawBackend(answering('HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello'))
    const { port } = await startFront(upstream.port)
    const client = new RawClient(port).send(get)
    await client.sees('204 No Content')
    await until('the upstream connection to close', () => upstream.sockets.size === 0)
    expect(client.text).not.toMatch(/content-length|hello/i)
  })

  test('a body without length reaches HTTP/1.1 in chunks and HTTP/1.0 by closing', async () => {
    const upstream = await startRawBackend(answering('HTTP/1.1 200 OK\r\n\r\nhello', (socket) => socket.end()))
    const { port, picker } = await startFront(upstream.port)
    const newer = new RawClient(port).send(get)
    await newer.sees('5\r\nhello\r\n0\r\n\r\n')
    const older = await new RawClient(port).send('GET / HTTP/1.0\r\n\r\n').closes()
    expect(older.text).toMatch(/\r\n\r\nhello$/)
    expect(older.text).not.toMatch(/transfer-encoding/i)
    expect(picker.ends).toEqual([['complete'], ['complete']])
  })

  test('HTTP/1.0 with keep-alive is kept where the length is known', async () => {
    const backend = await startRawBackend(answering(ok))
    const { port } = await startFront(backend.port)
    const client = new RawClient(port).send('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n')
    await client.sees('ok')
    client.send('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n')
    await until('two replies', () => client.statuses.length === 2)
  })
})

describe('H20 what passes untouched', () => {
  test('status line, case, order and duplicates of the fields, and bytes over 0x7f', async () => {
    const fields = ['Server: x', 'ETag: W/"1"', 'X-lower-UPPER: 1', 'Set-Cookie: a=1; Path=/', 'x-two: 1', 'Set-Cookie: b=2; Expires=Wed, 01 Jan 2031 00:00:00 GMT', 'X-Two: 2', 'Date: Thu, 01 Jan 1970 00:00:00 GMT', 'X-Latin: caf\xe9', 'X_Under: 1', 'Content-Range: bytes 0-1/9', 'Content-Length: 2']
    const upstream = await startRawBackend(answering(`HTTP/1.1 206 Partial Stuff\r\n${fields.join('\r\n')}\r\n\r\nok`))
    const { port } = await startFront(upstream.port)
    const client = new RawClient(port).send(get)
    await client.sees('\r\n\r\nok')
    expect(client.text.startsWith(`HTTP/1.1 206 Partial Stuff\r\n${fields.join('\r\n')}\r\nConnection: keep-alive\r\n`)).toBe(true)
  })

  test('fields of a request: case, order, duplicates, Range, and bytes over 0x7f', async () => {
    const backend = await startBackend()
    const { port } = await startFront(backend.port)
    const fields = ['user-AGENT: x', 'Range: bytes=0-1', 'If-None-Match: W/"1"', 'X-Two: 1', 'X-Two: 2', 'X-Latin: caf\xe9', 'Cookie: a=1; b=2', 'Accept-Encoding: gzip']
    const client = new RawClient(port).send(`GET / HTTP/1.1\r\nHost: a\r\n${fields.join('\r\n')}\r\n\r\n`)
    await client.sees('ok')
    expect(backend.raw[0]).toContain(`\r\nHost: a\r\n${fields.join('\r\n')}\r\nX-Request-Id: `)
  })

  test('the same name in two spellings loses no value', async () => {
    const backend = await startBackend()
    const { port } = await startFront(backend.port)
    const client = new RawClient(port).send('GET / HTTP/1.1\r\nHost: a\r\nX-Two: 1\r\nx-two: 2\r\n\r\n')
    await client.sees('ok')
    expect(backend.raw[0]).toContain('\r\nX-Two: 1\r\nX-Two: 2\r\n')
  })

  test('3,000 fields of a reply', async () => {
    const upstream = await startRawBackend(answering(`HTTP/1.1 200 OK\r\n${'a:1\r\n'.repeat(3_000)}X-Last: 1\r\nContent-Length: 2\r\n\r\nok`))
    const { port } = await startFront(upstream.port)
    const client = new RawClient(port).send(get)
    await client.sees('\r\n\r\nok')
    expect(client.text.match(/^a: 1\r$/gm)).toHaveLength(3_000)
    expect(client.text).toContain('X-Last: 1\r\nContent-Length: 2\r\n')
  })

  test('a compressed body is passed byte for byte', async () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, n) => n))
    const upstream = await startRawBackend(answering(Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 256\r\n\r\n'), bytes])))
    const { port } = await startFront(upstream.port)
    const client = new RawClient(port).send(get)
    await client.sees(bytes.toString('latin1'))
  })

  test('a head without a body yet does not wait for it', async () => {
    const upstream = await startRawBackend(answering('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n'))
    const { port } = await startFront(upstream.port)
    const client = new RawClient(port).send(get)
    await client.sees(/text\/event-stream[\s\S]*\r\n\r\n$/)
  })

  test('interim replies are not for HTTP/1.0', async () => {
    const upstream = await startRawBackend(answering(`HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n${ok}`))
    const { port } = await startFront(upstream.port)
    const client = await new RawClient(port).send('GET / HTTP/1.0\r\n\r\n').closes()
    expect(client.statuses).toEqual([200])
  })
})
