import { describe, expect, test } from 'vitest'
import type { Socket } from 'node:net'
import { EventBoundary } from '../../proxy/forward/event-boundary.ts'
import { RawClient, startFront, startRawBackend, until, type RunningFront } from './support.ts'
import fc from 'fast-check'

const get = 'GET /events HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n'
const head = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n'
const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`

async function streaming(first = head): Promise<RunningFront & { upstream: Socket; client: RawClient; closed: () => boolean }> {
  const sockets: Socket[] = []
  const backend = await startRawBackend((socket) => { sockets.push(socket); socket.once('data', () => socket.write(first)) })
  const running = await startFront(backend.port)
  const client = new RawClient(running.port).send(get)
  await until('the head', () => client.text.includes('\r\n\r\n'))
  return { ...running, client, upstream: sockets[0] as Socket, closed: () => backend.sockets.size === 0 }
}

/** The body of a chunked reply; null while it has no clean end. */
function body(client: RawClient): string | null {
  let rest = client.text.slice(client.text.indexOf('\r\n\r\n') + 4)
  let text = ''
  for (;;) {
    const size = /^([0-9a-f]+)\r\n/.exec(rest)
    if (size === null) return null
    const length = Number.parseInt(size[1] as string, 16)
    if (length === 0) return text
    text += rest.slice(size[0].length, size[0].length + length)
    rest = rest.slice(size[0].length + length + 2)
  }
}

describe('an event stream', () => {
  test('is one by its content type', async () => {
    const { picker } = await streaming()
    expect(picker.visit.kind).toBe('stream')
  })

  test('is none when its length is known, or its type only begins alike', async () => {
    expect((await streaming('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 5\r\n\r\nhello')).picker.visit.kind).toBe('request')
    expect((await streaming('HTTP/1.1 200 OK\r\nContent-Type: text/event-streams\r\nTransfer-Encoding: chunked\r\n\r\n')).picker.visit.kind).toBe('request')
  })

  test('comes through piece by piece', async () => {
    const { upstream, client } = await streaming()
    upstream.write(chunk('data: 1\n\n'))
    await client.sees('data: 1\n\n')
    upstream.write(chunk('data: 2\n\n'))
    await client.sees('data: 2\n\n')
  })

  test('between two events its grace ends it at once: complete for the client, closed, graceful', async () => {
    const { upstream, client, picker, closed } = await streaming()
    upstream.write(chunk('data: 1\n\n'))
    await client.sees('data: 1\n\n')
    picker.visit.grace()
    await client.closes()
    expect(client.error).toBeNull()
    expect(body(client)).toBe('data: 1\n\n')
    expect(picker.ends).toEqual([['graceful']])
    await until('the upstream connection to close', closed)
  })

  test('before any event too', async () => {
    const { client, picker } = await streaming()
    picker.visit.grace()
    await client.closes()
    expect(body(client)).toBe('')
    expect(picker.ends).toEqual([['graceful']])
  })

  test('in the middle of an event it is ended after the blank line, and nothing behind that is sent', async () => {
    const { upstream, client, picker } = await streaming()
    upstream.write(chunk('data: 1\n\ndata: 2'))
    await client.sees('data: 2')
    picker.visit.grace()
    upstream.write(chunk(' and\ndata: more'))
    await client.sees('data: more')
    expect(picker.visit.ends).toEqual([])
    upstream.write(chunk(' of it\n'))
    upstream.write(chunk('\ndata: 3\n\n'))
    await client.closes()
    expect(body(client)).toBe('data: 1\n\ndata: 2 and\ndata: more of it\n\n')
    expect(picker.ends).toEqual([['graceful']])
  })

  test('a cut does not wait', async () => {
    const { upstream, client, picker, closed } = await streaming()
    upstream.write(chunk('data: half'))
    await client.sees('data: half')
    picker.visit.grace()
    picker.visit.cut()
    await client.closes()
    await until('the upstream connection to close', closed)
    expect(body(client)).toBeNull()
    expect(picker.ends).toEqual([['cut']])
  })

  test('that the upstream ends itself is complete, and the connection serves on', async () => {
    const { upstream, client, picker } = await streaming()
    upstream.write(`${chunk('data: 1\n\n')}0\r\n\r\n`)
    await until('the end at the client', () => body(client) !== null)
    await until('the visit to end', () => picker.visit.ends.length === 1)
    expect(body(client)).toBe('data: 1\n\n')
    expect(picker.ends).toEqual([['complete']])
    expect(client.closed).toBe(false)
  })

  test('a compressed one ends behind a whole chunk', async () => {
    const { upstream, client, picker } = await streaming(head.replace('Transfer', 'Content-Encoding: gzip\r\nTransfer'))
    upstream.write(chunk('gz-one'))
    await client.sees('gz-one')
    picker.visit.grace()
    await client.closes()
    expect(body(client)).toBe('gz-one')
    expect(picker.ends).toEqual([['graceful']])
  })
})

describe('where an event ends', () => {
  test.each(['data: 1\n\n', 'data: 1\r\n\r\n', 'data: 1\r\r', 'data: 1\n\r\n', 'data: 1\r\n\n', '\n\n\n'])('behind %j', (text) => {
    const boundary = new EventBoundary()
    boundary.pass(Buffer.from(text))
    expect(boundary.reached).toBe(true)
  })

  test.each(['data: 1\n', 'data: 1\r\n', 'data: 1\r', 'a', 'data: 1\n\nd'])('not behind %j', (text) => {
    const boundary = new EventBoundary()
    boundary.pass(Buffer.from(text))
    expect(boundary.reached).toBe(false)
  })

  test('is found the same however the bytes are cut up', () => {
    const text = fc.array(fc.constantFrom('\r', '\n', '\r\n', 'a', 'data: x', '\n\n')).map((parts) => parts.join(''))
    fc.assert(fc.property(text, fc.array(fc.nat(20)), (whole, cuts) => {
      const inPieces = new EventBoundary()
      let rest = whole
      for (const cut of cuts) {
        inPieces.pass(Buffer.from(rest.slice(0, cut)))
        rest = rest.slice(cut)
      }
      inPieces.pass(Buffer.from(rest))
      const expected = whole === '' || /(?:\r\n|\r|\n)(?:\r\n|\r|\n)$/.test(whole.replaceAll('\r\n', '\n')) || /^(?:\r\n|\r|\n)$/.test(whole)
      expect(inPieces.reached).toBe(expected)
    }), { numRuns: 500 })
  })
})
