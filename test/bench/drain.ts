import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import http from 'node:http'
import { join } from 'node:path'
import { bindWithoutAccepting } from '../../inherit/bare-socket.ts'
import { childEnvironment } from '../../inherit/child-environment.ts'
import { spawnWithSockets, type HandedDown } from '../../inherit/hand-down.ts'
import { root } from '../support/gracer-process.ts'
import { until } from '../support/deadline.ts'

export type DrainWay = 'soft' | 'close' | 'close-and-header'

export interface DrainFigures {
  readonly swaps: number
  readonly requests: number
  /** Requests that were sent and got no complete reply, by what the client saw. */
  readonly lost: number
  readonly errors: Readonly<Record<string, number>>
  /** Old processes that came to their end by themselves, within 10 s. */
  readonly drained: number
  /** Of those, milliseconds from SIGTERM to the exit. */
  readonly medianMs: number | null
  readonly longestMs: number | null
}

const patienceMs = 10_000
const clients = 12

/**
 * Swaps a server under keep-alive POST clients that retry nothing, and ends the old one in three ways: the soft drain,
 * http.Server.close(), and that with `Connection: close` on the replies from then on.
 */
export async function drainWays(swaps: number, say: (line: string) => void): Promise<Record<DrainWay, DrainFigures>> {
  const ways: DrainWay[] = ['soft', 'close', 'close-and-header']
  const figures = new Map<DrainWay, DrainFigures>()
  for (const way of ways) {
    const result = await measure(way, swaps)
    figures.set(way, result)
    say(`${way}: ${result.lost} of ${result.requests} lost in ${swaps} swaps, ${result.drained} of ${swaps} drained, median ${result.medianMs ?? '–'} ms`)
  }
  return Object.fromEntries(figures) as Record<DrainWay, DrainFigures>
}

async function measure(way: DrainWay, swaps: number): Promise<DrainFigures> {
  const held = bindWithoutAccepting('127.0.0.1', 0)
  const errors = new Map<string, number>()
  let [running, requests] = [true, 0]
  let current = await start(way, held.fd)
  const load = Array.from({ length: clients }, async (_, index) => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
    while (running) {
      const failure = await post(held.port, agent)
      requests += 1
      if (failure !== null) errors.set(failure, (errors.get(failure) ?? 0) + 1)
      // Between two requests of a client its connection is idle, as those of real ones are.
      await new Promise((resolve) => setTimeout(resolve, (index % 4) * 2))
    }
    agent.destroy()
  })
  const times: number[] = []
  try {
    for (let swap = 0; swap < swaps; swap += 1) {
      const seen = requests
      await until('some load', () => requests > seen + 200, 30_000)
      const old = current
      current = await start(way, held.fd)
      times.push(await end(old))
    }
  } finally {
    running = false
    await Promise.all(load)
    current.child.kill('SIGKILL')
    held.close()
  }
  const drained = times.filter(Number.isFinite).sort((a, b) => a - b)
  return {
    swaps, requests, lost: [...errors.values()].reduce((sum, count) => sum + count, 0), errors: Object.fromEntries(errors),
    drained: drained.length, medianMs: drained[Math.floor(drained.length / 2)] ?? null, longestMs: drained.at(-1) ?? null,
  }
}

async function start(way: DrainWay, fd: number): Promise<HandedDown> {
  const nothing = openSync('/dev/null', 'a')
  const handed = spawnWithSockets({
    command: [process.execPath, join(root, 'test', 'apps', 'bench-drain.mjs')], cwd: root,
    env: childEnvironment(process.env, { DRAIN: way }), sockets: [{ name: 'http', fd }], stdout: nothing, stderr: 2,
  })
  closeSync(nothing)
  await new Promise<void>((resolve, reject) => {
    handed.events.on('notify', (key) => key === 'READY' && resolve())
    handed.events.once('notifyEnd', () => reject(new Error('the server did not start')))
  })
  return handed
}

/** Milliseconds until it has ended by itself; NaN where it had to be killed. */
async function end(old: HandedDown): Promise<number> {
  const began = performance.now()
  const exit = once(old.child, 'exit')
  old.child.kill('SIGTERM')
  const timer = setTimeout(() => old.child.kill('SIGKILL'), patienceMs)
  const [code] = (await exit) as [number | null]
  clearTimeout(timer)
  return code === 0 ? Math.round(performance.now() - began) : NaN
}

/** Null where the reply was complete and right, else what went wrong. */
function post(port: number, agent: http.Agent): Promise<string | null> {
  return new Promise((resolve) => {
    const request = http.request({ host: '127.0.0.1', port, agent, method: 'POST', headers: { 'content-length': 5 }, timeout: 15_000 }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk)).on('error', () => {})
      response.once('close', () => resolve(response.complete && text === '5' ? null : 'cut'))
    })
    request.on('timeout', () => request.destroy(new Error('timeout')))
    request.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    request.end('hello')
  })
}
