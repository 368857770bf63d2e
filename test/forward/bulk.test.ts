import { spawn, type ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { createInterface, type Interface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { RawClient, startBackend, startFront, startRawBackend, until } from './support.ts'

const megabyte = 1024 * 1024

/** Both far ends in another process, so that this one's memory is the front's. */
async function startEnds(): Promise<{ child: ChildProcess; lines: Interface; port: number }> {
  const child = spawn(process.execPath, [fileURLToPath(new URL('../apps/forward-bulk.mjs', import.meta.url))], { stdio: ['pipe', 'pipe', 'inherit'] })
  onTestFinished(() => { child.kill('SIGKILL') })
  const lines = createInterface({ input: child.stdout })
  const [first] = await once(lines, 'line') as [string]
  return { child, lines, port: (JSON.parse(first) as { port: number }).port }
}

function expectedDigest(bytes: number): string {
  const block = Buffer.alloc(65_536, 'gracer-bulk')
  const hash = createHash('sha256')
  for (let sent = 0; sent < bytes; sent += block.length) hash.update(block)
  return hash.digest('hex')
}

test.each([
  ['an upload of 256 MB', true, 0],
  ['a download of 256 MB', false, 0],
  ['a download of 256 MB by a reader slower than the backend', false, 4 * megabyte],
])('%s arrives whole, in constant memory', async (_title, upload, pauseEvery) => {
  const bytes = 256 * megabyte
  const ends = await startEnds()
  const { port, picker } = await startFront(ends.port)
  const before = process.memoryUsage().rss
  let peak = before
  const sampling = setInterval(() => { peak = Math.max(peak, process.memoryUsage().rss) }, 5)
  try {
    const line = once(ends.lines, 'line') as Promise<[string]>
    ends.child.stdin?.write(`${JSON.stringify({ port, upload, bytes, pauseEvery })}\n`)
    const [result] = await line
    expect(JSON.parse(result)).toEqual({ bytes, sha256: expectedDigest(bytes) })
  } finally {
    clearInterval(sampling)
  }
  expect((peak - before) / megabyte).toBeLessThan(112)
  await until('the visit to end', () => picker.visit.ends.length === 1)
  expect(picker.ends).toEqual([['complete']])
}, 60_000)

test('an upload that its backend does not read is held back at the client', async () => {
  const size = 64 * megabyte
  const sockets: Socket[] = []
  const backend = await startRawBackend((socket) => { socket.pause(); sockets.push(socket) })
  const { port } = await startFront(backend.port)
  const client = new RawClient(port).send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`)
  client.socket.write(Buffer.alloc(size))
  await until('the upstream connection', () => sockets.length === 1)
  let before = -1
  await until('the client to be held back', () => { const now = client.socket.writableLength; const same = now === before; before = now; return same })
  expect(client.socket.writableLength).toBe(size) // the one write is not through
  const upstream = sockets[0] as Socket
  let received = 0
  upstream.on('data', (chunk: Buffer) => {
    received += chunk.length
    if (received > size) upstream.write('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nall')
  })
  upstream.resume()
  await client.sees('all', 20_000)
}, 40_000)

test('a client that sends a byte at a time is served', async () => {
  const backend = await startBackend()
  const { port } = await startFront(backend.port)
  const client = new RawClient(port)
  for (const byte of 'POST /slowly HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n') {
    client.send(byte)
    await new Promise((resolve) => setImmediate(resolve))
  }
  await client.sees('ok')
  expect(backend.seen.map(({ url, body }) => [url, body])).toEqual([['/slowly', 'abc']])
})
