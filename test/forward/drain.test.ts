import { connect } from 'node:net'
import { describe, expect, test } from 'vitest'
import { RawClient, startBackend, startFront, settled, until, type Backend } from './support.ts'

const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'

/** A backend whose replies to /slow wait for `release`. */
async function slowBackend(): Promise<Backend & { release: () => void; held: () => number }> {
  const held: (() => void)[] = []
  const backend = await startBackend((req, res) => {
    req.resume()
    if (req.url?.startsWith('/slow') === true) held.push(() => res.end(`done ${req.url}`))
    else res.end('ok')
  })
  return Object.assign(backend, { release: () => { for (const one of held.splice(0)) one() }, held: () => held.length })
}

describe('drain', () => {
  test('stops accepting, answers what is under way and says Connection: close on it', async () => {
    const backend = await slowBackend()
    const { front, port } = await startFront(backend.port)
    const client = new RawClient(port).send('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n')
    await until('the request upstream', () => backend.held() === 1)
    front.drain()
    const refused = connect(port, '127.0.0.1')
    let code: string | undefined
    refused.on('error', (error: NodeJS.ErrnoException) => { code = error.code })
    await until('a new connection to be refused', () => code === 'ECONNREFUSED')
    backend.release()
    await client.closes()
    expect(client.text).toContain('done /slow')
    expect(client.text).toMatch(/^Connection: close\r$/m)
    await front.drained
    await until('the last connection to be counted out', () => front.connections() === 0)
  })

  test('a request on a connection that was idle is still answered, and ends it', async () => {
    const backend = await startBackend()
    const { front, port } = await startFront(backend.port)
    const client = new RawClient(port).send(get)
    await client.sees('ok')
    expect(client.text).toMatch(/^Connection: keep-alive\r$/m)
    front.drain()
    await client.send(get).closes()
    expect(client.statuses).toEqual([200, 200])
    expect(client.text.match(/^Connection: close\r$/gm)).toHaveLength(1)
    await front.drained
  })

  test('a pipelined pair is answered whole: only the last reply says close', async () => {
    const backend = await slowBackend()
    const { front, port, picker } = await startFront(backend.port)
    const client = new RawClient(port).send('GET /slow1 HTTP/1.1\r\nHost: a\r\n\r\nGET /slow2 HTTP/1.1\r\nHost: a\r\n\r\n')
    await until('both upstream', () => backend.held() === 2)
    front.drain()
    backend.release()
    await client.closes()
    expect(client.error).toBeNull()
    expect(client.statuses).toEqual([200, 200])
    expect(client.text).toContain('done /slow1')
    expect(client.text).toContain('done /slow2')
    expect([...client.text.matchAll(/^Connection: (.*)\r$/gm)].map((match) => match[1])).toEqual(['keep-alive', 'close'])
    expect(picker.ends).toEqual([['complete'], ['complete']])
  })

  test('an idle connection is closed with FIN after its keep-alive time, and a request that crosses it meets no reset', async () => {
    const backend = await startBackend()
    const { front, port, picker } = await startFront(backend.port, { limits: { idleMs: 100 } })
    const client = new RawClient(port, true).send(get)
    await client.sees('ok')
    front.drain()
    await until('FIN', () => client.ended, 6_000)
    for (let n = 0; n < 20; n += 1) {
      client.send(get)
      await new Promise((resolve) => setImmediate(resolve))
    }
    await settled('the client', () => client.socket.writableLength)
    expect(client.error).toBeNull()
    expect(picker.visits).toHaveLength(1)
    client.socket.end()
    await client.closes()
    await front.drained
  })

  test('under keep-alive load no request is lost', async () => {
    const backend = await startBackend((req, res) => { req.on('end', () => res.end('ok')).resume() })
    const fronts = [await startFront(backend.port), await startFront(backend.port)] as const
    const [old, next] = fronts
    let sent = 0
    let answered = 0
    const failures: string[] = []
    let stop = false
    const clients = Array.from({ length: 20 }, async () => {
      let client = new RawClient(old.port)
      let seen = 0
      while (!stop) {
        client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi')
        sent += 1
        await until('a reply', () => client.statuses.length > seen || client.closed)
        if (client.statuses.length === seen) {
          failures.push(client.error?.code ?? 'closed without a reply')
          return
        }
        answered += 1
        seen += 1
        if (!/Connection: close/.test(client.text.slice(client.text.lastIndexOf('HTTP/1.1')))) continue
        client = new RawClient(next.port)
        seen = 0
      }
    })
    await until('load', () => answered > 400)
    old.front.drain()
    await old.front.drained
    const atDrain = answered
    await until('load on the next', () => answered > atDrain + 200)
    stop = true
    await Promise.all(clients)
    expect(failures).toEqual([])
    expect(answered).toBe(sent)
    expect([...old.picker.ends, ...next.picker.ends].every((ends) => ends.length === 1 && ends[0] === 'complete')).toBe(true)
  })
})

test('destroy ends everything at once, and what was in flight is cut', async () => {
  const backend = await slowBackend()
  const { front, port, picker } = await startFront(backend.port)
  const client = new RawClient(port).send('GET /slow HTTP/1.1\r\nHost: a\r\n\r\nGET /slow HTTP/1.1\r\nHost: a\r\n\r\n')
  const idle = new RawClient(port).send(get)
  await until('both upstream', () => backend.held() === 2 && idle.text.includes('ok'))
  expect(front.connections()).toBe(2)
  front.destroy()
  await client.closes()
  await idle.closes()
  await front.drained
  await until('the upstream connections to close', () => backend.sockets.size === 0)
  expect(front.connections()).toBe(0)
  expect(picker.ends).toEqual([['cut'], ['cut'], ['complete']])
})

test('a client that comes and goes a thousand times leaves nothing behind, and no listener too many', async () => {
  const warnings: Error[] = []
  const onWarning = (warning: Error): void => { warnings.push(warning) }
  process.on('warning', onWarning)
  try {
    const backend = await startBackend()
    const { front, port, picker } = await startFront(backend.port)
    const client = new RawClient(port)
    for (let n = 1; n <= 1_000; n += 1) {
      client.text = ''
      client.send(n % 2 === 0 ? get : 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi')
      await client.sees('ok')
      if (n % 10 !== 0) continue
      const other = new RawClient(port).send(get)
      if (n % 20 === 0) await other.sees('ok')
      other.socket.destroy()
    }
    await until('only one client', () => front.connections() === 1)
    await until('all visits to end', () => picker.ends.every((ends) => ends.length === 1))
    expect(backend.sockets.size).toBe(front.idleUpstreams('shop/v1'))
    expect(warnings).toEqual([])
  } finally {
    process.off('warning', onWarning)
  }
})
