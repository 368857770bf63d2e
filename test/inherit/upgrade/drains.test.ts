import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'

import { until } from '../../support/deadline.ts'
import { cleanUp } from '../support.ts'
import { connect, start, upgraded } from './support.ts'

afterEach(cleanUp)

const head = 'Host: x\r\n'

/** So that no idle connection ends by itself meanwhile. */
const patient = (folder: string): void => writeFileSync(join(folder, 'behaviour.json'), '{"keepAliveTimeoutMs":60000}')

/** One of each: nothing sent, half a head, a WebSocket, a streaming reply, an upload that waits, an idle keep-alive. */
async function oneOfEach(port: number): Promise<Record<'mute' | 'half' | 'websocket' | 'stream' | 'upload' | 'idle', Awaited<ReturnType<typeof connect>>>> {
  const open = (): ReturnType<typeof connect> => connect({ port, host: '127.0.0.1' })
  const all = { mute: await open(), half: await open(), websocket: await open(), stream: await open(), upload: await open(), idle: await open() }
  all.half.socket.write('GET / HTTP/1.1\r\nHo')
  all.websocket.socket.write(`GET /ws HTTP/1.1\r\n${head}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n`)
  await all.websocket.sees('101 Switching')
  // A chunk every 100 ms, 600 of them: it does not end within any deadline here.
  all.stream.socket.write(`GET /stream?chunks=600&ms=100&size=10 HTTP/1.1\r\n${head}\r\n`)
  await all.stream.sees('200 OK')
  all.upload.socket.write(`POST /digest HTTP/1.1\r\n${head}Content-Length: 5\r\n\r\nhel`)
  all.idle.socket.write(`GET / HTTP/1.1\r\n${head}\r\n`)
  await all.idle.sees('release r1')
  return all
}

test('after an upgrade the drain ends at its deadline with exit code 0, and its report counts each connection as what it was', async () => {
  const program = await start({ serve: { drainTimeoutMs: 2_000, keepWebSockets: true }, prepare: patient })
  const all = await oneOfEach(program.port)
  await upgraded(program)
  await until('the drain', () => program.log().includes(`pid ${program.child.pid} drains`))
  all.upload.socket.write('lo')
  expect(await program.exited).toBe(0)
  // Cut: half a request, the WebSocket, the stream. Idle: the one that never sent a byte, and the one between two requests.
  expect(await program.drained(program.child.pid ?? 0)).toMatchObject({ finished: 1, cut: 3, upgraded: 1, idle: 2 })
  expect(all.upload.received()).toMatch(/Connection: close[^]* 5\n$/)
  await Promise.all(Object.values(all).map((one) => one.closed))
  expect(program.log()).toMatch(/pid \d+ drained in [\d.]+ s: 1 finished, 3 cut, 1 upgraded, 2 idle closed/)
  expect(await program.get('/')).toBe('release r1\n')
}, 40_000)

test('a program that ends its WebSockets and streams when the drain begins has nothing cut', async () => {
  const program = await start({ serve: { drainTimeoutMs: 20_000 } })
  const open = (): ReturnType<typeof connect> => connect({ port: program.port, host: '127.0.0.1' })
  const [websocket, events] = [await open(), await open()]
  websocket.socket.write(`GET /ws HTTP/1.1\r\n${head}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n`)
  await websocket.sees('101 Switching')
  events.socket.write(`GET /events?ms=20 HTTP/1.1\r\n${head}\r\n`)
  await events.sees('data: ')
  // Close frame, code 1001; answered in kind, masked, as a browser does.
  websocket.socket.on('data', (chunk: Buffer) => {
    if (chunk.includes(Buffer.from([0x03, 0xe9]))) websocket.socket.write(Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9]))
  })
  await upgraded(program)
  expect(await program.exited).toBe(0)
  expect(await program.drained(program.child.pid ?? 0)).toMatchObject({ finished: 1, cut: 0, upgraded: 1, idle: 0 })
}, 40_000)

test('a second SIGTERM in the drain cuts at once, and the report says what', async () => {
  const program = await start({ serve: { drainTimeoutMs: 60_000, keepWebSockets: true }, prepare: patient })
  await oneOfEach(program.port)
  program.child.kill('SIGTERM')
  await until('the drain', async () => (await program.describe()).state === 'draining')
  program.child.kill('SIGTERM')
  expect(await program.exited).toBe(0)
  const report = await program.drained(program.child.pid ?? 0)
  expect(report).toMatchObject({ finished: 0, cut: 4, upgraded: 1, idle: 2 })
}, 40_000)

test('signals that are off are left to the program', async () => {
  const program = await start({ serve: { signals: { SIGHUP: false, SIGTERM: false } } })
  program.child.kill('SIGHUP')
  expect(await program.exited).toBe('SIGHUP')
})
