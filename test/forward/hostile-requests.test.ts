import { describe, expect, test } from 'vitest'
import { exchangeRaw, RawClient, startBackend, startFront, until } from './support.ts'

const good = 'GET /after HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
const post = 'POST / HTTP/1.1\r\nHost: a\r\n'
const smuggled = '0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n'

/** Refused: the front answers one of these statuses, closes, and the upstream sees not one byte. */
const refused: readonly [title: string, bytes: string, ...statuses: number[]][] = [
  ['H1 Content-Length and Transfer-Encoding', `${post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n${smuggled}`, 400],
  ['H1 Transfer-Encoding and Content-Length', `${post}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n${smuggled}`, 400],
  ['H1 Content-Length 0 and Transfer-Encoding', `${post}Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n${smuggled}`, 400],
  ['H2 Transfer-Encoding: xchunked', `${post}Transfer-Encoding: xchunked\r\n\r\n${smuggled}`, 400, 501],
  ['H2 Transfer-Encoding: chunked, identity', `${post}Transfer-Encoding: chunked, identity\r\n\r\n${smuggled}`, 400, 501],
  ['H2 Transfer-Encoding: identity', `${post}Transfer-Encoding: identity\r\n\r\n${smuggled}`, 400, 501],
  ['H2 Transfer-Encoding: gzip, chunked', `${post}Transfer-Encoding: gzip, chunked\r\n\r\n${smuggled}`, 400, 501],
  ['H2 two Transfer-Encodings', `${post}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n${smuggled}`, 400],
  ['H2 Transfer-Encoding: ,chunked', `${post}Transfer-Encoding: ,chunked\r\n\r\n${smuggled}`, 400],
  ['H2 vertical tab before chunked', `${post}Transfer-Encoding: \x0bchunked\r\n\r\n${smuggled}`, 400],
  ['H2 NBSP before chunked', `${post}Transfer-Encoding: \xa0chunked\r\n\r\n${smuggled}`, 400],
  ['H2 empty Transfer-Encoding', `${post}Transfer-Encoding:\r\n\r\n${smuggled}`, 400],
  ['H2 HTTP/1.0 with Transfer-Encoding', `POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${smuggled}`, 400],
  ['H3 two different Content-Lengths', `${post}Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef`, 400],
  ['H3 two equal Content-Lengths', `${post}Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde`, 400],
  ['H3 Content-Length: 1, 1', `${post}Content-Length: 1, 1\r\n\r\na`, 400],
  ['H3 Content-Length: +1', `${post}Content-Length: +1\r\n\r\na`, 400],
  ['H3 Content-Length: -1', `${post}Content-Length: -1\r\n\r\na`, 400],
  ['H3 Content-Length: 1 2', `${post}Content-Length: 1 2\r\n\r\na`, 400],
  ['H3 Content-Length: 0x1', `${post}Content-Length: 0x1\r\n\r\na`, 400],
  ['H3 Content-Length: 1_0', `${post}Content-Length: 1_0\r\n\r\nabcdefghij`, 400],
  ['H3 empty Content-Length', `${post}Content-Length:\r\n\r\n`, 400],
  ['H3 Content-Length over 2^53', `${post}Content-Length: 9007199254740993\r\n\r\na`, 400],
  ['H3 Content-Length over 2^64', `${post}Content-Length: 99999999999999999999999\r\n\r\na`, 400],
  ['H5 bare LF in the head', 'GET / HTTP/1.1\nHost: a\n\n', 400],
  ['H5 bare LF after a field', 'GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n', 400],
  ['H5 bare CR in a value', 'GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n', 400],
  ['H5 NUL in a value', 'GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n', 400],
  ['H5 DEL in a value', 'GET / HTTP/1.1\r\nHost: a\r\nX: b\x7fc\r\n\r\n', 400],
  ['H5 folded field', 'GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n', 400],
  ['H5 space before the colon', 'GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n', 400],
  ['H5 empty name', 'GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n', 400],
  ['H5 leading space on the first field', 'GET / HTTP/1.1\r\n Host: a\r\nX: b\r\n\r\n', 400],
  ['H10 Connection: Host, X-Forwarded-For', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Host, X-Forwarded-For\r\n\r\n', 400],
  ['H10 Connection: close, Authorization', 'GET / HTTP/1.1\r\nHost: a\r\nAuthorization: b\r\nConnection: close, Authorization\r\n\r\n', 400],
  ['H10 Connection: Cookie', 'GET / HTTP/1.1\r\nHost: a\r\nCookie: b\r\nConnection: cookie\r\n\r\n', 400],
  ['H10 Connection: Content-Length', `${post}Connection: content-length\r\nContent-Length: 3\r\n\r\nabc`, 400],
  ['H10 Connection: gracer-key', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: gracer-key\r\n\r\n', 400],
  ['H10 a guarded name in a second Connection field', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: x-forwarded-proto\r\n\r\n', 400],
  ['H13 no Host', 'GET / HTTP/1.1\r\n\r\n', 400],
  ['H13 two Hosts', 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 400],
  ['H13 two equal Hosts', 'GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n', 400],
  ['H13 empty Host', 'GET / HTTP/1.1\r\nHost:\r\n\r\n', 400],
  ['H13 Host with userinfo', 'GET / HTTP/1.1\r\nHost: u@a\r\n\r\n', 400],
  ['H13 Host with a path', 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n', 400],
  ['H13 Host: a@b/c?d', 'GET / HTTP/1.1\r\nHost: a@b/c?d\r\n\r\n', 400],
  ['H13 Host with a space', 'GET / HTTP/1.1\r\nHost: a b\r\n\r\n', 400],
  ['H13 Host with a comma', 'GET / HTTP/1.1\r\nHost: a,b\r\n\r\n', 400],
  ['H13 two dots at the end of Host', 'GET / HTTP/1.1\r\nHost: a..\r\n\r\n', 400],
  ['H13 port 0', 'GET / HTTP/1.1\r\nHost: a:0\r\n\r\n', 400],
  ['H13 port 99999', 'GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n', 400],
  ['H13 port that is no number', 'GET / HTTP/1.1\r\nHost: a:x\r\n\r\n', 400],
  ['H13 broken IPv6', 'GET / HTTP/1.1\r\nHost: [::1\r\n\r\n', 400],
  ['H13 no IPv6 in the brackets', 'GET / HTTP/1.1\r\nHost: [a]\r\n\r\n', 400],
  ['H13 bytes over 0x7f in Host', 'GET / HTTP/1.1\r\nHost: \xe9\r\n\r\n', 400],
  ['H13 absolute target with another host', 'GET http://evil/ HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['H13 absolute target with another port', 'GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['H13 absolute target with userinfo', 'GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['H14 absolute target of another scheme', 'GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['H14 authority target', 'GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['H14 * with GET', 'GET * HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['H14 fragment', 'GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['H14 fragment in the query', 'GET /a?x#b HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['H14 NUL in the target', 'GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['H14 bytes over 0x7f in the target', 'GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['H14 a space in the target', 'GET /a b HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['H14 1 MB of target', `GET /${'a'.repeat(1_000_000)} HTTP/1.1\r\nHost: a\r\n\r\n`, 414, 431],
  ['H15 TRACE', 'TRACE / HTTP/1.1\r\nHost: a\r\n\r\n', 405],
  ['H15 CONNECT', 'CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n', 405, 501],
  ['H15 lower-case method', 'get / HTTP/1.1\r\nHost: a\r\n\r\n', 400, 501],
  ['H15 a method of 1,000 characters', `${'A'.repeat(1000)} / HTTP/1.1\r\nHost: a\r\n\r\n`, 400, 501],
  ['H15 PRI', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400, 405, 501, 505],
  ['HTTP/0.9', 'GET /\r\n\r\n', 400, 505],
  ['HTTP/2.0 as version', 'GET / HTTP/2.0\r\nHost: a\r\n\r\n', 400, 505],
  ['HTTP/1.2 as version', 'GET / HTTP/1.2\r\nHost: a\r\n\r\n', 400, 505],
  ['not HTTP at all', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400],
  ['H16 101 fields', `GET / HTTP/1.1\r\nHost: a\r\n${'X: y\r\n'.repeat(100)}\r\n`, 431],
  ['H16 3,000 fields, the framing one after Node\'s own limit', `${post}${'X: y\r\n'.repeat(3000)}Content-Length: 30\r\n\r\n${good}`, 431],
  ['H16 20 KiB of fields', `GET / HTTP/1.1\r\nHost: a\r\nX: ${'y'.repeat(20_000)}\r\n\r\n`, 431],
  ['H16 one field of 64 KiB', `GET / HTTP/1.1\r\nHost: a\r\nX: ${'y'.repeat(65_536)}\r\n\r\n`, 431],
  ['H16 a cookie bomb', `GET / HTTP/1.1\r\nHost: a\r\n${`Cookie: ${'y'.repeat(4000)}\r\n`.repeat(20)}\r\n`, 431],
  ['H9 an unknown Expect', `${post}Expect: 200-maybe\r\nContent-Length: 3\r\n\r\nabc`, 417],
  ['H9 an unknown Expect beside the known one', `${post}Expect: x, 100-continue\r\nContent-Length: 3\r\n\r\nabc`, 417],
]

describe('what no upstream may see', () => {
  test.each(refused)('%s is refused, the connection closed, the upstream untouched', async (_title, bytes, ...statuses) => {
    const backend = await startBackend()
    const { port, picker } = await startFront(backend.port)
    const client = await exchangeRaw(port, bytes)
    expect(client.statuses).toHaveLength(1)
    expect(statuses).toContain(client.statuses[0])
    expect(client.text.toLowerCase()).toContain('connection: close')
    expect(picker.requests).toHaveLength(0)
    expect(backend.connections).toBe(0)
  })
})

/** A malformed chunk comes after the head was forwarded: 400 and close, and the upstream gets no whole request. */
const badChunks: readonly [string, string][] = [
  ['bad size', 'xyz\r\nabc\r\n0\r\n\r\n'],
  ['0x in front of the size', '0x3\r\nabc\r\n0\r\n\r\n'],
  ['17 hex digits', 'fffffffffffffffff\r\nabc\r\n0\r\n\r\n'],
  ['no CRLF after the data', '3\r\nabcX0\r\n\r\n'],
  ['LF only', '3\nabc\n0\n\n'],
  ['bare CR in an extension', '3;a\rb\r\nabc\r\n0\r\n\r\n'],
  ['negative size', '-3\r\nabc\r\n0\r\n\r\n'],
  ['space in the size', '3 3\r\nabc\r\n0\r\n\r\n'],
  ['an extension of 64 KiB', `3;${'x'.repeat(65_536)}\r\nabc\r\n0\r\n\r\n`],
  ['trailers without end', `0\r\n${'X-Long: abcdefgh\r\n'.repeat(5_000)}`],
  ['Content-Length in a trailer', '0\r\nContent-Length: 30\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n'],
  ['Transfer-Encoding in a trailer', '0\r\nTransfer-Encoding: chunked\r\n\r\n'],
]

describe('H4 chunks', () => {
  test.each(badChunks)('%s: 400 and close, and the upstream never has a whole request', async (_title, body) => {
    const backend = await startBackend()
    const { port, picker } = await startFront(backend.port)
    const client = new RawClient(port).send(`${post}Transfer-Encoding: chunked\r\n\r\n`)
    await until('the head at the upstream', () => (backend.raw[0] ?? '').includes('\r\n\r\n'))
    await client.send(body).closes()
    expect([400, 413, 431]).toContain(client.statuses[0])
    expect(client.statuses).toHaveLength(1)
    expect(client.text.toLowerCase()).toContain('connection: close')
    await until('the upstream connection to be gone', () => backend.sockets.size === 0)
    expect(backend.seen).toEqual([])
    expect(picker.ends).toEqual([['client-gone']])
  })

  test('extensions are dropped and chunks framed anew', async () => {
    const backend = await startBackend()
    const { port } = await startFront(backend.port)
    const client = new RawClient(port).send(`${post}Transfer-Encoding: CHUNKED\r\n\r\n3;a=b\r\nabc\r\n2;c\r\nde\r\n0;d\r\n\r\n`)
    await client.sees('\r\n\r\n')
    expect(backend.seen).toHaveLength(1)
    expect(backend.seen[0]?.body).toBe('abcde')
    expect(backend.raw.join('')).not.toMatch(/;a=b|;c|;d/)
    expect(backend.raw.join('').match(/transfer-encoding: chunked\r\n/gi)).toHaveLength(1)
  })
})

/** Forwarded: the upstream sees one request with exactly this target. */
const targets: readonly [string, string, string][] = [
  ['dot segments', '/a/../b/./c', '/a/../b/./c'],
  ['encoded dots', '/%2e%2e/%2E/x', '/%2e%2e/%2E/x'],
  ['an encoded NUL', '/a%00b', '/a%00b'],
  ['a backslash', '/a\\b', '/a\\b'],
  ['a semicolon', '/a;b=c/d', '/a;b=c/d'],
  ['doubled slashes', '//evil//x', '//evil//x'],
  ['a scheme in the path', '/http:/x//https:/y', '/http:/x//https:/y'],
  ['two question marks', '/a?b?c//d', '/a?b?c//d'],
  ['quotes, braces and a pipe', '/"a"{b}|c^`', '/"a"{b}|c^`'],
  ['broken percent-encoding', '/%zz%', '/%zz%'],
  ['8,000 octets', `/${'a'.repeat(7999)}`, `/${'a'.repeat(7999)}`],
  ['absolute form', 'http://a/x//y?z', '/x//y?z'],
  ['absolute form with the default port', 'HTTP://A:80/x', '/x'],
  ['absolute form without a path', 'http://a', '/'],
  ['absolute form with only a query', 'http://a?b', '/?b'],
]

describe('H14 targets that are forwarded', () => {
  test.each(targets)('%s', async (_title, sent, expected) => {
    const backend = await startBackend()
    const { port } = await startFront(backend.port)
    const client = await exchangeRaw(port, `GET ${sent} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
    expect(client.statuses).toEqual([200])
    expect(backend.seen).toHaveLength(1)
    expect(backend.raw[0]?.startsWith(`GET ${expected} HTTP/1.1\r\n`)).toBe(true)
  })

  test('OPTIONS *', async () => {
    const backend = await startBackend()
    const { port } = await startFront(backend.port)
    await exchangeRaw(port, 'OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    expect(backend.raw[0]?.startsWith('OPTIONS * HTTP/1.1\r\n')).toBe(true)
  })
})

describe('bodies', () => {
  test.each(['GET', 'HEAD', 'DELETE', 'OPTIONS', 'POST', 'PUT', 'PATCH'])('%s with Content-Length reaches the upstream framed, and nothing stays on the wire', async (method) => {
    const backend = await startBackend()
    const { port } = await startFront(backend.port)
    const client = await exchangeRaw(port, `${method} /x HTTP/1.1\r\nHost: a\r\nContent-Length: ${good.length}\r\n\r\n${good}${good}`)
    expect(client.statuses).toEqual([200, 200])
    expect(backend.seen.map(({ url, body }) => [url, body])).toEqual([['/x', good], ['/after', '']])
  })

  test.each(['GET', 'HEAD', 'DELETE', 'OPTIONS', 'POST', 'PUT', 'PATCH'])('%s with chunks reaches the upstream framed, and nothing stays on the wire', async (method) => {
    const backend = await startBackend()
    const { port } = await startFront(backend.port)
    const size = good.length.toString(16)
    const client = await exchangeRaw(port, `${method} /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${size}\r\n${good}\r\n0\r\n\r\n${good}`)
    expect(client.statuses).toEqual([200, 200])
    expect(backend.seen.map(({ url, body }) => [url, body])).toEqual([['/x', good], ['/after', '']])
  })

  test('a POST without a body is told to the upstream as one of length 0', async () => {
    const backend = await startBackend()
    const { port } = await startFront(backend.port)
    await exchangeRaw(port, `${post}Connection: close\r\n\r\n`)
    expect(backend.seen[0]?.rawHeaders).toContain('Content-Length')
    expect(backend.raw[0]).not.toMatch(/transfer-encoding/i)
  })
})

describe('H6 pipelining', () => {
  test('answers come in order, whichever the upstream finishes first, and both are picked when their heads are there', async () => {
    const held: (() => void)[] = []
    const backend = await startBackend((req, res) => {
      req.resume()
      if (req.url === '/slow') held.push(() => res.end('slow'))
      else res.end('quick')
    })
    const { port, picker } = await startFront(backend.port)
    const client = new RawClient(port).send('GET /slow HTTP/1.1\r\nHost: a\r\n\r\nGET /quick HTTP/1.1\r\nHost: a\r\n\r\n')
    await until('both at the upstream', () => backend.seen.length === 2)
    expect(picker.visits).toHaveLength(2)
    expect(client.text).toBe('')
    held[0]?.()
    await client.sees('quick')
    expect(client.text.indexOf('slow')).toBeLessThan(client.text.indexOf('quick'))
    await until('both visits to end', () => picker.ends.every((ends) => ends.length === 1))
    expect(picker.ends).toEqual([['complete'], ['complete']])
  })

  test('a malformed request behind a good one: the good one is answered first, then 400 and close', async () => {
    const held: (() => void)[] = []
    const backend = await startBackend((req, res) => {
      req.resume()
      held.push(() => res.end('first'))
    })
    const { port, picker } = await startFront(backend.port)
    const client = new RawClient(port).send('GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nBad Name: x\r\n\r\n')
    await until('the first at the upstream', () => held.length === 1)
    expect(client.text).toBe('')
    held[0]?.()
    await client.closes()
    expect(client.statuses).toEqual([200, 400])
    expect(client.text.indexOf('first')).toBeLessThan(client.text.indexOf('400'))
    expect(picker.ends).toEqual([['complete']])
    expect(backend.seen).toHaveLength(1)
  })

  test('a refused request behind a good one: answered in order, and what comes behind it is never picked', async () => {
    const held: (() => void)[] = []
    const backend = await startBackend((req, res) => {
      req.resume()
      held.push(() => res.end('first'))
    })
    const { port, picker } = await startFront(backend.port)
    const client = new RawClient(port).send('GET /1 HTTP/1.1\r\nHost: a\r\n\r\nTRACE / HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n')
    await until('the first at the upstream', () => held.length === 1)
    held[0]?.()
    await client.closes()
    expect(client.statuses).toEqual([200, 405])
    expect(picker.visits).toHaveLength(1)
  })

  test('bytes behind `Connection: close` do not disturb the reply, and are never answered', async () => {
    const backend = await startBackend()
    const { port, picker } = await startFront(backend.port)
    const client = await exchangeRaw(port, `${good}GET /extra HTTP/1.1\r\nHost: a\r\n\r\n`)
    expect(client.statuses).toEqual([200])
    expect(picker.visits).toHaveLength(1)
  })
})

describe('a client that is refused while it still sends', () => {
  test('reads the whole refusal before the connection closes', async () => {
    const backend = await startBackend()
    const { port } = await startFront(backend.port)
    const client = new RawClient(port).send(`TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n`)
    for (let sent = 0; sent < 3_000_000; sent += 100_000) client.send('x'.repeat(100_000))
    await client.closes()
    expect(client.error).toBeNull()
    expect(client.text).toContain('TRACE is not forwarded.')
  })
})

describe('what Node would do by itself', () => {
  test('a head that does not come in time is answered 408', async () => {
    const backend = await startBackend()
    const { front, port } = await startFront(backend.port)
    expect(front.server.headersTimeout).toBe(30_000)
    expect(front.server.requestTimeout).toBe(0)
    front.server.headersTimeout = 50
    const client = await exchangeRaw(port, 'GET / HTTP/1.1\r\nHost: a\r\nX: ')
    expect(client.statuses).toEqual([408])
  })

  test('a connection that says nothing is closed without a word', async () => {
    const { front, port } = await startFront(1)
    front.server.headersTimeout = 50
    const client = await exchangeRaw(port, '')
    expect(client.text).toBe('')
  })
})
