import { createHash } from 'node:crypto'
import type { Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { fakeServer, type FakeServer } from './fake-server.ts'
import { startLoad, type Load, type Report } from './load.ts'

let server: FakeServer | null = null

afterEach(async () => {
  await server?.close()
  server = null
})

/** A WebSocket server in a few lines: it shakes hands, and hands every frame of the client (unmasked) to `onFrame`. */
async function loadOf(onFrame: (opcode: number, payload: Buffer, socket: Socket, index: number) => void, maxRequests = 4): Promise<Load> {
  let frames = 0
  server = await fakeServer(({ head }, socket) => {
    const key = /sec-websocket-key: (\S+)/i.exec(head)?.[1] ?? ''
    const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
    socket.removeAllListeners('data')
    let pending: Buffer = Buffer.alloc(0)
    socket.on('data', (chunk) => {
      pending = Buffer.concat([pending, chunk])
      for (let frame = unmasked(pending); frame !== null; frame = unmasked(pending)) {
        pending = pending.subarray(frame.size)
        onFrame(frame.opcode, frame.payload, socket, frames++)
      }
    })
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nx-release: r1\r\nsec-websocket-accept: ${accept}\r\n\r\n`)
  })
  return startLoad({ port: server.port, connections: 1, kinds: ['websocket'], rate: 100, maxRequests, requestTimeoutMs: 2000 })
}

function unmasked(bytes: Buffer): { size: number; opcode: number; payload: Buffer } | null {
  if (bytes.length < 2) return null
  const short = bytes[1]! & 0x7f
  const start = (short < 126 ? 2 : short === 126 ? 4 : 10) + 4
  if (bytes.length < start) return null
  const n = short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2))
  if (bytes.length < start + n) return null
  return { size: start + n, opcode: bytes[0]! & 15, payload: Buffer.from(bytes.subarray(start, start + n).map((byte, i) => byte ^ bytes[start - 4 + (i & 3)]!)) }
}

function frame(opcode: number, payload: Buffer): Buffer {
  const length = payload.length < 126 ? Buffer.from([payload.length]) : Buffer.alloc(payload.length < 65536 ? 3 : 9)
  if (length.length === 3) {
    length[0] = 126
    length.writeUInt16BE(payload.length, 1)
  } else if (length.length === 9) {
    length[0] = 127
    length.writeBigUInt64BE(BigInt(payload.length), 1)
  }
  return Buffer.concat([Buffer.from([0x80 | opcode]), length, payload])
}

const codes = (report: Report): string[] => report.failures.map(({ code }) => code)
const closing = (code: number): Buffer => frame(8, Buffer.from([code >> 8, code & 255]))
const echoAll = (opcode: number, payload: Buffer, socket: Socket): void => {
  socket.write(frame(opcode, payload))
  if (opcode === 8) socket.end()
}

test('an echo that comes back is ok, and so is the whole life of the WebSocket', async () => {
  const report = await (await loadOf(echoAll, 15)).finished
  expect(report.failed).toBe(0)
  expect(report.kinds['websocket']).toMatchObject({ ok: 1 })
  expect(report.kinds['websocket-message']).toMatchObject({ ok: 14 })
  expect(report.kinds['websocket-session']).toMatchObject({ ok: 1 })
})

test('an echo with one wrong byte is caught', async () => {
  const load = await loadOf((opcode, payload, socket, index) => {
    const changed = Buffer.concat([payload, Buffer.from('x')])
    echoAll(opcode, opcode !== 8 && index === 1 ? changed : payload, socket)
  })
  const report = await load.finished
  expect(codes(report)).toEqual(['wrong-byte'])
})

test('a WebSocket dropped abruptly is a failure, of the message and of the session', async () => {
  const load = await loadOf((opcode, payload, socket, index) => {
    if (index === 1) socket.end()
    else echoAll(opcode, payload, socket)
  })
  const report = await load.finished
  expect(report.failures).toMatchObject([{ code: 'websocket-dropped', count: 2 }])
})

test('a WebSocket dropped while nothing is outstanding is a failure all the same', async () => {
  const load = await loadOf((opcode, payload, socket, index) => {
    echoAll(opcode, payload, socket)
    if (index === 0) setImmediate(() => socket.resetAndDestroy())
  }, 2)
  const report = await load.finished
  expect(codes(report)).toEqual(['websocket-dropped'])
  expect(report.kinds['websocket-session']).toMatchObject({ failed: 1 })
})

test('close frame 1001 is an orderly end, after which the client connects again', async () => {
  const load = await loadOf((opcode, payload, socket, index) => {
    if (index === 1) socket.write(closing(1001))
    else if (opcode === 8) socket.end()
    else echoAll(opcode, payload, socket)
  }, 5)
  const report = await load.finished
  expect(report.failed).toBe(0)
  expect(report.kinds['websocket-session']).toMatchObject({ ended: 1, ok: 1 })
  expect(report.kinds['websocket-message']).toMatchObject({ ended: 1 })
  expect(report.kinds['websocket']).toMatchObject({ ok: 2 })
})

test('another close code than 1000 and 1001 is a failure', async () => {
  const load = await loadOf((opcode, payload, socket, index) => {
    if (index === 1) socket.write(closing(1011))
    else echoAll(opcode, payload, socket)
  }, 3)
  expect(codes(await load.finished)).toEqual(['websocket-closed'])
})

test('a handshake that does not prove that the server read the key is a failure', async () => {
  server = await fakeServer((_request, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nx-release: r1\r\nsec-websocket-accept: x\r\n\r\n')
  })
  const report = await startLoad({ port: server.port, connections: 1, kinds: ['websocket'], rate: 100, maxRequests: 1 }).finished
  expect(codes(report)).toEqual(['wrong-header'])
})
