import { describe, expect, test } from 'vitest'
import { once } from 'node:events'
import { connect } from 'node:net'
import { UpstreamPool, type Upstream } from '../../proxy/forward/upstream-pool.ts'
import { answering, RawClient, startBackend, startFront, startRawBackend, until } from './support.ts'

const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
const post = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi'
const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

describe('the pool', () => {
  async function pooled(keepAliveMs: number | null): Promise<{ pool: UpstreamPool; upstream: Upstream; clock: { now: number } }> {
    const clock = { now: 1_000_000 }
    const backend = await startRawBackend((socket) => { socket.resume() })
    const socket = connect(backend.port, '127.0.0.1')
    socket.on('error', () => {})
    await once(socket, 'connect')
    const pool = new UpstreamPool(() => clock.now)
    const upstream = pool.adopt(socket, 'shop/v1')
    upstream.keepAliveMs = keepAliveMs
    upstream.idle = false
    pool.put(upstream)
    return { pool, upstream, clock }
  }

  // hint, ms after which a GET finds none, ms after which a POST finds none
  test.each([[null, 4_000, 1_000], [5_000, 4_000, 1_000], [60_000, 59_000, 1_000], [2_000, 1_000, 1_000], [1_000, 500, 500]])(
    'with a hint of %s ms a connection serves anything up to %s ms, and what may not be repeated up to %s ms', async (hint, loose, strict) => {
      for (const [limit, isStrict] of [[loose, false], [strict, true]] as const) {
        const before = await pooled(hint)
        before.clock.now += limit - 1
        expect(before.pool.take('shop/v1', isStrict)).toBe(before.upstream)
        const after = await pooled(hint)
        after.clock.now += limit
        expect(after.pool.take('shop/v1', isStrict)).toBeNull()
      }
    })

  test('a hint of 0 keeps nothing', async () => {
    const { pool, upstream } = await pooled(0)
    expect(pool.count('shop/v1')).toBe(0)
    expect(upstream.socket.destroyed).toBe(true)
  })

  test('what has grown old is closed without being asked for', async () => {
    const { pool, upstream, clock } = await pooled(null)
    clock.now += 4_000
    await until('the sweep', () => upstream.socket.destroyed)
    expect(pool.count('shop/v1')).toBe(0)
  })

  test('the upstream\'s FIN takes a connection out at once', async () => {
    const backend = await startRawBackend((socket) => { socket.resume() })
    const socket = connect({ port: backend.port, host: '127.0.0.1', allowHalfOpen: true })
    socket.on('error', () => {})
    await once(socket, 'connect')
    const pool = new UpstreamPool()
    pool.put(pool.adopt(socket, 'shop/v1'))
    expect(pool.count('shop/v1')).toBe(1)
    for (const peer of backend.sockets) peer.end()
    await until('the connection to go', () => pool.count('shop/v1') === 0, 1_000)
    expect(socket.destroyed).toBe(true)
  })
})

describe('the front', () => {
  test('retire destroys idle connections at once and busy ones when they become idle; revive takes it back', async () => {
    const held: (() => void)[] = []
    const backend = await startBackend((req, res) => {
      req.resume()
      if (req.url === '/slow') held.push(() => res.end('slow'))
      else res.end('ok')
    })
    const { front, port } = await startFront(backend.port)
    const slow = new RawClient(port).send('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n')
    await until('the slow request', () => held.length === 1)
    const client = new RawClient(port).send(get)
    await client.sees('ok')
    await until('an idle connection', () => front.idleUpstreams('shop/v1') === 1)
    front.retire('shop/v1')
    expect(front.idleUpstreams('shop/v1')).toBe(0)
    await until('the idle connection to close', () => backend.sockets.size === 1)
    held[0]?.()
    await slow.sees('slow')
    await until('the busy connection to close', () => backend.sockets.size === 0, 1_000)
    front.revive('shop/v1')
    client.send(get)
    await until('an idle connection again', () => front.idleUpstreams('shop/v1') === 1)
  })

  test('a connection whose upstream says `Connection: close` is not kept', async () => {
    const upstream = await startRawBackend(answering('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok', (socket) => socket.end()))
    const { front, port } = await startFront(upstream.port)
    const client = new RawClient(port).send(get)
    await client.sees('ok')
    await until('the upstream connection to close', () => upstream.sockets.size === 0)
    expect(front.idleUpstreams('shop/v1')).toBe(0)
  })

  test('a POST does not take a connection that a GET still takes', async () => {
    const upstream = await startRawBackend(answering(ok))
    const { front, port } = await startFront(upstream.port)
    const client = new RawClient(port).send(get)
    await client.sees('ok')
    await until('an idle connection', () => front.idleUpstreams('shop/v1') === 1)
    const since = performance.now()
    await until('it to be idle for a second', () => performance.now() - since > 1_050)
    client.send(post)
    await until('the second reply', () => client.statuses.length === 2)
    expect(upstream.sockets.size).toBe(2)
    await until('two idle connections', () => front.idleUpstreams('shop/v1') === 2)
    client.send(get)
    await until('the third reply', () => client.statuses.length === 3)
    expect(upstream.sockets.size).toBe(2)
  })

  test('80 clients that POST a second apart to a backend that closes idle connections after 1 s: none fails', async () => {
    const backend = await startBackend()
    backend.server.keepAliveTimeout = 1_000
    Object.assign(backend.server, { keepAliveTimeoutBuffer: 0 })
    const { port, picker } = await startFront(backend.port)
    const rounds = 6
    await Promise.all(Array.from({ length: 80 }, async (_, n) => {
      const client = new RawClient(port)
      await new Promise((resolve) => setTimeout(resolve, n * 12))
      for (let round = 1; round <= rounds; round += 1) {
        const due = performance.now() + 1_000
        client.send(post)
        await until('a reply', () => client.statuses.length === round)
        await until('the next second', () => performance.now() >= due)
      }
      expect(client.statuses).toEqual(Array.from({ length: rounds }, () => 200))
    }))
    expect(picker.ends.filter((ends) => ends[0] !== 'complete')).toEqual([])
    expect(picker.visits).toHaveLength(80 * rounds)
  }, 20_000)
})
