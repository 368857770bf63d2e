import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { GracerError } from '../../inherit/gracer-error.ts'
import { controlClient } from '../../agent/control/client.ts'
import type { ControlEvent } from '../../agent/control/handlers.ts'
import { afterTest, outcome, progress, scratch, serve, status, until } from './support.ts'

async function collect(events: AsyncIterable<ControlEvent>): Promise<ControlEvent[]> {
  const all: ControlEvent[] = []
  for await (const event of events) all.push(event)
  return all
}

it('asks and gets the answer', async () => {
  const { socketPath } = await serve()
  expect(await controlClient(socketPath).request('GET', '/v1/status')).toEqual(status)
})

it('gets the events of an order one by one', async () => {
  const { socketPath } = await serve({
    swap: (_service, request, listener) => {
      listener(progress('booting', { detail: `é${request.target ?? ''}\u2028` }))
      listener(outcome())
    },
  })
  const events = controlClient(socketPath).stream<ControlEvent>('POST', '/v1/services/default/swap', { target: 'ü' })
  expect(await collect(events)).toEqual([progress('booting', { detail: 'éü\u2028' }), outcome()])
})

it('throws what the agent says, as it says it', async () => {
  const { socketPath } = await serve({
    restart: () => {
      throw new GracerError('busy with v3', { code: 'busy', exitCode: 4, hint: 'wait' })
    },
    swap: async (_service, _request, listener) => {
      listener(progress('booting'))
      await Promise.resolve()
      throw new GracerError('broke', { code: 'broke' })
    },
  })
  const client = controlClient(socketPath)
  await expect(collect(client.stream('POST', '/v1/services/default/restart', {}))).rejects.toMatchObject({ code: 'busy', exitCode: 4, hint: 'wait', message: 'busy with v3' })
  await expect(collect(client.stream('POST', '/v1/services/default/swap', {}))).rejects.toMatchObject({ code: 'broke', exitCode: 1 })
})

it('waits for an agent that is about to come back', async () => {
  const path = join(scratch(), 'control.sock')
  const answer = controlClient(path).request('GET', '/v1/status')
  // Asked after it and refused: by then its own first try has been refused too.
  await expect(once(connect(path), 'connect')).rejects.toMatchObject({ code: 'ENOENT' })
  await serve({}, { socketPath: path })
  expect(await answer).toEqual(status)
})

it('gives up after two seconds with exit code 3 and says what to do', async () => {
  const path = join(scratch(), 'control.sock')
  const began = performance.now()
  await expect(controlClient(path).request('GET', '/v1/status')).rejects.toMatchObject({ code: 'no-agent', exitCode: 3, hint: expect.stringContaining('gracer up') as string })
  const took = performance.now() - began
  expect(took).toBeGreaterThanOrEqual(1_990)
  expect(took).toBeLessThan(4_000)
})

it('does not speak to the socket whose name its own begins with, where that is too long for the kernel', async () => {
  const folder = scratch()
  const whole = join(folder, 'x'.repeat(200))
  const { socketPath } = await serve({}, { socketPath: Buffer.from(whole).subarray(0, 107).toString() })
  expect(Buffer.byteLength(socketPath)).toBe(107)
  expect(await controlClient(socketPath).request('GET', '/v1/status')).toEqual(status)
  await expect(controlClient(whole).request('GET', '/v1/status')).rejects.toMatchObject({ code: 'no-agent', exitCode: 3 })
})

it('says that the agent went away when it does so in mid-stream', async () => {
  const { socketPath, server } = await serve({ swap: (_service, _request, listener) => listener(progress('booting')) })
  const seen: ControlEvent[] = []
  const reading = (async () => {
    for await (const event of controlClient(socketPath).stream<ControlEvent>('POST', '/v1/services/default/swap', {})) seen.push(event)
  })()
  await until(() => seen.length === 1, 'the first event')
  await Promise.all([server.close(), expect(reading).rejects.toMatchObject({ code: 'agent-gone', exitCode: 3 })])
})

it('says that the agent went away when it does so before its answer', async () => {
  const path = join(scratch(), 'control.sock')
  const rude = createServer((socket) => {
    socket.on('error', () => {})
    socket.destroy()
  }).listen(path)
  afterTest(() => void rude.close())
  await once(rude, 'listening')
  await expect(controlClient(path).request('GET', '/v1/status')).rejects.toMatchObject({ code: 'agent-gone', exitCode: 3 })
})

it('closes the connection when the reader has seen enough or is told to stop', async () => {
  let subscribed = 0
  const { socketPath } = await serve({
    events: (listener) => {
      subscribed++
      listener(progress('booting'))
      return () => {
        subscribed--
      }
    },
  })
  for await (const _event of controlClient(socketPath).stream('GET', '/v1/events')) break
  await until(() => subscribed === 0, 'the first connection to be closed')
  const abort = new AbortController()
  const events = controlClient(socketPath).stream('GET', '/v1/events', undefined, abort.signal)
  await events.next()
  expect(subscribed).toBe(1)
  const rest = events.next()
  abort.abort()
  await expect(rest).rejects.toThrow()
  await until(() => subscribed === 0, 'the second connection to be closed')
})
