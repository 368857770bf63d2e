import fc from 'fast-check'
import { expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import type { AddressInfo } from 'node:net'
import { Fault } from './failure.ts'
import { startLoad } from './load.ts'
import { FrameReader, maskedFrame, opcodes, type Message } from './websocket-frames.ts'

function read(chunks: readonly Buffer[]): Message[] {
  const messages: Message[] = []
  const reader = new FrameReader((message) => messages.push(message))
  for (const chunk of chunks) reader.feed(chunk)
  return messages
}

test('fragments are put together, with a ping between them, however the bytes are cut', () => {
  const whole = Buffer.from('01026162' + '890178' + '000163' + '800164' + '8200', 'hex')
  const expected = [[opcodes.ping, 'x'], [opcodes.text, 'abcd'], [opcodes.binary, '']]
  fc.assert(fc.property(fc.array(fc.nat(whole.length), { maxLength: 8 }), (cuts) => {
    const edges = [0, ...cuts.sort((a, b) => a - b), whole.length]
    const messages = read(edges.slice(1).map((edge, i) => whole.subarray(edges[i], edge)))
    expect(messages.map(({ opcode, payload }) => [opcode, payload.toString()])).toEqual(expected)
  }))
})

test.each([
  ['a masked frame', '8181000000000a'],
  ['a reserved bit', 'c10161'],
  ['a fragmented ping', '090161'],
  ['a ping of 126 bytes', '897e007e'],
  ['a continuation of nothing', '800161'],
  ['a new message within another', '010161810162'],
  ['an opcode that means nothing', '830161'],
  ['a frame of a terabyte', '827f0000010000000000'],
])('%s from the server is malformed', (_what, hex) => {
  expect(() => read([Buffer.from(hex, 'hex')])).toThrow(Fault)
})

test('the frames that the client writes are those of another implementation: the ws package reads and echoes them', async () => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  server.on('headers', (headers) => headers.push('x-release: r1'))
  server.on('connection', (socket) => {
    socket.on('error', () => socket.terminate())
    socket.on('message', (data, binary) => socket.send(data, { binary }))
  })
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  const report = await startLoad({ port, connections: 4, kinds: ['websocket'], rate: 400, maxRequests: 200 }).finished
  for (const client of server.clients) if (client.readyState !== WebSocket.CLOSED) client.terminate()
  await new Promise((resolve) => server.close(resolve))
  expect(report.failed).toBe(0)
  expect(report.kinds['websocket-message']?.ok).toBeGreaterThan(150)
})

test('a frame has the shortest form that its length allows', () => {
  const sizes = [0, 125, 126, 65_535, 65_536].map((size) => maskedFrame(opcodes.binary, Buffer.alloc(size), Buffer.from('mask')).length - size)
  expect(sizes).toEqual([6, 6, 8, 8, 14])
})
