import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, rmdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import WebSocket from 'ws'
import { freePort } from '../../inherit/ephemeral-socket.ts'
import { until } from '../support/deadline.ts'
import { DevProcess, oneFileApp, type DevRecord } from '../support/dev-process.ts'
import { pollSaves, staleReplies } from '../support/save-poll.ts'

async function startDev(files: Record<string, string>, args: readonly string[] = ['--', 'node', 'server.mjs'], env: Record<string, string> = {}): Promise<DevProcess> {
  const dev = await DevProcess.start(files, args, env)
  onTestFinished(() => dev.end(), 60_000)
  return dev
}

const isFailure = (record: DevRecord): boolean => record.event === 'failed'

describe('a save', () => {
  test('is in the next reply, under polling: nothing refused, nothing failed, nothing stale', { timeout: 120_000 }, async () => {
    const dev = await startDev({ 'server.mjs': oneFileApp('v0') })
    await dev.answers('v0')
    const result = await pollSaves({
      port: dev.port, saves: 20, expected: (number) => `v${number}`,
      save: (number) => dev.write('server.mjs', oneFileApp(`v${number}`)),
      between: async (number) => { await until('the reload to be told', () => dev.reloads.length >= number) },
    })
    expect({ refused: result.refused, failed: result.failed }).toEqual({ refused: 0, failed: 0 })
    const noticed = dev.reloads.map((record) => record.noticedUs ?? 0)
    expect(noticed).toHaveLength(20)
    expect(staleReplies(result, noticed, (body) => Number(body.slice(1)))).toBe(0)
    expect(result.replies).toBeGreaterThan(100)
  })

  test('lets requests in flight finish on the old code, ends its WebSockets with 1012, and those of the new code open', async () => {
    const app = (version: string): string => `import http from 'node:http'
import { WebSocketServer } from 'ws'
const server = http.createServer((req, res) => {
  if (req.url === '/slow') setTimeout(() => res.end('${version}'), 1500)
  else res.end('${version}')
})
new WebSocketServer({ server }).on('connection', (socket) => socket.send('${version}'))
server.listen(process.env.PORT)
`
    const dev = await startDev({ 'server.mjs': app('v1'), 'package.json': '{"type":"module"}' })
    linkModules(dev)
    dev.write('server.mjs', app('v1 again'))
    await dev.answers('v1 again')
    const socket = new WebSocket(`ws://127.0.0.1:${dev.port}/`)
    await once(socket, 'message')
    const closed = once(socket, 'close') as Promise<[number]>
    const slow = dev.get('/slow')
    await dev.get('/')
    dev.write('server.mjs', app('v2'))
    expect((await dev.answers('v2')).status).toBe(200)
    expect((await closed)[0]).toBe(1012)
    expect((await slow).body).toBe('v1 again')
    const next = new WebSocket(`ws://127.0.0.1:${dev.port}/`)
    const [greeting] = await once(next, 'message') as [Buffer]
    expect(greeting.toString()).toBe('v2')
    next.terminate()
  })

  test('of 5,000 files by git checkout is one reload', { timeout: 120_000 }, async () => {
    const dev = await startDev({ 'server.mjs': oneFileApp('v1') })
    await dev.answers('v1')
    const git = (...args: string[]): void => { execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', ...args], { cwd: dev.folder, stdio: 'ignore' }) }
    git('init', '-q')
    git('add', '.')
    git('commit', '-qm', 'one')
    git('checkout', '-q', '-b', 'two')
    for (let file = 0; file < 5_000; file += 1) dev.write(`src/d${file % 40}/f${file}.js`, `${file}`)
    dev.write('server.mjs', oneFileApp('v2'))
    git('add', '.')
    git('commit', '-qm', 'two')
    await dev.answers('v2')
    git('checkout', '-q', '-')
    await dev.answers('v1')
    await until('quiet', () => dev.reloads.length > 0)
    const before = dev.reloads.length
    git('checkout', '-q', 'two')
    await dev.answers('v2')
    const told = await until('the reload', () => dev.reloads[before])
    expect(told.changed?.length).toBe(5_001)
    // One more would show itself with the next save.
    dev.write('server.mjs', oneFileApp('v3'))
    await dev.answers('v3')
    await until('the last reload', () => dev.reloads.at(-1)?.changed?.length === 1)
    expect(dev.reloads.length - before).toBe(2)
  })

  test('during a boot begins that boot again, and only its newest code is ever served', async () => {
    const slow = (version: string): string => `await new Promise((resolve) => setTimeout(resolve, 700))\n${oneFileApp(version)}`
    const dev = await startDev({ 'server.mjs': slow('v1') })
    await dev.answers('v1')
    dev.write('server.mjs', slow('v2'))
    const during = dev.get('/')
    await dev.says('the boot to be begun again', (record) => record.event === 'reload' && record.cause === 'start')
    const before = await until('the half-booted code beside the old one', () => {
      const pids = dev.processes().filter((pid) => pid !== dev.child.pid)
      return pids.length === 2 ? pids : null
    })
    dev.write('server.mjs', slow('v3'))
    expect((await during).body).toBe('v3')
    expect(dev.reloads.map((record) => record.changed)).toEqual([['server.mjs']])
    await until('half-booted and old code to be gone', () => !dev.processes().some((pid) => before.includes(pid)))
  })
})

describe('a failure is told with what to do, and the next good save recovers', () => {
  const cases: readonly { readonly what: string; readonly bad: (dev: DevProcess) => void; readonly says: RegExp; readonly args?: readonly string[]; readonly good?: (dev: DevProcess) => void }[] = [
    { what: 'a syntax error', bad: (dev) => dev.write('server.mjs', 'const = 3'), says: /SyntaxError/ },
    { what: 'an exit at boot', bad: (dev) => dev.write('server.mjs', 'process.exit(3)'), says: /exited with code 3 before it listened/ },
    { what: 'an end without listening', bad: (dev) => dev.write('server.mjs', 'console.log("done")'), says: /must stay in the foreground/ },
    { what: 'an app that never listens', bad: (dev) => dev.write('server.mjs', 'setInterval(() => {}, 1000)'), says: /has not begun to listen within 3s/ },
    { what: 'an app that listens on another port', bad: (dev) => dev.write('server.mjs', 'import http from "node:http"\nhttp.createServer(() => {}).listen(0)'), says: /listens on port \d+ and not on the one/, },
    { what: 'a file that cannot be read', bad: (dev) => { rmSync(join(dev.folder, 'server.mjs')); mkdirSync(join(dev.folder, 'server.mjs')) }, says: /ERR_UNSUPPORTED_DIR_IMPORT|EISDIR|Cannot find module/, good: (dev) => { rmSync(join(dev.folder, 'server.mjs'), { recursive: true }); dev.write('server.mjs', oneFileApp('good')) } },
    { what: 'a config that is wrong', bad: (dev) => dev.write('gracer.json', '{"helth":{}}'), says: /helth/, good: (dev) => { dev.write('gracer.json', '{}'); dev.write('server.mjs', oneFileApp('good')) } },
    { what: 'a build that fails', args: ['--build', 'node build.mjs'], bad: (dev) => dev.write('build.mjs', 'console.error("src/x.ts(1,2): error TS1: bad"); process.exit(2)'), says: /build ended with exit code 2/, good: (dev) => { dev.write('server.mjs', oneFileApp('good')); dev.write('build.mjs', '') } },
    { what: 'a build without an end', args: ['--build', 'node build.mjs', '--build-timeout', '2s'], bad: (dev) => dev.write('build.mjs', 'setInterval(() => {}, 1000)'), says: /has not ended within 2s and was stopped/, good: (dev) => { dev.write('server.mjs', oneFileApp('good')); dev.write('build.mjs', '') } },
  ]

  test.each(cases)('$what', { timeout: 60_000 }, async ({ bad, says, args = [], good = (dev: DevProcess) => dev.write('server.mjs', oneFileApp('good')) }) => {
    const dev = await startDev({ 'server.mjs': oneFileApp('first'), 'build.mjs': '', 'gracer.json': '{"health":{"deadline":"3s"}}' }, [...args, '--', 'node', 'server.mjs'])
    await dev.answers('first')
    const from = dev.records.length
    bad(dev)
    const failed = await dev.says('the failure', isFailure, from)
    const reply = await dev.get('/', { accept: 'text/html' })
    expect(reply.status).toBe(500)
    expect(reply.headers['cache-control']).toBe('no-store')
    expect(reply.body).toMatch(/gracer-failure/)
    const json = JSON.parse((await dev.get('/', { accept: 'application/json' })).body) as { error: { title: string; error: string | null; hint: string | null; output: string[] } }
    expect([json.error.title, json.error.error, json.error.hint, ...json.error.output].join('\n')).toMatch(says)
    expect(failed.failure?.title).toBe(json.error.title)
    good(dev)
    expect((await dev.answers('good')).status).toBe(200)
  })

  test.each([[['--', 'node', 'server.mjs']], [['--build', 'cat server.mjs > /dev/null', '--', 'node', 'server.mjs']], [[]]])('a working folder that is deleted %j', async (args) => {
    const dev = await startDev({ 'server.mjs': oneFileApp('first') }, args)
    await dev.answers('first')
    rmSync(dev.folder, { recursive: true })
    await dev.says('the folder to be missed', (record) => record.event === 'notice' && /is gone: gracer waits for it/.test(record.text ?? ''))
    const failed = await dev.says('the failure', isFailure)
    expect(`${failed.failure?.title} ${failed.failure?.hint}`).toMatch(/there is no folder .* gracer waits for it to come back/i)
    mkdirSync(dev.folder)
    dev.write('server.mjs', oneFileApp('good'))
    expect((await dev.answers('good')).status).toBe(200)
  })

  test('a working folder that goes after the last of its files, when that has failed already', async () => {
    const dev = await startDev({ 'server.mjs': oneFileApp('first') })
    await dev.answers('first')
    rmSync(join(dev.folder, 'server.mjs'))
    await dev.says('the failure', isFailure)
    // Nobody is told of it: the old code still runs in it.
    rmdirSync(dev.folder)
    await dev.says('the folder to be missed', (record) => record.event === 'notice' && /is gone: gracer waits for it/.test(record.text ?? ''))
    mkdirSync(dev.folder)
    dev.write('server.mjs', oneFileApp('good'))
    expect((await dev.answers('good')).status).toBe(200)
  })

  test('an app that crashes while it serves: its stack is on the page, and the request that met it is answered', async () => {
    const dev = await startDev({ 'server.mjs': oneFileApp('first', "if (req.url === '/crash') setImmediate(() => { throw new Error('boom') })") })
    await dev.answers('first')
    const reply = await dev.get('/crash', { accept: 'text/html' })
    const after = await until('the page', async () => {
      const page = await dev.get('/', { accept: 'text/html' })
      return page.status === 500 ? page : null
    })
    expect([200, 500, 502]).toContain(reply.status)
    expect(after.body).toContain('boom')
    expect(after.body).toContain('while it served')
    dev.write('server.mjs', oneFileApp('good'))
    await dev.answers('good')
  })

  test('with --keep-old the old code answers', async () => {
    const dev = await startDev({ 'server.mjs': oneFileApp('first') }, ['--keep-old', '--', 'node', 'server.mjs'])
    await dev.answers('first')
    dev.write('server.mjs', 'const = 3')
    await dev.says('the failure', isFailure)
    expect(await dev.get()).toMatchObject({ status: 200, body: 'first' })
    dev.write('server.mjs', oneFileApp('good'))
    await dev.answers('good')
  })
})

test('an app that holds a second port of its own is booted without an overlap from the first clash on', { timeout: 60_000 }, async () => {
  const second = await freePort()
  const app = (version: string): string => `import http from 'node:http'
http.createServer((req, res) => res.end('${version}')).listen(3000)
http.createServer((req, res) => res.end('second ${version}')).listen(${second}, '127.0.0.1')
`
  const dev = await startDev({ 'server.mjs': app('v1') })
  await dev.answers('v1')
  for (const version of ['v2', 'v3']) {
    dev.write('server.mjs', app(version))
    expect((await dev.answers(version)).status).toBe(200)
  }
  expect(dev.records.filter((record) => /old code is ended before new code boots/.test(record.text ?? ''))).toHaveLength(1)
  expect(dev.records.filter(isFailure)).toEqual([])
})

describe('an HTML page', () => {
  const page = (more = '') => `import http from 'node:http'
http.createServer((req, res) => {
  res.setHeader('content-type', 'text/html; charset=utf-8')
  ${more}
  res.end(req.url === '/part' ? '<li>part</li>' : '<!doctype html><title>t</title><body><p>page</p></body>')
}).listen(3000)
`
  const tag = '<script src="/__gracer/dev.js"'

  test('gets the script, whole pages only, framed anew; the script and the event stream are there', async () => {
    const dev = await startDev({ 'server.mjs': page("res.setHeader('content-length', Buffer.byteLength(req.url === '/part' ? '<li>part</li>' : '<!doctype html><title>t</title><body><p>page</p></body>'))") })
    const whole = await dev.answers('page')
    expect(whole.body).toMatch(/<p>page<\/p><script src="\/__gracer\/dev\.js"[^>]*><\/script><\/body>$/)
    expect(whole.headers['content-length']).toBeUndefined()
    const part = await dev.get('/part')
    expect(part.body).toBe('<li>part</li>')
    const fetched = await dev.get('/', { 'sec-fetch-dest': 'empty' })
    expect(fetched.body).not.toContain(tag)
    expect(Number(fetched.headers['content-length'])).toBe(fetched.body.length)
    expect((await dev.get('/__gracer/dev.js')).headers['content-type']).toContain('javascript')
    expect((await dev.get('/__gracer/other')).status).toBe(404)
    const stream = await new Promise<string>((resolve, reject) => {
      const request = http.get({ host: '127.0.0.1', port: dev.port, path: '/__gracer/events', agent: false }, (response) => {
        response.once('data', (chunk: Buffer) => {
          resolve(`${response.headers['content-type']} ${chunk.toString()}`)
          request.destroy()
        })
      })
      request.on('error', reject)
    })
    expect(stream).toMatch(/^text\/event-stream retry: 1000\ndata: \{"key":".*","busy":null/)
  })

  test('flows as it comes, is never "not modified" for a browser, and is left alone where it is compressed or asked for by HEAD', async () => {
    const dev = await startDev({ 'server.mjs': `import http from 'node:http'
import { gzipSync } from 'node:zlib'
const whole = '<!doctype html><body>page</body>'
let flowing
http.createServer((req, res) => {
  if (req.url === '/end') return flowing.end('last</body>', () => res.end())
  res.setHeader('content-type', 'text/html')
  res.setHeader('etag', '"1"')
  res.setHeader('x-encodings', String(req.headers['accept-encoding']))
  if (req.headers['if-none-match'] === '"1"') return res.writeHead(304).end()
  if (req.url === '/flow') return (flowing = res).write('<!doctype html><body>first')
  if (req.url === '/gzip') return res.setHeader('content-encoding', 'gzip').end(gzipSync(whole))
  res.setHeader('content-length', whole.length).end(whole)
}).listen(3000)
` })
    await dev.answers('page')
    const browser = { 'sec-fetch-dest': 'document', 'accept-encoding': 'gzip', 'if-none-match': '"1"' }
    const page = await dev.get('/', browser)
    expect(page).toMatchObject({ status: 200, headers: { 'x-encodings': 'undefined' }, body: expect.stringContaining(tag) as string })
    expect(page.headers['etag']).toBeUndefined()
    expect((await dev.get('/', { ...browser, 'sec-fetch-dest': 'empty' })).status).toBe(304)

    const gzip = await dev.get('/gzip', browser)
    expect(gzip.headers).toMatchObject({ 'content-encoding': 'gzip', etag: '"1"' })
    await dev.says('the notice', (record) => /\/gzip does not reload by itself: it is sent compressed/.test(record.text ?? ''))

    const head = http.request({ host: '127.0.0.1', port: dev.port, method: 'HEAD', agent: false }).end()
    const [reply] = await once(head, 'response') as [http.IncomingMessage]
    expect(reply.resume().headers['content-length']).toBe('32')

    const flow = http.get({ host: '127.0.0.1', port: dev.port, path: '/flow', agent: false, headers: { 'sec-fetch-dest': 'document' } })
    const [flowing] = await once(flow, 'response') as [http.IncomingMessage]
    let body = ''
    flowing.setEncoding('utf8').on('data', (chunk: string) => (body += chunk))
    await until('the first part', () => body.includes('first'))
    await Promise.all([dev.get('/end'), once(flowing, 'end')])
    expect(body).toMatch(/first.*last<script[^>]*><\/script><\/body>$/)
  })

  test('with a nonce in its policy gets the script with it; with a policy against it none, and that is said once', async () => {
    const dev = await startDev({ 'server.mjs': page("res.setHeader('content-security-policy', req.url === '/strict' ? \"default-src 'none'\" : \"script-src 'nonce-n1'; connect-src 'self'\")") })
    expect((await dev.answers('page')).body).toContain(' nonce="n1"></script>')
    for (let time = 0; time < 2; time += 1) {
      const strict = await dev.get('/strict')
      expect(strict.body).not.toContain(tag)
    }
    await dev.says('the notice', (record) => /\/strict does not reload by itself/.test(record.text ?? ''))
    expect(dev.records.filter((record) => record.event === 'notice')).toHaveLength(1)
  })

  test('is left as it is with --no-inject', async () => {
    const dev = await startDev({ 'server.mjs': page() }, ['--no-inject', '--', 'node', 'server.mjs'])
    expect((await dev.answers('page')).body).not.toContain(tag)
  })
})

describe('a stylesheet', () => {
  const app = (body: string): string => `import http from 'node:http'
import { readFileSync } from 'node:fs'
const atBoot = readFileSync('public/a.css')
http.createServer((req, res) => {
  res.setHeader('x-pid', process.pid)
  if (!req.url.startsWith('/a.css')) return res.end('page')
  res.setHeader('content-type', 'text/css')
  res.end(${body})
}).listen(3000)
`
  test('that the app serves from disk boots nothing', async () => {
    const dev = await startDev({ 'server.mjs': app("readFileSync('public/a.css')"), 'public/a.css': 'one' })
    const { headers } = await dev.answers('one', '/a.css?v=1')
    dev.write('public/a.css', 'two')
    await dev.says('the styles', (record) => record.event === 'reload' && record.outcome === 'styles')
    expect(await dev.get('/a.css')).toMatchObject({ body: 'two', headers: { 'x-pid': headers['x-pid'] } })
  })

  test('that the app keeps in memory boots it', async () => {
    const dev = await startDev({ 'server.mjs': app('atBoot'), 'public/a.css': 'one' })
    const { headers } = await dev.answers('one', '/a.css')
    dev.write('public/a.css', 'two')
    expect((await dev.answers('two', '/a.css')).headers['x-pid']).not.toBe(headers['x-pid'])
  })
})

test('the debugger stays where it is, whichever code it speaks to', { timeout: 60_000 }, async () => {
  const port = await freePort()
  const dev = await startDev({ 'server.mjs': oneFileApp('v1') }, ['--inspect', String(port), '--', 'node', 'server.mjs'])
  const target = async (): Promise<{ id: string; webSocketDebuggerUrl: string }> => (JSON.parse((await askJson(port)).body) as { id: string; webSocketDebuggerUrl: string }[])[0] as { id: string; webSocketDebuggerUrl: string }
  await dev.answers('v1')
  const first = await target()
  expect(first.webSocketDebuggerUrl).toContain(`127.0.0.1:${port}/`)
  const socket = new WebSocket(first.webSocketDebuggerUrl)
  await once(socket, 'open')
  const left = once(socket, 'close')
  dev.write('server.mjs', oneFileApp('v2'))
  await dev.answers('v2')
  await left
  const second = await target()
  expect(second.id).not.toBe(first.id)
  const again = new WebSocket(second.webSocketDebuggerUrl)
  await once(again, 'open')
  again.send(JSON.stringify({ id: 1, method: 'Runtime.evaluate', params: { expression: '1 + 1' } }))
  const [message] = await once(again, 'message') as [Buffer]
  expect(message.toString()).toContain('"value":2')
  again.terminate()
})

describe('its end leaves no process', () => {
  const stubborn = `process.on('SIGTERM', () => {})\n${oneFileApp('stubborn')}`
  test.each<[string, Record<string, string>, readonly string[], (dev: DevProcess) => Promise<unknown>]>([
    ['while it serves', { 'server.mjs': oneFileApp('v1') }, [], (dev) => dev.answers('v1')],
    ['while it boots', { 'server.mjs': 'await new Promise((resolve) => setTimeout(resolve, 60_000))' }, [], (dev) => until('the app to run', () => dev.processes().length > 1)],
    ['while it builds', { 'server.mjs': oneFileApp('v1'), 'build.mjs': 'setInterval(() => {}, 1000)' }, ['--build', 'node build.mjs; true'], (dev) => until('the build to run', () => dev.processes().length > 2)],
    ['with an app that has children', { 'server.mjs': `import { spawn } from 'node:child_process'\nspawn('sleep', ['600'])\n${oneFileApp('v1')}` }, [], (dev) => dev.answers('v1')],
    ['while it reloads', { 'server.mjs': oneFileApp('v1') }, [], async (dev) => {
      await dev.answers('v1')
      dev.write('server.mjs', `await new Promise((resolve) => setTimeout(resolve, 60_000))`)
      void dev.get().catch(() => null)
      await until('old and new code', () => dev.processes().length === 3)
    }],
    ['with an app that has failed', { 'server.mjs': 'throw new Error("x")' }, [], (dev) => dev.says('the failure', isFailure)],
  ])('%s', { timeout: 60_000 }, async (_when, files, args, reached) => {
    const dev = await startDev(files, [...args, '--', 'node', 'server.mjs'])
    await reached(dev)
    dev.child.kill('SIGINT')
    expect(await dev.exited).toBe(0)
    expect(dev.processes()).toEqual([])
  })

  test.each<[string, Record<string, string>, readonly string[], (dev: DevProcess) => Promise<unknown>]>([
    ['an app that takes no notice of SIGTERM', { 'server.mjs': stubborn }, ['--', 'node', 'server.mjs'], (dev) => dev.answers('stubborn')],
    ['an app of anything else, with children', { 'run.sh': 'node server.mjs & wait', 'server.mjs': 'setInterval(() => {}, 1000)' }, ['--', 'sh', 'run.sh'], (dev) => until('all to run', () => dev.processes().length === 3)],
    ['a build', { 'server.mjs': oneFileApp('v1') }, ['--build', 'sleep 600; true', '--', 'node', 'server.mjs'], (dev) => until('all to run', () => dev.processes().length === 3)],
  ])('even if gracer is killed with SIGKILL: %s', async (_what, files, args, reached) => {
    const dev = await startDev(files, args)
    await reached(dev)
    dev.child.kill('SIGKILL')
    await dev.exited
    await until('all to be gone', () => dev.processes().length === 0)
  })

  test('in order, where a runner of scripts passes on a signal that the terminal has sent as well', async () => {
    const dev = await startDev({ 'server.mjs': `import fs from 'node:fs'\nprocess.on('SIGTERM', () => setTimeout(() => { fs.writeFileSync('bye.log', 'bye'); process.exit() }, 300))\n${oneFileApp('v1')}` })
    await dev.answers('v1')
    dev.child.kill('SIGINT')
    // Two of the same kind might arrive as one.
    dev.child.kill('SIGTERM')
    expect(await dev.exited).toBe(0)
    expect(dev.read('bye.log')).toBe('bye')
  })

  test('while it is only starting', async () => {
    const dev = await DevProcess.launch({ 'server.mjs': stubborn }, ['--', 'node', 'server.mjs'])
    onTestFinished(() => dev.end())
    await until('the app to run', () => dev.processes().length > 1)
    dev.child.kill('SIGINT')
    await dev.exited
    await until('the app to be gone', () => dev.processes().length === 0)
  })

  const deaf = 'process.on("SIGTERM", () => {}); setInterval(() => {}, 1000)'
  test.each<[string, Record<string, string>, readonly string[], (dev: DevProcess) => Promise<unknown>]>([
    ['serves', { 'server.mjs': stubborn }, [], (dev) => dev.answers('stubborn')],
    ['boots', { 'server.mjs': `${deaf}; console.error('deaf')` }, [], (dev) => until('it to be deaf', () => dev.stderr.includes('deaf'))],
    ['builds', { 'server.mjs': stubborn, 'build.mjs': `${deaf}; console.error('deaf')` }, ['--build', 'node build.mjs'], (dev) => until('it to be deaf', () => dev.stderr.includes('deaf'))],
    ['reloads', { 'server.mjs': stubborn }, [], async (dev) => {
      await dev.answers('stubborn')
      dev.write('server.mjs', `${deaf}; console.error('deaf')`)
      await until('it to be deaf', () => dev.stderr.includes('deaf'))
    }],
  ])('the second Ctrl-C does not wait for what takes no notice: while it %s', async (_when, files, args, reached) => {
    const dev = await startDev(files, [...args, '--', 'node', 'server.mjs'])
    await reached(dev)
    dev.child.kill('SIGINT')
    await until('it to be ending', async () => (await dev.get().catch(() => null)) === null)
    // A person's hand is no faster: signals right after each other are one press of the key.
    await new Promise((resolve) => setTimeout(resolve, 110))
    const begun = performance.now()
    dev.child.kill('SIGINT')
    expect(await dev.exited).toBe(130)
    expect(performance.now() - begun).toBeLessThan(1_500)
    await until('all to be gone', () => dev.processes().length === 0)
  })

  test('where the port is taken: exit 2, and what to type', async () => {
    const dev = await startDev({ 'server.mjs': oneFileApp('v1') })
    await dev.answers('v1')
    const other = await DevProcess.start({ 'server.mjs': oneFileApp('v2') }, ['--listen', String(dev.port), '--', 'node', 'server.mjs']).catch((error: unknown) => String(error))
    expect(other).toMatch(/is taken[^]*gracer dev --listen/)
  })
})

test('of several services the named one is run, else the first, and it says which there are', async () => {
  const files = {
    'gracer.json': JSON.stringify({ services: { web: { command: ['node', 'web.mjs'] }, api: { path: '/api', command: ['node', 'api.mjs'] } } }),
    'web.mjs': oneFileApp('from web'), 'api.mjs': oneFileApp('from api'),
  }
  const [first, named] = await Promise.all([startDev(files, []), startDev(files, ['--service', 'api'])])
  expect(first.records[0]).toMatchObject({ event: 'listening', service: 'web', others: ['api'] })
  expect(named.records[0]).toMatchObject({ event: 'listening', service: 'api', others: ['web'] })
  await first.answers('from web')
  await named.answers('from api')
  expect(await startDev(files, ['--service', 'aip']).catch((error: unknown) => String(error))).toMatch(/there is no service "aip"; expected one of web, api/)
})

test('keys of gracer.json that count from the start only are named when they change', async () => {
  const dev = await startDev({ 'gracer.json': '{}', 'server.mjs': oneFileApp('v1') })
  await dev.answers('v1')
  dev.write('gracer.json', '{"limits":{"idle":"9s"},"overlap":false}')
  await dev.says('the notice', (record) => /limits, overlap of gracer.json: other values count from the next start/.test(record.text ?? ''))
})

/** With `--import ./no-schema.mjs` the schema's library cannot be loaded. */
const noSchema = {
  'no-schema.mjs': "import { register } from 'node:module'\nregister('./hooks.mjs', import.meta.url)",
  'hooks.mjs': "export function resolve(name, context, next) {\n  if (name === 'zod') throw new Error('the schema is loaded')\n  return next(name, context)\n}",
}

test('a plain gracer.json is obeyed without its schema, which takes longer to load than an app to boot', async () => {
  const config = { listen: '127.0.0.1:1', command: ['node', 'app.mjs', 'word'], env: { TEXT: 'plain' }, health: { path: '/' } }
  const files = { ...noSchema, 'app.mjs': oneFileApp('', 'res.end([process.argv[2], process.env.TEXT].join()); return'), 'gracer.json': JSON.stringify(config) }
  const dev = await startDev(files, [], { NODE_OPTIONS: '--import ./no-schema.mjs' })
  await dev.answers('word,plain')
  dev.write('gracer.json', JSON.stringify({ ...config, env: { TEXT: 'saved' } }))
  await dev.answers('word,saved')
  dev.write('gracer.json', JSON.stringify({ ...config, limits: {} }))
  await dev.says('what only the schema can read', (record) => record.failure?.title === 'The schema is loaded.' === true)
})

test('with a config that is wrong the app is never started, and every error is told', async () => {
  const app = 'import { writeFileSync } from "node:fs"\nwriteFileSync("started", "")'
  const dev = await DevProcess.launch({ 'gracer.json': '{"command":["node","server.mjs"],"drain":{"stop":"x"},"bake":1}', 'server.mjs': app }, [])
  onTestFinished(() => dev.end())
  expect(await dev.exited).toBe(2)
  expect(dev.stderr).toMatch(/drain\.stop[^]*bake|bake[^]*drain\.stop/)
  expect(existsSync(join(dev.folder, 'started'))).toBe(false)
  expect(dev.processes()).toEqual([])
})

test('a move of the file into place, as editors do, is one reload', async () => {
  const dev = await startDev({ 'server.mjs': oneFileApp('v1') })
  await dev.answers('v1')
  writeFileSync(join(dev.folder, '.server.mjs.tmp'), oneFileApp('v2'))
  renameSync(join(dev.folder, '.server.mjs.tmp'), join(dev.folder, 'server.mjs'))
  await dev.answers('v2')
  await until('the word', () => dev.reloads.length > 0)
  expect(dev.reloads).toHaveLength(1)
})

async function askJson(port: number): Promise<{ body: string }> {
  return new Promise((resolve, reject) => {
    http.get({ host: '127.0.0.1', port, path: '/json/list', agent: false }, (response) => {
      let body = ''
      response.on('data', (chunk: Buffer) => (body += chunk.toString())).on('end', () => resolve({ body }))
    }).on('error', reject)
  })
}

/** The packages of this repository, for an app that imports them. */
function linkModules(dev: DevProcess): void {
  execFileSync('ln', ['-s', join(import.meta.dirname, '..', '..', 'node_modules'), join(dev.folder, 'node_modules')])
}
