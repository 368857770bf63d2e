import { once } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import net from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'

import { bindWithoutAccepting } from '../../inherit/bare-socket.ts'
import { softDrain } from '../../inherit/soft-drain.ts'
import { trackConnections } from '../../inherit/track-connections.ts'
import { cleanUp, onCleanUp, request, startApp, until } from './support.ts'

afterEach(cleanUp)

interface Started {
  readonly server: http.Server
  readonly port: number
}

async function start(handler: http.RequestListener, settings: Partial<http.Server> = {}, tracked = true): Promise<Started> {
  const server = Object.assign(http.createServer(handler), { keepAliveTimeout: 200, ...settings })
  server.on('error', () => {})
  if (tracked) trackConnections(server)
  return { server, port: await listening(server) }
}

async function listening(server: net.Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onCleanUp(() => void (server.listening && server.close()))
  return (server.address() as net.AddressInfo).port
}

interface Client {
  readonly socket: net.Socket
  received(): string
  send(text: string): void
  /** Waits until what came contains the text. */
  sees(text: string): Promise<void>
  readonly closed: Promise<void>
}

async function connect(port: number): Promise<Client> {
  const socket = net.connect(port, '127.0.0.1')
  let text = ''
  let failure = ''
  socket.on('error', (error: NodeJS.ErrnoException) => (failure = error.code ?? ''))
  socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
  const closed = once(socket, 'close').then(() => {})
  await once(socket, 'connect')
  onCleanUp(() => socket.destroy())
  const received = (): string => text + failure
  return { socket, received, send: (out) => socket.write(out), closed, sees: async (wanted) => void (await until(`"${wanted}" in "${text}"`, () => received().includes(wanted))) }
}

const getRequest = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'

/** A handler whose replies wait for `release()`. */
function gate(): { handler: http.RequestListener; release(): void; readonly waiting: number } {
  const waiting: http.ServerResponse[] = []
  return {
    handler: (_request, response) => void waiting.push(response),
    release: () => {
      for (const response of waiting.splice(0)) response.end('late')
    },
    get waiting() {
      return waiting.length
    },
  }
}

describe('softDrain under load', () => {
  test('twelve hand-overs under keep-alive POST clients lose no request and reset no connection', async () => {
    const command = [process.execPath, 'inherit-library.mjs']
    const { fd, port, close } = bindWithoutAccepting('127.0.0.1', 0)
    onCleanUp(close)
    let app = await startApp({ command, fds: [fd] })
    await app.notice('READY')
    let running = true
    const failures: string[] = []
    let answered = 0
    const clients = Array.from({ length: 8 }, async () => {
      const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
      while (running) {
        try {
          const reply = await request({ host: '127.0.0.1', port, method: 'POST', agent, headers: { 'content-length': 5 } }, 'hello')
          if (reply.status !== 200 || !reply.body.includes('"size":5')) failures.push(`${reply.status} ${reply.body}`)
          answered++
        } catch (error) {
          failures.push(String(error))
        }
      }
      agent.destroy()
    })
    const reports: { finished: number; cut: number }[] = []
    for (let i = 0; i < 12; i++) {
      const seen = answered
      await until('some load', () => answered > seen + 100)
      const old = app
      const next = await startApp({ command, fds: [fd] })
      await next.notice('READY')
      app = next
      process.kill(old.pid, 'SIGTERM')
      await once(old.child, 'exit')
      reports.push(JSON.parse(old.log().trim().split('\n').at(-1) ?? '') as { finished: number; cut: number })
    }
    running = false
    await Promise.all(clients)
    expect(failures).toEqual([])
    expect(answered).toBeGreaterThan(1_200)
    expect(reports.map((report) => report.cut)).toEqual(Array(12).fill(0))
  }, 60_000)

  test('what arrives on an idle keep-alive connection in the moment of the drain is answered', async () => {
    // http.Server.close() destroys this connection and the request in its buffer with it.
    const { server, port } = await start((_request, response) => response.end('answered'))
    const client = await connect(port)
    client.send(getRequest)
    await client.sees('answered')
    client.send(getRequest)
    const report = await softDrain(server, { timeoutMs: 5_000 })
    await client.closed
    expect(client.received().match(/answered/g)?.length).toBe(2)
    expect(client.received()).toMatch(/Connection: close[^]*answered$/)
    expect(report).toMatchObject({ finished: 1, cut: 0, idle: 0 })
  })
})

describe('softDrain', () => {
  test('refuses new connections at once, and a server without any is drained at once', async () => {
    const { server, port } = await start((_request, response) => response.end())
    const report = await softDrain(server, { timeoutMs: 5_000 })
    expect(report).toMatchObject({ finished: 0, cut: 0, upgraded: 0, idle: 0 })
    expect(report.milliseconds).toBeLessThan(1_000)
    await expect(request({ host: '127.0.0.1', port })).rejects.toThrow('ECONNREFUSED')
  })

  test('a request in flight is finished, and its reply says Connection: close', async () => {
    const { handler, release, ...state } = gate()
    void state
    let waiting = 0
    const { server, port } = await start((incoming, response) => {
      waiting++
      handler(incoming, response)
    })
    const client = await connect(port)
    client.send(getRequest)
    await until('the request', () => waiting === 1)
    const drain = softDrain(server, { timeoutMs: 5_000 })
    release()
    expect(await drain).toMatchObject({ finished: 1, cut: 0 })
    await client.closed
    expect(client.received()).toMatch(/^HTTP\/1.1 200 OK\r\n[^]*Connection: close\r\n[^]*late$/)
  })

  test.each<[string, http.RequestListener]>([
    ['setHeader', (_request, response) => response.setHeader('Connection', 'keep-alive').end('x')],
    ['writeHead with an object', (_request, response) => response.writeHead(200, { connection: 'keep-alive', 'x-own': '1' }).end('x')],
    ['writeHead with a message and a list', (_request, response) => response.writeHead(200, 'Fine', ['CONNECTION', 'keep-alive', 'x-own', '1', 'set-cookie', 'a', 'set-cookie', 'b'] as unknown as http.OutgoingHttpHeaders).end('x')],
    ['setHeader before a list', (_request, response) => void (response.setHeader('Connection', 'keep-alive'), response.writeHead(200, ['x-own', '1'] as unknown as http.OutgoingHttpHeaders).end('x'))],
    ['nothing, and a body in pieces', (_request, response) => void (response.write('a'), response.end('x'))],
  ])('a program that says keep-alive through %s is overruled', async (_how, handler) => {
    const { server, port } = await start(handler)
    const client = await connect(port)
    const drain = softDrain(server, { timeoutMs: 5_000 })
    client.send(getRequest)
    await client.closed
    const head = client.received().split('\r\n\r\n')[0] ?? ''
    expect(head.match(/connection: .*/gi)).toEqual(['Connection: close'])
    if (head.includes('Fine')) expect(head.match(/set-cookie: ./g)).toEqual(['set-cookie: a', 'set-cookie: b'])
    if (!head.includes('chunked') && head.includes('x-own')) expect(head).toContain('x-own: 1')
    expect(await drain).toMatchObject({ finished: 1, cut: 0 })
  })

  test('a pipelined pair is answered twice, although the first reply is made at once', async () => {
    let number = 0
    const { server, port } = await start((_request, response) => response.end(`reply ${++number}`))
    const client = await connect(port)
    const drain = softDrain(server, { timeoutMs: 5_000 })
    client.send(getRequest + getRequest + getRequest)
    await client.closed
    expect(client.received().match(/reply \d/g)).toEqual(['reply 1', 'reply 2', 'reply 3'])
    expect(client.received().match(/Connection: close/g)?.length).toBe(1)
    expect(await drain).toMatchObject({ finished: 3, cut: 0 })
  })

  test('an upload under way is received to its end', async () => {
    const { server, port } = await start((incoming, response) => {
      let size = 0
      incoming.on('data', (chunk: Buffer) => (size += chunk.length))
      incoming.on('end', () => response.end(`got ${size}`))
    })
    const client = await connect(port)
    client.send('POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n')
    await until('the request', () => trackConnections(server).connections.values().next().value?.requests.size === 1)
    const drain = softDrain(server, { timeoutMs: 5_000 })
    client.send('2\r\nde\r\n0\r\n\r\n')
    await client.sees('got 5')
    expect(await drain).toMatchObject({ finished: 1, cut: 0 })
  })

  test('an idle client that never sends again holds it no longer than the keep-alive timeout', async () => {
    const { server, port } = await start((_request, response) => response.end('first'))
    const client = await connect(port)
    client.send(getRequest)
    await client.sees('first')
    const report = await softDrain(server, { timeoutMs: 20_000 })
    expect(report).toMatchObject({ finished: 0, cut: 0, idle: 0 })
    expect(report.milliseconds).toBeLessThan(4_000)
  })

  test.each([['limited', 200], ['unlimited', 0]])('a client that never sent a byte does not hold it (keep-alive %s)', async (_what, keepAliveTimeout) => {
    const { server, port } = await start((_request, response) => response.end(), { keepAliveTimeout })
    const silent = await connect(port)
    await until('the connection', () => trackConnections(server).connections.size === 1)
    const report = await softDrain(server, { timeoutMs: 20_000 })
    await silent.closed
    expect(report).toMatchObject({ cut: 0, idle: 0 })
    expect(report.milliseconds).toBeLessThan(keepAliveTimeout === 0 ? 9_000 : 4_000)
  })

  test('half a request head is not mistaken for idle: headersTimeout still ends it, with 408', async () => {
    const server = Object.assign(http.createServer({ connectionsCheckingInterval: 50 }, (_request, response) => response.end()), { headersTimeout: 1_700, keepAliveTimeout: 100 })
    server.on('error', () => {})
    trackConnections(server)
    const port = await listening(server)
    const slow = await connect(port)
    slow.send('GET / HTTP/1.1\r\nHo')
    await until('the bytes', () => trackConnections(server).connections.values().next().value?.socket.bytesRead === 18)
    const report = await softDrain(server, { timeoutMs: 20_000 })
    await slow.closed
    expect(slow.received()).toContain('408')
    expect(report.milliseconds).toBeGreaterThan(1_200)
    expect(report).toMatchObject({ cut: 0 })
  })

  test('the deadline destroys the rest and tells requests, upgraded and idle connections apart', async () => {
    const { handler } = gate()
    const { server, port } = await start(handler, { keepAliveTimeout: 60_000 })
    server.on('upgrade', (_request, socket) => {
      socket.on('error', () => {})
      socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n')
    })
    const [inFlight, upgraded, idle, half] = [await connect(port), await connect(port), await connect(port), await connect(port)]
    inFlight.send(getRequest)
    half.send('GET / HT')
    upgraded.send('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    await upgraded.sees('101')
    const tracker = trackConnections(server)
    await until('all four', () => [...tracker.connections.values()].filter((connection) => connection.socket.bytesRead > 0).length === 3 && tracker.connections.size === 4)
    const report = await softDrain(server, { timeoutMs: 150 })
    await Promise.all([inFlight.closed, upgraded.closed, idle.closed, half.closed])
    expect(report).toMatchObject({ finished: 0, cut: 3, upgraded: 1, idle: 1 })
    expect(report.milliseconds).toBeGreaterThanOrEqual(150)
    expect(report.milliseconds).toBeLessThan(3_000)
    expect(tracker.connections.size).toBe(0)
  })

  test('an upgraded connection that its program ends in time is not cut', async () => {
    const { server, port } = await start((_request, response) => response.end())
    const closing: (() => void)[] = []
    server.on('upgrade', (_request, socket) => {
      socket.on('error', () => {})
      socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n')
      closing.push(() => socket.end('bye'))
    })
    const client = await connect(port)
    client.send('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n')
    await client.sees('101')
    const drain = softDrain(server, { timeoutMs: 10_000 })
    for (const close of closing) close()
    await client.closed
    expect(client.received()).toContain('bye')
    expect(await drain).toMatchObject({ upgraded: 1, cut: 0 })
  })

  test('an abort brings the deadline forward', async () => {
    const { server, port } = await start(gate().handler)
    const client = await connect(port)
    client.send(getRequest)
    await until('the request', () => trackConnections(server).connections.values().next().value?.requests.size === 1)
    const controller = new AbortController()
    const drain = softDrain(server, { timeoutMs: 60_000, signal: controller.signal })
    controller.abort()
    expect(await drain).toMatchObject({ cut: 1 })
    await client.closed
  })

  test('a call meanwhile gets the same drain, and a server that is started again serves as before', async () => {
    const { server, port } = await start((_request, response) => response.end('x'))
    const drain = softDrain(server, { timeoutMs: 1_000 })
    expect(softDrain(server, { timeoutMs: 1_000 })).toBe(drain)
    await drain
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    const reply = await request({ host: '127.0.0.1', port, agent: new http.Agent({ keepAlive: true }) })
    expect(reply.headers.connection).toBe('keep-alive')
    expect(await softDrain(server, { timeoutMs: 5_000 })).toMatchObject({ cut: 0 })
  })

  test('tracking changes nothing: without a listener an upgrade is still an ordinary request', async () => {
    const { port } = await start((incoming, response) => response.end(`${incoming.headers.upgrade ?? ''} as usual`))
    const client = await connect(port)
    client.send('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n')
    await client.sees('as usual')
  })
})

describe('a server that was not tracked from the start', () => {
  test('is drained all the same: the reply under way is finished, the upgraded connection found and cut', async () => {
    const { handler, release } = gate()
    let waiting = 0
    const { server, port } = await start((incoming, response) => {
      waiting++
      handler(incoming, response)
    }, {}, false)
    server.on('upgrade', (_request, socket) => {
      socket.on('error', () => {})
      socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n')
    })
    const [inFlight, upgraded] = [await connect(port), await connect(port)]
    inFlight.send(getRequest)
    upgraded.send('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n')
    await upgraded.sees('101')
    await until('the request', () => waiting === 1)
    const drain = softDrain(server, { timeoutMs: 500 })
    release()
    await inFlight.sees('late')
    expect(inFlight.received()).toContain('Connection: close')
    expect(await drain).toMatchObject({ finished: 1, upgraded: 1, cut: 1 })
    await upgraded.closed
  })
})

describe('other servers', () => {
  test('a plain TCP server is drained when its connections have ended by themselves, the rest is cut', async () => {
    const server = net.createServer((socket) => void socket.on('error', () => {}).write('hi'))
    server.on('error', () => {})
    trackConnections(server)
    const port = await listening(server)
    const [polite, stubborn] = [await connect(port), await connect(port)]
    await Promise.all([polite.sees('hi'), stubborn.sees('hi')])
    const drain = softDrain(server, { timeoutMs: 300 })
    polite.socket.end()
    expect(await drain).toMatchObject({ finished: 1, cut: 1 })
    await stubborn.closed
  })

  test('an http2 session finishes its streams and is then closed', async () => {
    const waiting: http2.ServerHttp2Stream[] = []
    const server = http2.createServer()
    server.on('error', () => {})
    server.on('stream', (stream) => {
      stream.on('error', () => {})
      waiting.push(stream)
    })
    trackConnections(server)
    const port = await listening(server)
    const session = http2.connect(`http://127.0.0.1:${port}`)
    session.on('error', () => {})
    onCleanUp(() => session.destroy())
    const stream = session.request({ ':path': '/' })
    stream.on('error', () => {})
    let body = ''
    stream.on('data', (chunk: Buffer) => (body += chunk.toString()))
    await until('the stream', () => waiting.length === 1)
    const drain = softDrain(server, { timeoutMs: 10_000 })
    for (const open of waiting) {
      open.respond({ ':status': 200 })
      open.end('late')
    }
    const report = await drain
    expect(report).toMatchObject({ finished: 1, cut: 0 })
    expect(report.milliseconds).toBeLessThan(5_000)
    await until('the body', () => body === 'late')
  })

  test('an http2 stream that does not end is cut, and counted once', async () => {
    const server = http2.createServer()
    server.on('error', () => {})
    let streams = 0
    server.on('stream', (stream) => {
      stream.on('error', () => {})
      streams++
    })
    trackConnections(server)
    const port = await listening(server)
    const session = http2.connect(`http://127.0.0.1:${port}`)
    session.on('error', () => {})
    onCleanUp(() => session.destroy())
    session.request({ ':path': '/' }).on('error', () => {})
    await until('the stream', () => streams === 1)
    expect(await softDrain(server, { timeoutMs: 100 })).toMatchObject({ finished: 0, cut: 1 })
  })
})
