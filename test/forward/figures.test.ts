import { describe, expect, test } from 'vitest'
import { answering, closedPort, RawClient, startBackend, startFront, startRawBackend, target, until } from './support.ts'

const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'

describe('what a visit is told', () => {
  test('bytes: exactly what the release has read and written, request by request over one connection', async () => {
    const replies = ['HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n', 'HTTP/1.1 204 No Content\r\n\r\n']
    const got: number[] = []
    const upstream = await startRawBackend((socket) => {
      let text = ''
      socket.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1')
        const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0)
        const end = text.indexOf('\r\n\r\n')
        if (end === -1 || text.length < end + 4 + length) return
        socket.write(replies[got.length] ?? '', 'latin1')
        got.push(text.length)
        text = ''
      })
    })
    const { port, picker } = await startFront(upstream.port)
    const client = new RawClient(port).send(get)
    await client.sees('hello')
    client.send('POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabcdef')
    await client.sees('abc')
    client.send('GET /last HTTP/1.1\r\nHost: a\r\n\r\n')
    await client.sees('204 No Content')
    await until('three visits to end', () => picker.ends.flat().length === 3)
    expect(upstream.sockets.size).toBe(1)
    expect(picker.visits.map((visit) => visit.moves)).toEqual(replies.map((reply, index) => [[got[index], reply.length]]))
  })

  test('bytes of a request whose client went away before any reply', async () => {
    const upstream = await startRawBackend((socket) => { socket.resume() })
    const { port, picker } = await startFront(upstream.port)
    const client = new RawClient(port).send(get)
    await until('the request at the upstream', () => [...upstream.sockets].some((socket) => socket.bytesRead > 0))
    const sent = [...upstream.sockets][0]?.bytesRead
    client.socket.destroy()
    await until('the end', () => picker.ends.flat().length === 1)
    expect(picker.visit.moves).toEqual([[sent, 0]])
  })

  test('what the release did wrong, once for each visit', async () => {
    const closed = await closedPort()
    const reset = await startRawBackend((socket) => socket.once('data', () => socket.destroy()))
    const bad = await startRawBackend(answering('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx'))
    const half = await startRawBackend(answering('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx', (socket) => setImmediate(() => socket.destroy())))
    for (const [to, failures] of [[reset.port, [['reset']]], [bad.port, [['bad-reply']]], [half.port, [['bad-reply']]]] as const) {
      const { port, picker } = await startFront(to)
      new RawClient(port).send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n')
      await until('the end', () => picker.ends.flat().includes('lost'))
      expect(picker.visits.map((visit) => visit.failures)).toEqual(failures)
    }
    const backend = await startBackend()
    let first = true
    const { port, picker } = await startFront(() => {
      const to = first ? closed : backend.port
      first = false
      return target(to)
    })
    await new RawClient(port).send(get).sees('ok')
    expect(picker.visits.map((visit) => visit.failures)).toEqual([['dial'], []])
  })

  test('replies of the front itself are counted by their code', async () => {
    const refused: string[] = []
    const { port } = await startFront(() => ({ status: 503, code: 'hold-full', reason: 'Full.', retryAfterSeconds: 5 }), { refused: (service, code) => refused.push(`${service}/${code}`) })
    await new RawClient(port).send(get).sees('503')
    await new RawClient(port).send('GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n').sees('400')
    await new RawClient(port).send('GET / HTTP/1.1\r\nHost : a\r\n\r\n').sees('400')
    expect(refused[0]).toBe('default/hold-full')
    expect(refused.slice(1).every((one) => one.startsWith('/'))).toBe(true)
    expect(refused).toHaveLength(3)
  })
})
