import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Fault } from './failure.ts'
import { ReplyParser } from './reply-parser.ts'

interface Read {
  readonly replies: { status: number; body: string; complete: boolean }[]
  readonly upgraded: string
  /** What finish() said. */
  readonly orderly: boolean
}

function read(chunks: readonly Buffer[]): Read {
  const replies: Read['replies'] = []
  let upgraded = ''
  const parser = new ReplyParser({
    head: ({ status }) => replies.push({ status, body: '', complete: false }),
    data: (chunk) => void (replies.at(-1)!.body += chunk.toString('latin1')),
    end: () => void (replies.at(-1)!.complete = true),
    upgraded: (chunk) => void (upgraded += chunk.toString('latin1')),
  })
  for (const chunk of chunks) parser.feed(chunk)
  return { replies, orderly: parser.finish(), upgraded }
}

const ok = (body: string, complete = true): Read['replies'][0] => ({ status: 200, body, complete })
const one = (text: string): Read => read([Buffer.from(text, 'latin1')])

test('replies of every framing are read one after another, however the bytes are cut', () => {
  const text = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello'
    + 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n'
    + 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\n\r\n\r\n\r\n00A\r\n0123456789\r\n0\r\ntrailer: 1\r\n\r\n'
    + 'HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'
  const whole = Buffer.from(text)
  const expected = { replies: [ok('hello'), ok('\r\n\r\n0123456789'), { ...ok(''), status: 204 }, ok('')], orderly: true, upgraded: '' }
  fc.assert(fc.property(fc.array(fc.nat(whole.length), { maxLength: 12 }), (cuts) => {
    const edges = [0, ...cuts.sort((a, b) => a - b), whole.length]
    expect(read(edges.slice(1).map((edge, i) => whole.subarray(edges[i], edge)).filter(({ length }) => length > 0))).toEqual(expected)
  }))
})

test('a reply without a length lasts until the connection is closed, and is complete then', () => {
  expect(one('HTTP/1.0 200 OK\r\n\r\nall of it')).toEqual({ replies: [ok('all of it')], orderly: true, upgraded: '' })
})

test('the end of the connection within a reply is not orderly', () => {
  expect(one('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell')).toMatchObject({ replies: [ok('hell', false)], orderly: false })
  expect(one('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n')).toMatchObject({ replies: [ok('x', false)], orderly: false })
  expect(one('HTTP/1.1 200').orderly).toBe(false)
})

test('what follows a 101 is no longer HTTP', () => {
  expect(one('HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n\x81\x01x').upgraded).toBe('\x81\x01x')
})

test.each([
  ['a status line that is none', 'HTTP/2.0 200 OK\r\n\r\n'],
  ['a status of two digits', 'HTTP/1.1 20 OK\r\n\r\n'],
  ['both lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n'],
  ['two different lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n'],
  ['a length that is none', 'HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n'],
  ['a coding that is not chunked', 'HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n'],
  ['a folded header', 'HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n'],
  ['a space before the colon', 'HTTP/1.1 200 OK\r\na : b\r\n\r\n'],
  ['a bare line feed in a header', 'HTTP/1.1 200 OK\r\na: b\nc: d\r\n\r\n'],
  ['a chunk size that is none', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n'],
  ['a chunk longer than its size', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nxy\r\n'],
])('%s is malformed', (_what, text) => {
  expect(() => one(text)).toThrow(Fault)
})

test('a head that does not end is given up', () => {
  expect(() => read([Buffer.from('HTTP/1.1 200 OK\r\n'), Buffer.alloc(70_000, 'a')])).toThrow(Fault)
})
