import { existsSync, lstatSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { GracerError } from '../../inherit/gracer-error.ts'
import type { ControlEvent } from '../../agent/control/handlers.ts'
import { startControlServer } from '../../agent/control/server.ts'
import type { SwapRequest } from '../../agent/control/shapes.ts'
import { dial, explanation, handlers, outcome, progress, rawExchange, receipt, scratch, serve, status, until } from './support.ts'

interface Answer {
  readonly status: number
  readonly headers: Record<string, unknown>
  readonly body: string
}

function call(socketPath: string, method: string, path: string, body?: unknown): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, method, path, agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        text += chunk
      })
      response.on('error', reject)
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }))
    })
    sent.on('error', reject)
    sent.end(body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body))
  })
}

function json(answer: Answer): unknown {
  return JSON.parse(answer.body)
}

it('listens on a socket of mode 0600 in a folder of mode 0700, and leaves no other name behind', async () => {
  const folder = join(scratch(), 'made')
  const { socketPath } = await serve({}, { socketPath: join(folder, 'control.sock') })
  expect(statSync(folder).mode & 0o777).toBe(0o700)
  expect(lstatSync(socketPath).isSocket()).toBe(true)
  expect(lstatSync(socketPath).mode & 0o777).toBe(0o600)
  expect(readdirSync(folder)).toEqual(['control.sock'])
})

it('answers status, history, explain and logs', async () => {
  const seen: unknown[] = []
  const { socketPath } = await serve({
    history: (...given) => (seen.push(given), [receipt]),
    explain: (...given) => (seen.push(given), explanation),
    logs: (...given) => (seen.push(given), { release: 'v2', file: '/log' }),
  })
  expect(json(await call(socketPath, 'GET', '/v1/status'))).toEqual(status)
  expect(json(await call(socketPath, 'GET', '/v1/history?service=shop&n=7'))).toEqual({ schema: 1, receipts: [receipt] })
  expect(json(await call(socketPath, 'GET', '/v1/history'))).toEqual({ schema: 1, receipts: [receipt] })
  expect(json(await call(socketPath, 'GET', '/v1/explain?release=v3'))).toEqual(explanation)
  expect(json(await call(socketPath, 'GET', '/v1/logs?service=shop&release=a%20b&since=1700'))).toEqual({ schema: 1, release: 'v2', file: '/log' })
  expect(seen).toEqual([['shop', 7], ['default', 20], ['default', 'v3'], ['shop', 'a b', 1_700]])
})

it('hands an order on and answers with a line for every event, ending with the outcome', async () => {
  const seen: unknown[] = []
  const { socketPath } = await serve({
    swap: async (service, body, listener) => {
      seen.push([service, body])
      listener(progress('booting'))
      await Promise.resolve()
      listener(outcome())
    },
    rollback: (service, release, listener) => (seen.push([service, release]), listener(outcome({ outcome: 'rolled-back' }))),
    restart: (service, listener) => (seen.push([service]), listener(outcome())),
    undo: (service, release) => (seen.push([service, release]), outcome({ outcome: 'aborted', exitCode: 130 })),
  })
  const body: SwapRequest = { target: '/srv/x', supersede: true, timeoutMs: 5, dryRun: true }
  const swapped = await call(socketPath, 'POST', '/v1/services/shop/swap', body)
  expect(swapped.headers['content-type']).toBe('application/x-ndjson')
  expect(swapped.body.trim().split('\n').map((line) => JSON.parse(line) as ControlEvent)).toEqual([progress('booting'), outcome()])
  await call(socketPath, 'POST', '/v1/services/default/rollback', { release: 'v1' })
  await call(socketPath, 'POST', '/v1/services/default/rollback')
  await call(socketPath, 'POST', '/v1/services/default/restart', {})
  expect(json(await call(socketPath, 'DELETE', '/v1/services/default/swap/a%2Fb'))).toMatchObject({ outcome: 'aborted' })
  expect(json(await call(socketPath, 'POST', '/v1/down', {}))).toEqual({ schema: 1, ok: true })
  expect(seen).toEqual([['shop', body], ['default', 'v1'], ['default', null], ['default'], ['default', 'a/b']])
})

it('streams events until the reader goes away, and then unsubscribes', async () => {
  const listeners = new Set<(event: ControlEvent) => void>()
  const { socketPath } = await serve({
    events: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  })
  const socket = dial(socketPath)
  socket.write('GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n')
  await until(() => listeners.size === 1, 'the subscription')
  let text = ''
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString()
  })
  for (const listener of listeners) listener(progress('flipped'))
  await until(() => text.includes('"flipped"'), 'the event')
  socket.destroy()
  await until(() => listeners.size === 0, 'the end of the subscription')
})

it('drops a reader that stalls once a mebibyte has piled up, and never waits for it', async () => {
  let send: (event: ControlEvent) => void = () => {}
  let gone = false
  const { socketPath } = await serve({
    events: (listener) => {
      send = listener
      return () => {
        gone = true
      }
    },
  })
  const socket = dial(socketPath)
  socket.write('GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n')
  await once(socket, 'readable')
  const big = progress('draining', { detail: 'x'.repeat(10_000) })
  let sent = 0
  await until(() => {
    if (!gone) {
      send(big)
      sent += 10_000
    }
    return gone
  }, 'the stalled reader to be dropped')
  // Beyond the mebibyte only what the kernel's buffers hold.
  expect(sent).toBeGreaterThan(1024 * 1024)
  expect(sent).toBeLessThan(4 * 1024 * 1024)
  expect((await call(socketPath, 'GET', '/v1/status')).status).toBe(200)
})

it('lets an order go on when the one who gave it goes away', async () => {
  let go: () => void = () => {}
  let finished = false
  const { socketPath, logged } = await serve({
    swap: async (_service, _request, listener) => {
      listener(progress('booting'))
      await new Promise<void>((resolve) => {
        go = resolve
      })
      listener(progress('flipped'))
      listener(outcome())
      finished = true
    },
  })
  const socket = dial(socketPath)
  socket.write('POST /v1/services/default/swap HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}')
  await once(socket, 'data')
  socket.destroy()
  await once(socket, 'close')
  go()
  await until(() => finished, 'the swap to end')
  expect(logged).toEqual([])
})

it('turns an error into a status by its exit code', async () => {
  const cases: [number, number][] = [[1, 500], [2, 400], [3, 500], [4, 409], [124, 500]]
  for (const [exitCode, wanted] of cases) {
    const { socketPath } = await serve({
      swap: () => {
        throw new GracerError('no', { code: 'some-code', exitCode, hint: 'do this' })
      },
    })
    const answer = await call(socketPath, 'POST', '/v1/services/default/swap', {})
    expect([exitCode, answer.status]).toEqual([exitCode, wanted])
    expect(json(answer)).toEqual({ schema: 1, error: { code: 'some-code', message: 'no', hint: 'do this', exitCode } })
  }
})

it('tells an error in mid-stream as the last line', async () => {
  const { socketPath } = await serve({
    swap: async (_service, _request, listener) => {
      listener(progress('booting'))
      await Promise.resolve()
      throw new GracerError('broke', { code: 'broke', exitCode: 4 })
    },
  })
  const lines = (await call(socketPath, 'POST', '/v1/services/default/swap', {})).body.trim().split('\n')
  expect(JSON.parse(lines[1] ?? '')).toEqual({ schema: 1, error: { code: 'broke', message: 'broke', hint: null, exitCode: 4 } })
})

it('does not show the inside of an unexpected error, but logs it', async () => {
  const { socketPath, logged } = await serve({
    status: () => {
      throw new TypeError('secret inside')
    },
  })
  const answer = await call(socketPath, 'GET', '/v1/status')
  expect(answer.status).toBe(500)
  expect(answer.body).not.toContain('secret')
  expect(logged).toMatchObject([{ level: 'error', fields: { event: 'control.failed' } }])
})

it('answers 404 with a list of what there is, and 405 with what the path takes', async () => {
  const { socketPath } = await serve()
  for (const path of ['/', '/v2/status', '/v1/status/', '/v1/services//swap', '/v1/services/a/b/swap', '/v1/services/%zz/swap']) {
    const answer = await call(socketPath, 'GET', path)
    expect([path, answer.status]).toEqual([path, 404])
    expect(json(answer)).toMatchObject({ error: { code: 'no-such-path', exitCode: 2, hint: expect.stringContaining('GET /v1/status, GET /v1/history') as string } })
  }
  const wrong = await call(socketPath, 'DELETE', '/v1/status')
  expect([wrong.status, wrong.headers['allow']]).toEqual([405, 'GET'])
})

it('refuses unknown fields, wrong types, bad JSON and unknown parameters with 400', async () => {
  const { socketPath } = await serve()
  const bodies: [string, unknown][] = [
    ['swap', { target: 'x', tagret: 'y' }], ['swap', { timeoutMs: '5' }], ['swap', { timeoutMs: 0 }], ['swap', { target: '' }], ['swap', '{'], ['swap', '[]'], ['swap', '"x"'],
    ['rollback', { to: 'v1' }], ['restart', { x: 1 }],
  ]
  for (const [order, body] of bodies) {
    const answer = await call(socketPath, 'POST', `/v1/services/default/${order}`, body)
    expect([JSON.stringify(body), answer.status]).toEqual([JSON.stringify(body), 400])
  }
  expect((await call(socketPath, 'POST', '/v1/down', { now: true })).status).toBe(400)
  for (const query of ['n=0', 'n=x', 'n=1000000', 'm=1']) expect((await call(socketPath, 'GET', `/v1/history?${query}`)).status).toBe(400)
})

it('refuses a body above 64 KiB, declared or not, and still answers', async () => {
  const { socketPath } = await serve()
  const big = JSON.stringify({ target: 'x'.repeat(70_000) })
  expect((await call(socketPath, 'POST', '/v1/services/default/swap', big)).status).toBe(413)
  const chunk = 'x'.repeat(0x8000)
  const chunked = `POST /v1/services/default/swap HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${`8000\r\n${chunk}\r\n`.repeat(3)}`
  expect(await rawExchange(socketPath, chunked)).toContain('HTTP/1.1 413')
})

it('answers garbage with 400 and a head that is too large with 431, as documents', async () => {
  const { socketPath } = await serve()
  for (const bytes of ['\u0016\u0003\u0001\u0000\u0000', 'GET\r\n\r\n', 'HELO you\r\n\r\n', 'GET /v1/status HTTP/1.1\r\nHost x\r\n\r\n']) {
    const answer = await rawExchange(socketPath, bytes)
    expect(answer).toContain('HTTP/1.1 400')
    expect(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')))).toMatchObject({ schema: 1, error: { code: 'bad-request', exitCode: 2 } })
  }
  expect(await rawExchange(socketPath, `GET /v1/status HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`)).toContain('HTTP/1.1 431')
})

it('closes a connection whose request does not arrive in time', async () => {
  const { socketPath } = await serve({}, { receiveMs: 200 })
  expect(await rawExchange(socketPath, 'GET /v1/status HTTP/1.1\r\nHost: x\r\n')).toContain('HTTP/1.1 408')
  expect(await rawExchange(socketPath, 'POST /v1/down HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{')).toContain('HTTP/1.1 408')
})

it('takes a hundred connections and no more', async () => {
  const { socketPath } = await serve()
  const sockets = Array.from({ length: 100 }, () => dial(socketPath))
  await Promise.all(sockets.map((socket) => once(socket, 'connect')))
  expect(await rawExchange(socketPath, 'GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n')).toBe('')
  sockets[0]?.destroy()
  await until(async () => (await rawExchange(socketPath, 'GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')).includes('200 OK'), 'room for another')
})

it('replaces a stale socket, and unlinks it at the end', async () => {
  const path = join(scratch(), 'control.sock')
  const stale = createServer().listen(path)
  await once(stale, 'listening')
  const { server } = await serve({}, { socketPath: path })
  expect((await call(path, 'GET', '/v1/status')).status).toBe(200)
  await server.close()
  expect(existsSync(path)).toBe(false)
  stale.close()
})

it('leaves the socket of its successor alone when it closes late', async () => {
  const path = join(scratch(), 'control.sock')
  const first = await serve({}, { socketPath: path })
  await serve({}, { socketPath: path })
  await first.server.close()
  expect((await call(path, 'GET', '/v1/status')).status).toBe(200)
})

it('closes at once, with streams open', async () => {
  const { socketPath, server } = await serve()
  const socket = dial(socketPath)
  socket.write('GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n')
  await once(socket, 'data')
  await server.close()
  await until(() => socket.destroyed, 'the stream to end')
})

it('says so where the socket cannot be bound', async () => {
  const file = join(scratch(), 'no-folder')
  writeFileSync(file, '')
  const tooLong = join(scratch(), 'x'.repeat(100), 'control.sock')
  for (const socketPath of [join(file, 'control.sock'), tooLong]) {
    await expect(startControlServer({ socketPath, handlers: handlers(), log: { warn: () => {}, error: () => {} } })).rejects.toMatchObject({ code: 'control-socket' })
  }
})
