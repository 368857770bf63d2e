import { createHash } from 'node:crypto'
import type { Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { freePort } from './app-process.ts'
import { seededBytes } from './bytes.ts'
import { fakeServer, reply, type FakeRequest, type FakeServer } from './fake-server.ts'
import { startLoad, type LoadOptions, type Report } from './load.ts'

let server: FakeServer | null = null

afterEach(async () => {
  await server?.close()
  server = null
})

/** Loads a fake server with few requests and gives the report. */
async function loadOf(answer: (request: FakeRequest, socket: Socket) => void, options: LoadOptions): Promise<Report> {
  server = await fakeServer(answer)
  return startLoad({ port: server.port, connections: 1, rate: 100, maxRequests: 5, requestTimeoutMs: 2000, ...options }).finished
}

const bytesOf = (request: FakeRequest): Buffer => seededBytes(request.query('seed'), request.query('n'))
const codes = (report: Report): string[] => report.failures.map(({ code }) => code)

test('a server that does everything right has nothing against it', async () => {
  const report = await loadOf((request, socket) => socket.write(reply(bytesOf(request))), { kinds: ['keep-alive'] })
  expect(report).toMatchObject({ requests: 5, ok: 5, failed: 0, releasesSeen: ['r1'], opened: 1, endedBy: 'count' })
})

test('a body that is cut off is caught, with the bytes that came', async () => {
  const report = await loadOf((request, socket) => {
    const whole = reply(bytesOf(request))
    if (request.index === 2) socket.end(whole.subarray(0, whole.length - 1))
    else socket.write(whole)
  }, { kinds: ['keep-alive'] })
  expect(report).toMatchObject({ ok: 4, failed: 1 })
  expect(codes(report)).toEqual(['truncated'])
  expect(report.failures[0]?.examples[0]?.detail).toMatch(/after \d+ bytes/)
})

test('a chunked body without its last chunk is caught', async () => {
  const report = await loadOf((request, socket) => {
    const body = seededBytes(request.query('seed'), request.query('chunks') * request.query('size'))
    const head = `HTTP/1.1 200 OK\r\nx-release: r1\r\ntransfer-encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n`
    socket.end(Buffer.concat([Buffer.from(head), body, Buffer.from('\r\n')]))
  }, { kinds: ['stream'], maxRequests: 1 })
  expect(codes(report)).toEqual(['truncated'])
})

test('a stream that ends in order but short of its bytes, and one with a byte too many, are caught', async () => {
  const report = await loadOf((request, socket) => {
    const body = seededBytes(request.query('seed'), request.query('chunks') * request.query('size'))
    // A stream has at least four bytes.
    const sent = request.index === 0 ? body.subarray(0, -1) : Buffer.concat([body, Buffer.from('x')])
    const chunks = `${sent.length.toString(16)}\r\n${sent.toString('latin1')}\r\n`
    socket.write(Buffer.from(`HTTP/1.1 200 OK\r\nx-release: r1\r\ntransfer-encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`, 'latin1'))
  }, { kinds: ['stream'], maxRequests: 2 })
  expect(report.failures).toMatchObject([{ code: 'wrong-length', count: 2 }])
})

test('one wrong byte is caught, and named', async () => {
  const report = await loadOf((request, socket) => {
    const body = Buffer.from(bytesOf(request))
    if (request.index === 3) body[body.length - 1]! ^= 1
    socket.write(reply(body))
  }, { kinds: ['keep-alive'] })
  expect(report).toMatchObject({ ok: 4, failed: 1 })
  expect(codes(report)).toEqual(['wrong-byte'])
  expect(report.failures[0]?.examples[0]?.detail).toMatch(/^byte \d+ is \d+ instead of \d+$/)
})

test('a body that is whole but too short, and one too long, are caught', async () => {
  const report = await loadOf((request, socket) => {
    const body = bytesOf(request)
    socket.write(reply(request.index === 0 ? body.subarray(1) : Buffer.concat([body, Buffer.from('x')])))
  }, { kinds: ['keep-alive'], maxRequests: 2 })
  expect(report.failures).toMatchObject([{ code: 'wrong-length', count: 2 }])
})

test('bytes behind the end of a reply are caught', async () => {
  const report = await loadOf((request, socket) => socket.write(Buffer.concat([reply(bytesOf(request)), Buffer.from('x')])), {
    kinds: ['keep-alive'], maxRequests: 1,
  })
  expect(codes(report)).toEqual(['unexpected-data'])
})

test('a reset instead of a reply is caught', async () => {
  const report = await loadOf((request, socket) => {
    if (request.index === 1) socket.resetAndDestroy()
    else socket.write(reply(bytesOf(request)))
  }, { kinds: ['keep-alive'] })
  expect(report).toMatchObject({ ok: 4, failed: 1 })
  expect(codes(report)).toEqual(['reset'])
})

test('a reset in the middle of a reply is caught', async () => {
  const report = await loadOf((request, socket) => {
    const whole = reply(bytesOf(request))
    if (request.index === 1) socket.write(whole.subarray(0, 30), () => socket.resetAndDestroy())
    else socket.write(whole)
  }, { kinds: ['keep-alive'] })
  expect(report).toMatchObject({ ok: 4, failed: 1 })
  // libuv takes a hang-up that comes with the last data for an end of file and does not read the error behind it, so
  // Node says 'end' for some resets (seen with strace). It is a failure by either name.
  expect(['reset', 'truncated']).toContain(codes(report)[0])
})

test('a connection closed instead of a reply is caught, and the request not sent again', async () => {
  const report = await loadOf((request, socket) => {
    if (request.index === 1) socket.end()
    else socket.write(reply(bytesOf(request)))
  }, { kinds: ['keep-alive'] })
  expect(codes(report)).toEqual(['no-reply'])
  expect(server?.requests).toBe(5)
})

test('a keep-alive connection that is closed while idle loses nothing, and is counted apart', async () => {
  const report = await loadOf((request, socket) => {
    socket.write(reply(bytesOf(request)), () => setImmediate(() => socket.end()))
  }, { kinds: ['keep-alive'], rate: 20, maxRequests: 3 })
  expect(report).toMatchObject({ ok: 3, failed: 0, opened: 3, refused: 0 })
  expect(report.idleClosed).toBeGreaterThanOrEqual(2)
})

test('a refused connection is caught, and counted as such', async () => {
  const port = await freePort()
  const report = await startLoad({ port, connections: 2, kinds: ['keep-alive', 'websocket'], rate: 200, maxRequests: 6 }).finished
  expect(report).toMatchObject({ ok: 0, failed: 6, refused: 6 })
  expect(codes(report)).toEqual(['refused'])
})

test('a reply that never comes is a timeout', async () => {
  const report = await loadOf(() => {}, { kinds: ['keep-alive'], maxRequests: 1, requestTimeoutMs: 100 })
  expect(codes(report)).toEqual(['timeout'])
})

test('what is not answered by the deadline of the stop has failed', async () => {
  server = await fakeServer(() => {})
  const load = startLoad({ port: server.port, connections: 1, kinds: ['keep-alive'], rate: 100, stopTimeoutMs: 100 })
  await expect.poll(() => load.counts().inFlight).toBe(1)
  await expect.poll(() => server?.requests).toBe(1)
  const report = await load.stop()
  expect(report.failures).toMatchObject([{ code: 'timeout', count: 1 }])
})

test('replies of a pipeline in the wrong order are caught', async () => {
  let held: Buffer | null = null
  const report = await loadOf((request, socket) => {
    if (held === null) held = reply(bytesOf(request))
    else {
      socket.write(Buffer.concat([reply(bytesOf(request)), held]))
      held = null
    }
  }, { kinds: ['pipeline'], maxRequests: 1 })
  expect(report.failures).toMatchObject([{ code: 'wrong-order', count: 2 }])
})

test('replies of a pipeline in the right order are ok, both of them', async () => {
  const report = await loadOf((request, socket) => socket.write(reply(bytesOf(request))), { kinds: ['pipeline'], maxRequests: 2 })
  expect(report).toMatchObject({ requests: 4, ok: 4 })
})

test('a reply that names no release is caught', async () => {
  const report = await loadOf((request, socket) => {
    const body = bytesOf(request)
    socket.write(Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n`), body]))
  }, { kinds: ['keep-alive'], maxRequests: 1 })
  expect(codes(report)).toEqual(['no-release'])
})

test('an error status is caught, with the beginning of what the server said', async () => {
  const report = await loadOf((_request, socket) => {
    socket.write('HTTP/1.1 503 Service Unavailable\r\ncontent-length: 10\r\n\r\nno release')
  }, { kinds: ['keep-alive'], maxRequests: 1 })
  expect(report.failures).toMatchObject([{ code: 'wrong-status', examples: [{ status: 503, detail: '503 instead of 200: no release' }] }])
})

test('a wrong answer to a slow upload is caught, and ends the upload', async () => {
  const wrong = createHash('sha256').update('something else').digest('hex')
  const report = await loadOf((_request, socket) => socket.write(reply(`${wrong} 14\n`)), { kinds: ['upload'], maxRequests: 1 })
  expect(report).toMatchObject({ ok: 0, failed: 1 })
  // The pieces are 250 ms apart: it was given up at the first of them, and not after all six.
  expect(report.kinds['upload']?.requests).toBe(1)
  expect(server?.requests).toBe(1)
})

test('an ETag that stands for two bodies is caught in an app of the user\'s own', async () => {
  const report = await loadOf((request, socket) => {
    socket.write(`HTTP/1.1 200 OK\r\netag: "a"\r\ncontent-length: 1\r\n\r\n${request.index === 2 ? 'y' : 'x'}`)
  }, { plainPath: '/page' })
  expect(report).toMatchObject({ ok: 4, failed: 1 })
  expect(codes(report)).toEqual(['wrong-byte'])
})

test('requests that the client breaks off are owed nothing', async () => {
  const report = await loadOf(() => {}, { kinds: ['abort'] })
  expect(report).toMatchObject({ aborted: 5, failed: 0 })
})
