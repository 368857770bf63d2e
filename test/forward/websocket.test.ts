import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { answering, RawClient, startBackend, startFront, startRawBackend, settled, until, type RunningFront } from './support.ts'
import { frame } from './frames.ts'

const key = 'dGhlIHNhbXBsZSBub25jZQ=='
const accept = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='
const ask = (extra = '', withKey = key): string => `GET /ws HTTP/1.1\r\nHost: a\r\nOrigin: http://evil\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${withKey}\r\n${extra}\r\n`
const agree = (extra = '', withAccept = accept): string => `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${withAccept}\r\n${extra}\r\n`

async function startApp(): Promise<{ port: number; output: () => string }> {
  const child = spawn(process.execPath, [fileURLToPath(new URL('../apps/forward-ws.mjs', import.meta.url))], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => { child.kill('SIGKILL') })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => { output += chunk.toString() })
  await until('the app to listen', () => output.includes('\n'))
  return { port: Number(/port (\d+)/.exec(output)?.[1]), output: () => output }
}

type Write = (opcode: number, code: number, pieces?: string) => void

/** A tunnel between a raw client and a raw upstream. */
async function tunnel(halfOpen = false): Promise<RunningFront & { client: RawClient; upstream: Socket; received: () => Buffer; gone: () => boolean }> {
  const sockets: Socket[] = []
  const chunks: Buffer[] = []
  const backend = await startRawBackend((socket) => {
    sockets.push(socket)
    socket.once('data', () => {
      socket.on('data', (chunk: Buffer) => chunks.push(chunk))
      socket.write(agree())
    })
  }, halfOpen)
  const running = await startFront(backend.port)
  const client = new RawClient(running.port, halfOpen).send(ask())
  await client.sees('\r\n\r\n')
  client.text = ''
  await until('the tunnel', () => running.picker.visit.kind === 'upgraded')
  return { ...running, client, upstream: sockets[0] as Socket, received: () => Buffer.concat(chunks), gone: () => backend.sockets.size === 0 }
}

describe('a real WebSocket server and client', () => {
  test('echo, text and binary, small and large, and close with their own code', async () => {
    const app = await startApp()
    const { port, picker } = await startFront(app.port)
    const socket = new WebSocket(`ws://127.0.0.1:${port}/chat`)
    await once(socket, 'open')
    expect(picker.visit.kind).toBe('upgraded')
    expect(picker.visit.status).toBe(101)
    for (const size of [0, 1, 125, 126, 65_535, 65_536, 1_000_000]) {
      const message = randomBytes(size)
      socket.send(message)
      const [echo] = await once(socket, 'message') as [Buffer]
      expect(echo.equals(message)).toBe(true)
    }
    socket.close(4001)
    const [code] = await once(socket, 'close') as [number]
    expect(code).toBe(4001)
    await until('the visit to end', () => picker.visit.ends.length === 1)
    expect(picker.ends).toEqual([['complete']])
    await until('the app to say so', () => app.output().includes('closed 4001'))
  })

  test('its grace closes both sides with 1001, in order', async () => {
    const app = await startApp()
    const { port, picker, front } = await startFront(app.port)
    const socket = new WebSocket(`ws://127.0.0.1:${port}/push`)
    let last = ''
    socket.on('message', (data: Buffer) => { last = data.toString() })
    await until('all messages', () => last === '999')
    picker.visit.grace()
    const [code] = await once(socket, 'close') as [number]
    expect(code).toBe(1001)
    await until('the app to say so', () => app.output().includes('closed 1001'))
    expect(picker.ends).toEqual([['graceful']])
    await until('the connection to be gone', () => front.connections() === 0)
  })

  test('its grace closes with the code that is said', async () => {
    const app = await startApp()
    const { port, picker } = await startFront(app.port)
    const socket = new WebSocket(`ws://127.0.0.1:${port}/push`)
    await once(socket, 'open')
    picker.visit.grace(1012)
    const [code] = await once(socket, 'close') as [number]
    expect(code).toBe(1012)
    await until('the app to say so', () => app.output().includes('closed 1012'))
  })

  test('its grace under traffic both ways breaks no frame', async () => {
    const app = await startApp()
    const { port, picker } = await startFront(app.port)
    const errors: Error[] = []
    const codes: number[] = []
    const clients = Array.from({ length: 10 }, () => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/chat`)
      socket.on('error', (error) => errors.push(error))
      socket.on('close', (code) => codes.push(code))
      socket.on('open', () => { for (let n = 0; n < 20; n += 1) socket.send(randomBytes(n * 5_000)) })
      socket.on('message', (data: Buffer) => { if (socket.readyState === WebSocket.OPEN) socket.send(data) })
      return socket
    })
    await until('all to be open and busy', () => clients.every((socket) => socket.readyState === WebSocket.OPEN) && picker.visits.length === 10)
    for (const visit of picker.visits) visit.grace()
    await until('all to be closed', () => codes.length === 10)
    expect(errors).toEqual([])
    expect(codes).toEqual(Array.from({ length: 10 }, () => 1001))
    await until('all visits to end', () => picker.ends.flat().length === 10)
    expect(picker.ends.flat()).toEqual(Array.from({ length: 10 }, () => 'graceful'))
    // The app saw whole frames and then the close frame: ws says 1006 for anything else.
    await until('the app to see them close', () => (app.output().match(/closed 1001/g) ?? []).length === 10)
  })
})

describe('the handshake', () => {
  test('passes what matters through, and says Connection and Upgrade itself', async () => {
    let head = ''
    const upstream = await startRawBackend((socket) => { socket.once('data', (chunk: Buffer) => { head = chunk.toString(); socket.write(agree('Sec-WebSocket-Protocol: b\r\nSec-WebSocket-Extensions: x\r\nX-App: 1\r\n')) }) })
    const { port } = await startFront(upstream.port)
    const client = new RawClient(port).send(ask('Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Extensions: x\r\n'))
    await client.sees('X-App: 1\r\n\r\n')
    expect(head).toContain('Connection: Upgrade\r\nUpgrade: websocket\r\n')
    expect(head).toContain(`Sec-WebSocket-Key: ${key}\r\n`)
    expect(head).toContain('Origin: http://evil\r\n')
    expect(client.text).toBe(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: b\r\nSec-WebSocket-Extensions: x\r\nX-App: 1\r\n\r\n`)
  })

  test.each([
    ['U1 200 with a length', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello', /\r\n\r\nhello$/],
    ['U1 400 in chunks', 'HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n', /\r\n\r\n5\r\nhello\r\n0\r\n\r\n$/],
    ['U2 426', 'HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\nContent-Length: 0\r\n\r\n', /Upgrade: websocket\r\nSec-WebSocket-Version: 8\r\n[\s\S]*\r\n\r\n$/],
  ])('%s stays HTTP, nothing is tunnelled, and the connection is closed', async (_title, reply, expected) => {
    let raw = ''
    const upstream = await startRawBackend((socket) => {
      socket.on('data', (chunk: Buffer) => { raw += chunk.toString() })
      answering(reply)(socket)
    })
    const { port, picker } = await startFront(upstream.port)
    const client = await new RawClient(port).send(`${ask()}early bytes`).closes()
    expect(client.text).toMatch(expected)
    expect(client.text).toMatch(/^Connection: close\r$/m)
    expect(raw).not.toContain('early')
    expect(picker.visit.kind).toBe('request')
    expect(picker.ends).toEqual([['complete']])
  })

  test('a large reply that is no 101 is back-pressured and whole', async () => {
    const backend = await startBackend((_req, res) => { res.end(Buffer.alloc(3_000_000, 'x')) })
    backend.server.on('upgrade', (_req, socket) => { socket.end(`HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n${'x'.repeat(3_000_000)}`) })
    const { port } = await startFront(backend.port)
    const client = new RawClient(port)
    client.socket.pause()
    client.send(ask())
    await until('the reply to fill the buffers', () => client.socket.bytesRead > 0 || backend.connections === 1)
    client.socket.resume()
    await client.closes()
    expect(client.text.split('\r\n\r\n')[1]?.length).toBe(3_000_000)
  })

  test.each([
    ['U4 wrong Sec-WebSocket-Accept', agree('', 'AAAAAAAAAAAAAAAAAAAAAAAAAAA=')],
    ['U4 no Sec-WebSocket-Accept', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n'],
    ['U4 another protocol', `HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`],
    ['U4 a subprotocol that was not offered', agree('Sec-WebSocket-Protocol: z\r\n')],
  ])('%s is 502, and not a byte more', async (_title, reply) => {
    const upstream = await startRawBackend(answering(`${reply}\x81\x02hi`))
    const { port, picker } = await startFront(upstream.port)
    const client = await new RawClient(port).send(ask()).closes()
    expect(client.statuses).toEqual([502])
    expect(client.text).not.toContain('\x81\x02hi')
    expect(picker.ends).toEqual([['lost']])
    await until('the upstream connection to close', () => upstream.sockets.size === 0)
  })

  test('U4 101 to a request that asked for nothing is 502', async () => {
    const upstream = await startRawBackend(answering(agree()))
    const { port } = await startFront(upstream.port)
    const client = new RawClient(port).send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await client.sees('502')
    expect(client.statuses).toEqual([502])
  })

  test.each([
    ['no key', ask().replace(/Sec-WebSocket-Key.*\r\n/, '')],
    ['two keys', ask(`Sec-WebSocket-Key: ${key}\r\n`)],
    ['a short key', ask('', 'AAAA')],
    ['no Host', ask().replace('Host: a\r\n', '')],
  ])('with %s it is refused, and nothing is picked', async (_title, bytes) => {
    const { port, picker } = await startFront(1)
    const client = await new RawClient(port).send(bytes).closes()
    expect(client.statuses).toEqual([400])
    expect(picker.requests).toHaveLength(0)
  })

  test.each([
    ['U3 Upgrade: h2c', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n'],
    ['U3 Upgrade: foo', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n'],
    ['U3 Upgrade: websocket, h2c', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket, h2c\r\n\r\n'],
    ['U3 websocket by POST', `POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: ${key}\r\nContent-Length: 2\r\n\r\nhi`],
    ['U3 websocket with a body', `GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: ${key}\r\nContent-Length: 2\r\n\r\nhi`],
    ['U3 websocket with chunks', `GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: ${key}\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n`],
  ])('%s is an ordinary request without the field; behind it the connection ends', async (_title, bytes) => {
    const backend = await startBackend()
    const { port, picker } = await startFront(backend.port)
    const client = await new RawClient(port).send(`${bytes}GET /next HTTP/1.1\r\nHost: a\r\n\r\n`).closes()
    expect(client.statuses).toEqual([200])
    expect(client.text).toMatch(/^Connection: close\r$/m)
    expect(backend.raw.join('')).not.toMatch(/upgrade|http2/i)
    expect(backend.seen.map(({ body }) => body)).toEqual([bytes.includes('hi') ? 'hi' : ''])
    expect(picker.visits.map((visit) => visit.kind)).toEqual(['request'])
  })

  test('what comes in a later packet behind an ignored Upgrade is not taken up either', async () => {
    const held: (() => void)[] = []
    const backend = await startBackend((req, res) => { req.resume(); held.push(() => res.end('ok')) })
    const { port, picker } = await startFront(backend.port)
    const client = new RawClient(port).send('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n')
    await until('the request upstream', () => held.length === 1)
    client.send('GET /next HTTP/1.1\r\nHost: a\r\n\r\n')
    await settled('the backend', () => held.length)
    held[0]?.()
    await client.closes()
    expect(client.statuses).toEqual([200])
    expect(picker.visits).toHaveLength(1)
  })

  test('a body behind an ignored Upgrade may come in many packets', async () => {
    const backend = await startBackend()
    const { port } = await startFront(backend.port)
    const client = new RawClient(port).send('POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n')
    await until('the head at the upstream', () => (backend.raw[0] ?? '').includes('\r\n\r\n'))
    for (const piece of ['2\r\nh', 'i\r\n3\r', '\nyou\r\n0\r\n', '\r\n']) {
      client.send(piece)
      await new Promise((resolve) => setImmediate(resolve))
    }
    await client.closes()
    expect(backend.seen[0]?.body).toBe('hiyou')
  })

  test('behind an unanswered request it is an ordinary request', async () => {
    const held: (() => void)[] = []
    const backend = await startBackend((req, res) => { req.resume(); held.push(() => res.end(req.url)) })
    const { port } = await startFront(backend.port)
    const client = new RawClient(port).send(`GET /first HTTP/1.1\r\nHost: a\r\n\r\n${ask()}`)
    await until('both at the upstream', () => held.length === 2)
    for (const release of held.reverse()) release()
    await client.sees('/ws')
    expect(client.statuses).toEqual([200, 200])
    expect(client.text.indexOf('/first')).toBeLessThan(client.text.indexOf('/ws'))
  })

  test('U2 early bytes wait for the 101, and then come first', async () => {
    const chunks: Buffer[] = []
    const sockets: Socket[] = []
    const upstream = await startRawBackend((socket) => { sockets.push(socket); socket.on('data', (chunk: Buffer) => chunks.push(chunk)) })
    const { port } = await startFront(upstream.port)
    const early = frame(2, randomBytes(200_000), true)
    const client = new RawClient(port).send(ask())
    client.socket.write(early)
    await until('the handshake', () => chunks.length > 0)
    await until('the early bytes to be held', () => client.socket.bytesWritten > 100_000)
    expect(Buffer.concat(chunks).toString('latin1')).toMatch(/\r\n\r\n$/)
    chunks.length = 0
    sockets[0]?.write(agree())
    await until('the early bytes', () => Buffer.concat(chunks).length === early.length)
    expect(Buffer.concat(chunks).equals(early)).toBe(true)
  })

  test('a client that ends before the 101 has gone', async () => {
    const upstream = await startRawBackend((socket) => { socket.resume() })
    const { port, picker } = await startFront(upstream.port)
    const client = new RawClient(port, true).send(ask())
    await until('the handshake at the upstream', () => upstream.sockets.size === 1)
    client.socket.end()
    await until('the upstream connection to close', () => upstream.sockets.size === 0)
    expect(picker.ends).toEqual([['client-gone']])
  })

  test('an upstream that dies before its reply is tried once more, then 502', async () => {
    const upstream = await startRawBackend((socket) => { socket.once('data', () => socket.resetAndDestroy()) })
    const { port, picker } = await startFront(upstream.port)
    const client = await new RawClient(port).send(ask()).closes()
    expect(client.statuses).toEqual([502])
    expect(picker.ends).toEqual([['retried'], ['lost']])
  })
})

describe('the relay', () => {
  test('U5 is byte-exact both ways with large random frames', async () => {
    const { client, upstream, received } = await tunnel()
    const up = Buffer.concat(Array.from({ length: 40 }, () => frame(2, randomBytes(Math.floor(Math.random() * 300_000)), true)))
    const down = Buffer.concat(Array.from({ length: 40 }, () => frame(2, randomBytes(Math.floor(Math.random() * 300_000)), false)))
    const hash = createHash('sha256')
    let length = 0
    client.socket.removeAllListeners('data')
    client.socket.on('data', (chunk: Buffer) => { hash.update(chunk); length += chunk.length })
    client.socket.write(up)
    upstream.write(down)
    await until('all bytes', () => length === down.length && received().length === up.length, 15_000)
    expect(hash.digest('hex')).toBe(createHash('sha256').update(down).digest('hex'))
    expect(received().equals(up)).toBe(true)
  })

  test('U5 one byte at a time', async () => {
    const { client, upstream, received } = await tunnel()
    const bytes = Buffer.concat([frame(1, Buffer.from('hello'), true), frame(2, randomBytes(300), true)])
    for (const byte of bytes) client.socket.write(Buffer.from([byte]))
    await until('all bytes', () => received().length === bytes.length)
    expect(received().equals(bytes)).toBe(true)
    const back = Buffer.concat([frame(1, Buffer.from('hello'), false), frame(2, randomBytes(300), false)])
    for (const byte of back) upstream.write(Buffer.from([byte]))
    await until('all bytes back', () => client.text.length === back.length)
    expect(Buffer.from(client.text, 'latin1').equals(back)).toBe(true)
  })

  test('U5 half-close: who said FIN still hears the other side', async () => {
    const { client, upstream, received, gone } = await tunnel(true)
    client.socket.end(frame(1, Buffer.from('bye'), true))
    let upstreamEnded = false
    upstream.on('end', () => { upstreamEnded = true })
    await until('FIN at the upstream', () => upstreamEnded)
    expect(received().length).toBe(9)
    const answer = frame(2, randomBytes(2_000_000), false)
    upstream.end(answer)
    await until('the answer', () => client.text.length === answer.length && client.ended)
    await until('both to be gone', () => client.closed && gone())
  })

  test.each([['client', false], ['upstream', true]])('U5 a slow %s holds the sender back, memory stays bounded, and everything arrives in the end', async (_reader, masked) => {
    const { client, upstream } = await tunnel()
    const [from, to] = masked ? [client.socket, upstream] : [upstream, client.socket]
    to.removeAllListeners('data')
    to.pause()
    const block = frame(2, Buffer.alloc(1_000_000, 'x'), masked)
    const total = 200 * block.length
    const before = process.memoryUsage().rss
    let written = 0
    const fill = (): void => { while (written < total) { written += block.length; if (!from.write(block)) break } }
    from.on('drain', fill)
    fill()
    expect(await settled('the sender', () => written)).toBeLessThan(60_000_000)
    expect(process.memoryUsage().rss - before).toBeLessThan(100_000_000)
    let read = 0
    to.on('data', (chunk: Buffer) => { read += chunk.length })
    to.resume()
    await until('everything', () => read === total, 15_000)
  }, 40_000)

  test('U5 half-close by the upstream: what the client still sends arrives', async () => {
    const { client, upstream, received, picker, gone } = await tunnel(true)
    upstream.end(frame(8, Buffer.from([3, 232]), false))
    await until('FIN at the client', () => client.ended)
    const late = frame(2, randomBytes(500_000), true)
    client.socket.end(Buffer.concat([late, frame(8, Buffer.from([3, 232]), true)]))
    await until('all of it', () => received().length === late.length + 8)
    await until('both to be gone', () => client.closed && gone())
    expect(picker.ends).toEqual([['complete']])
  })

  test.each([
    ['it closes with 1011', (up: Write, _down: Write) => up(8, 1011), true],
    ['it closes with 1011, in pieces', (up: Write) => up(8, 1011, 'one byte at a time'), true],
    ['it closes with 1000', (up: Write) => up(8, 1000), false],
    ['it answers the 1011 of the client', (up: Write, down: Write, heard: () => Promise<void>) => { down(8, 1011); return heard().then(() => up(8, 1011)) }, false],
  ])('the release has failed where %s, or has not', async (_title, act, expected) => {
    const { client, upstream, received, picker } = await tunnel()
    const write = (socket: Socket, masked: boolean): Write => (opcode, code, pieces) => {
      const bytes = frame(opcode, Buffer.from([code >> 8, code & 0xff]), masked)
      if (pieces === undefined) socket.write(bytes)
      else for (const byte of bytes) socket.write(Buffer.from([byte]))
    }
    await act(write(upstream, false), write(client.socket, true), () => until('the close frame at the upstream', () => received().length === 8))
    await until('the close frame at the client', () => client.text.length === 4)
    client.socket.destroy()
    await until('the visit to end', () => picker.ends[0]?.length === 1)
    expect([picker.visit.bad, picker.ends]).toEqual([expected, [['complete']]])
  })

  test('a reader that takes longer than any linger gets all that was sent before the end', async () => {
    const { client, upstream, picker } = await tunnel()
    client.socket.pause()
    const bytes = Buffer.concat([frame(2, Buffer.alloc(30_000_000, 'x'), false), frame(8, Buffer.from([3, 232]), false)])
    let length = 0
    client.socket.removeAllListeners('data')
    client.socket.on('data', (chunk: Buffer) => { length += chunk.length })
    client.socket.pause()
    upstream.end(bytes)
    const began = performance.now()
    client.socket.write(frame(8, Buffer.from([3, 232]), true))
    await until('more than the linger', () => performance.now() - began > 2_300)
    client.socket.resume()
    await until('everything', () => length === bytes.length)
    await client.closes()
    await until('the visit to end', () => picker.ends[0]?.length === 1)
    expect(picker.ends).toEqual([['complete']])
  })
})

describe('how a tunnel ends', () => {
  const close = (code: number, masked: boolean): Buffer => frame(8, Buffer.from([code >> 8, code & 0xff]), masked)

  test('in the middle of a frame the close frame waits for its end, towards both', async () => {
    const { client, upstream, received, picker } = await tunnel()
    const down = frame(2, Buffer.alloc(1000, 'd'), false)
    const up = frame(2, Buffer.alloc(1000, 'u'), true)
    upstream.write(down.subarray(0, 500))
    client.socket.write(up.subarray(0, 500))
    await until('the halves', () => client.text.length === 500 && received().length === 500)
    picker.visit.grace()
    upstream.write(Buffer.concat([down.subarray(500), frame(1, Buffer.from('never'), false)]))
    client.socket.write(Buffer.concat([up.subarray(500), frame(1, Buffer.from('never'), true)]))
    await until('the rest and a close frame', () => client.text.length === down.length + 4 && received().length === up.length + 8)
    expect(Buffer.from(client.text, 'latin1').equals(Buffer.concat([down, close(1001, false)]))).toBe(true)
    expect(received().subarray(0, up.length).equals(up)).toBe(true)
    expect([...received().subarray(up.length, up.length + 2)]).toEqual([0x88, 0x82])
    expect(picker.visit.ends).toEqual([])
    client.socket.write(close(1001, true))
    upstream.write(close(1001, false))
    await client.closes()
    expect(picker.ends).toEqual([['graceful']])
  })

  test('peers that do not answer the close frame are left after 2 s', async () => {
    const { client, picker, gone } = await tunnel()
    const began = performance.now()
    picker.visit.grace()
    await until('the visit to end', () => picker.visit.ends.length === 1)
    expect(performance.now() - began).toBeGreaterThan(1_900)
    expect(picker.ends).toEqual([['graceful']])
    await client.closes()
    await until('the upstream connection to close', gone)
  })

  test('a side that has said close already gets none put in', async () => {
    const { client, upstream, received, picker } = await tunnel()
    client.socket.write(close(1000, true))
    await until('the close frame', () => received().length === 8)
    picker.visit.grace()
    upstream.write(close(1000, false))
    await client.closes()
    expect([...Buffer.from(client.text, 'latin1')].slice(0, 4)).toEqual([0x88, 2, 3, 0xe9])
    expect(received().length).toBe(8)
    expect(picker.ends).toEqual([['graceful']])
  })

  test('a cut destroys both sides at once', async () => {
    const { client, picker, gone } = await tunnel()
    picker.visit.cut()
    await client.closes()
    await until('the upstream connection to close', gone)
    expect(picker.ends).toEqual([['cut']])
  })

  test.each([
    ['client resets', 'client-gone', (side: { client: RawClient }) => side.client.socket.resetAndDestroy()],
    ['client leaves without a close frame', 'client-gone', (side: { client: RawClient }) => side.client.socket.end()],
    ['upstream resets', 'lost', (side: { upstream: Socket }) => side.upstream.resetAndDestroy()],
    ['upstream leaves without a close frame', 'lost', (side: { upstream: Socket }) => side.upstream.end()],
  ])('%s: %s', async (_title, how, leave) => {
    const side = await tunnel()
    side.client.socket.write(frame(1, Buffer.from('hi'), true))
    await until('a frame', () => side.received().length === 8)
    leave(side as never)
    await until('the visit to end', () => side.picker.visit.ends.length === 1)
    expect(side.picker.ends).toEqual([[how]])
    await side.client.closes()
    await until('the upstream connection to close', side.gone)
    await until('the front to be empty', () => side.front.connections() === 0)
  })
})
