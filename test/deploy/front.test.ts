import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { freePort } from '../../inherit/ephemeral-socket.ts'
import type { Kind } from '../load/kinds.ts'
import { startLoad } from '../load/load.ts'
import { until } from '../support/deadline.ts'
import { dropRelease, firstRelease } from '../support/drop.ts'
import { GracerProcess, root } from '../support/gracer-process.ts'

/** The shipped configs, and how each program is run on a file; a program that is not installed is skipped and said. */
const fronts = [
  { name: 'nginx', file: 'nginx.conf', run: (file: string, folder: string) => ['nginx', '-p', folder, '-c', file, '-e', 'stderr', '-g', 'daemon off; pid nginx.pid; error_log stderr;'] },
  { name: 'haproxy', file: 'haproxy.cfg', run: (file: string) => ['haproxy', '-db', '-f', file] },
  { name: 'caddy', file: 'Caddyfile', run: (file: string) => ['caddy', 'run', '--adapter', 'caddyfile', '--config', file] },
] as const

const ends: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

function installed(name: string): boolean {
  const found = spawnSync(name, [name === 'caddy' ? 'version' : '-v'], { stdio: 'ignore' }).error === undefined
  if (!found) process.stderr.write(`front.test.ts: ${name} is not installed, so its config is not tried\n`)
  return found
}

async function startFront(front: (typeof fronts)[number], gracerPort: number): Promise<number> {
  const port = await freePort()
  const folder = mkdtempSync(join(tmpdir(), 'gracer-front-'))
  const text = readFileSync(join(root, 'deploy', 'front', front.file), 'utf8')
  const file = join(folder, front.file)
  const listens = { nginx: ['listen 8443;', `listen 127.0.0.1:${port};`], haproxy: ['bind :8443', `bind 127.0.0.1:${port}`], caddy: [':8443 {', `http://:${port} {\n\tbind 127.0.0.1`] } as const
  const [from, to] = listens[front.name]
  if (!text.includes(from)) throw new Error(`${front.file} does not contain ${from}`)
  writeFileSync(file, text.replaceAll('127.0.0.1:8080', `127.0.0.1:${gracerPort}`).replace(from, to))
  const [command = '', ...args] = front.run(file, folder)
  let said = ''
  const child: ChildProcess = spawn(command, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder } })
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (more: string) => (said += more))
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  ends.push(async () => {
    child.kill('SIGTERM')
    const timer = setTimeout(() => child.kill('SIGKILL'), 5_000)
    await ended
    clearTimeout(timer)
    rmSync(folder, { recursive: true, force: true })
  })
  await until(`${front.name} to answer`, async () => {
    if (child.exitCode !== null) throw new Error(`${front.name} ended: ${said}`)
    return ((await seenThrough(port, {}).catch(() => null))?.status ?? 500) < 500
  }, 20_000, 50)
  return port
}

function seenThrough(port: number, headers: Record<string, string>): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    http.get({ host: '127.0.0.1', port, path: '/', headers, agent: false }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (more: string) => (body += more)).on('end', () => resolve({ status: response.statusCode ?? 0, body })).on('error', reject)
    }).on('error', reject)
  })
}

const echo = `import http from 'node:http'
http.createServer((request, response) => response.end(JSON.stringify(request.headers))).listen(process.env.PORT)
`

/**
 * Caddy is without the POST whose reply begins before its body has ended: Go's HTTP/1 server does not read and write at
 * once (net/http, ResponseController.EnableFullDuplex), and now and then cuts such a reply. Without gracer too: Caddy 2.6.2
 * before the load app alone cut 1 of 2,721.
 */
function kindsFor(name: (typeof fronts)[number]['name']): readonly Kind[] {
  return ['keep-alive', 'fresh', ...(name === 'caddy' ? [] : (['post'] as const)), 'slow', 'websocket']
}

describe.each(fronts)('gracer behind $name, by deploy/front/$file', (front) => {
  test.skipIf(!installed(front.name))('two swaps under load lose nothing', async () => {
    const gracer = await GracerProcess.startWith({ config: { trustProxy: true, bake: '100ms', drain: { upgraded: '500ms', spread: '100ms' } } }, (one) => firstRelease(one, 'r0'))
    ends.push(async () => void (await gracer.end()))
    const port = await startFront(front, gracer.port)
    const load = startLoad({ host: '127.0.0.1', port, connections: 60, rate: 200, kinds: kindsFor(front.name), durationMs: 90_000 })
    await until('the load to run', () => load.counts().requests > 200)
    for (const name of ['r1', 'r2']) {
      await dropRelease(gracer, name)
      await gracer.live(name, true, 60_000)
      const soFar = load.counts().requests
      await until(`requests to ${name}`, () => load.counts().requests > soFar + 100)
    }
    const report = await load.stop()
    const { lost, violations } = await gracer.status()
    expect(report.failures).toEqual([])
    expect({ failed: report.failed, refused: report.refused, lost, violations }).toEqual({ failed: 0, refused: 0, lost: 0, violations: 0 })
    expect(report.releasesSeen).toEqual(['r0', 'r1', 'r2'])
  }, 120_000)

  test.skipIf(!installed(front.name))('the app sees the client, by the front\'s word, and nothing that the client made up', async () => {
    const gracer = await GracerProcess.create({ config: { trustProxy: true, releases: null } })
    ends.push(async () => void (await gracer.end()))
    writeFileSync(join(gracer.folder, 'server.mjs'), echo)
    await gracer.up()
    await gracer.live()
    const port = await startFront(front, gracer.port)
    const { body } = await seenThrough(port, { host: 'shop.example', 'x-forwarded-for': '6.6.6.6', 'x-forwarded-proto': 'https', 'x-forwarded-host': 'evil.example' })
    const seen = JSON.parse(body) as Record<string, string>
    expect(seen['host']).toBe('shop.example')
    expect(seen['x-forwarded-for']?.split(',')[0]?.trim()).toBe('127.0.0.1')
    expect(body).not.toContain('6.6.6.6')
    expect(seen['x-forwarded-proto']).toBe('http')
    expect(seen['x-forwarded-host']).toBe('shop.example')
  }, 60_000)
})
