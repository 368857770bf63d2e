import { openSync } from 'node:fs'
import http from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bindWithoutAccepting, type BareSocket } from '../../inherit/bare-socket.ts'
import { spawnWithSockets, type HandedDown } from '../../inherit/hand-down.ts'
import { until } from '../support/deadline.ts'
import { firstRelease } from '../support/drop.ts'
import { cliFile, GracerProcess } from '../support/gracer-process.ts'

// The part of systemd is played by this test: it holds the public socket and passes it to one gracer after the other.
describe('a public socket that was passed down', () => {
  let gracer: GracerProcess
  let socket: BareSocket
  let out: number

  beforeAll(async () => {
    gracer = await GracerProcess.create({ config: { bake: '100ms' } })
    await firstRelease(gracer, 'r0')
    socket = bindWithoutAccepting('127.0.0.1', gracer.port)
    out = openSync(join(gracer.folder, 'up.log'), 'a')
  })

  afterAll(async () => {
    socket.close()
    await gracer.end()
  })

  function start(): HandedDown {
    const env = Object.fromEntries(Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined))
    return spawnWithSockets({ command: [process.execPath, cliFile, 'up'], cwd: gracer.folder, env, sockets: [{ name: 'public', fd: socket.fd }], stdout: out, stderr: out })
  }

  it('is served on, and through kill -9 of the master and the start of another no connection is refused', async () => {
    const first = start()
    await gracer.live('r0')
    const asked = askOften(gracer.port)
    await until('some replies', () => asked.answered > 20)
    const backend = (await gracer.status()).services[0]?.releases[0]?.pid

    process.kill(first.pid, 'SIGKILL')
    await until('replies without a master', () => asked.answered > 60)
    const second = start()
    const after = await until('the new agent to answer', async () => {
      const status = await gracer.status().catch(() => null)
      return status?.proxy.pid === second.pid && status.services[0]?.live === 'r0' ? status : null
    }, 15_000)
    await until('replies under the new master', () => asked.answered > 120)
    asked.stop()

    expect(after.services[0]?.releases[0]?.pid).toBe(backend)
    expect({ refused: asked.refused, failed: asked.failed }).toEqual({ refused: 0, failed: 0 })
    const ended = new Promise((resolve) => second.child.once('exit', resolve))
    process.kill(second.pid, 'SIGTERM')
    expect(await ended).toBe(0)
  }, 60_000)
})

/** Fresh connections, one after the other, until stop(). */
function askOften(port: number): { answered: number; refused: number; failed: number; stop(): void } {
  const result = { answered: 0, refused: 0, failed: 0, stop: () => void (running = false) }
  let running = true
  const next = (): void => {
    if (!running) return
    const request = http.get({ host: '127.0.0.1', port, path: '/healthz', agent: false }, (response) => {
      response.resume()
      response.once('close', () => {
        if (response.complete && response.statusCode === 200) result.answered += 1
        else result.failed += 1
        setTimeout(next, 5)
      })
    })
    request.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED') result.refused += 1
      else result.failed += 1
      setTimeout(next, 5)
    })
  }
  next()
  return result
}
