import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import http2 from 'node:http2'
import path from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'

import { bindWithoutAccepting } from '../../inherit/bare-socket.ts'
import { freePort } from '../../inherit/ephemeral-socket.ts'
import { preloadUrl } from '../../inherit/preload-url.ts'
import { fixedPort } from '../../inherit/turn-listen.ts'
import { cleanUp, get, onCleanUp, socketsOf, startApp, startNodeApp, temporaryFolder, until } from './support.ts'

afterEach(cleanUp)

describe('unmodified programs under the preload', () => {
  test('an Express 5 program takes up the socket, says READY, and sees none of the variables', async () => {
    const app = await startNodeApp('inherit-express.mjs')
    expect(await app.notice('READY')).toBe('1')
    const reply = await get(app.port)
    expect(JSON.parse(reply.body)).toEqual({ pid: app.pid, env: [] })
    expect(app.log()).toBe('express is up\n')
  })

  test.each([['its default host, which is two addresses', undefined], ['0.0.0.0', '0.0.0.0']])('a Fastify 5 program listening on %s takes it up', async (_what, host) => {
    const app = await startNodeApp('inherit-fastify.mjs', { APP_HOST: host })
    await app.notice('READY')
    expect(JSON.parse((await get(app.port)).body)).toEqual({ pid: app.pid })
  })

  test('a ws program takes it up and echoes over a WebSocket', async () => {
    const app = await startNodeApp('inherit-ws.mjs')
    await app.notice('READY')
    const socket = new WebSocket(`ws://127.0.0.1:${app.port}`)
    const echoed = await new Promise<string>((resolve, reject) => {
      socket.on('error', reject)
      socket.on('open', () => socket.send('hello'))
      socket.on('message', (data: Buffer) => resolve(data.toString()))
    })
    socket.terminate()
    expect(echoed).toBe('echo hello')
  })

  test('a CommonJS entry without an extension (bin/www) is still the main module', async () => {
    const entry = path.join(temporaryFolder(), 'www')
    const program = "require('node:http').createServer((request, response) => response.end(`${require.main === module} ${process.pid}`)).listen(process.env.PORT || '3000')"
    writeFileSync(entry, program)
    const app = await startNodeApp(entry)
    await app.notice('READY')
    expect((await get(app.port)).body).toBe(`true ${app.pid}`)
  })

  test.each([
    'port', 'portCallback', 'portHost', 'portHostBacklog', 'portBacklog', 'text', 'options', 'optionsText', 'optionsSignal', 'addressAtOnce', 'tcp',
  ])('listen called in the form "%s" is turned into taking up', async (form) => {
    const app = await startNodeApp('inherit-forms.mjs', { FORM: form })
    await app.notice('READY')
    expect((await get(app.port)).body).toBe(String(app.pid))
    if (form === 'addressAtOnce') expect(app.log()).toBe(`address ${app.port}\n`)
    else if (form !== 'port' && form !== 'text') await until('the callback', () => app.log().startsWith('listening called back'))
    if (form === 'optionsSignal') {
      process.kill(app.pid, 'SIGUSR2')
      await until('the close by signal', () => app.log().includes('closed by signal'))
    }
  })

  test('an http2 server takes it up', async () => {
    const app = await startNodeApp('inherit-forms.mjs', { FORM: 'http2' })
    await app.notice('READY')
    const session = http2.connect(`http://127.0.0.1:${app.port}`)
    session.on('error', () => {})
    const body = await new Promise<string>((resolve, reject) => {
      const stream = session.request({ ':path': '/' })
      let text = ''
      stream.on('error', reject)
      stream.on('data', (chunk: Buffer) => (text += chunk.toString()))
      stream.on('end', () => resolve(text))
    })
    session.destroy()
    expect(body).toBe(String(app.pid))
  })

  test('a program that ignores PORT is given the socket for its first fixed port, with one warning', async () => {
    const fixed = await freePort()
    const app = await startNodeApp('inherit-forms.mjs', { FORM: 'fixed', FIXED_PORT: String(fixed) })
    await app.notice('READY')
    expect((await get(app.port)).body).toBe(String(app.pid))
    await expect(get(fixed)).rejects.toThrow('ECONNREFUSED')
    const warnings = app.log().split('\n').filter((line) => line.startsWith('gracer: '))
    expect(warnings).toEqual([expect.stringContaining(`instead of port ${fixed}`)])
  })

  test('a program that listens on PORT only after another fixed port is told why PORT is taken', async () => {
    const fixed = await freePort()
    const app = await startNodeApp('inherit-forms.mjs', { FORM: 'fixedThenPort', FIXED_PORT: String(fixed) })
    await until('the error', () => app.log().includes('second listen: EADDRINUSE'))
    expect(app.log()).toContain(`meant for port ${app.port}, but the program listened on ${fixed} first`)
  })

  test('port 0, a unix path and a port in GRACER_KEEP_PORTS are left alone, and PORT still gets the socket', async () => {
    const fixed = await freePort()
    const unixPath = path.join(temporaryFolder(), 's')
    const app = await startNodeApp('inherit-forms.mjs', { FORM: 'others', FIXED_PORT: String(fixed), UNIX_PATH: unixPath, GRACER_KEEP_PORTS: `1,${fixed}` })
    await app.notice('READY')
    expect((await get(app.port)).body).toBe(String(app.pid))
    const [any, unix, kept] = JSON.parse(await until('addresses', () => /addresses (.*)\n/.exec(app.log())?.[1])) as [number, string, number]
    expect((await get(any)).body).toBe('any')
    expect(unix).toBe(unixPath)
    expect((await get(0, { socketPath: unixPath })).body).toBe('unix')
    expect(kept).toBe(fixed)
    expect((await get(fixed)).body).toBe('kept')
    expect(existsSync(unixPath)).toBe(true)
  })

  test('each of two sockets goes to the listen for its own port, whatever the order, and READY waits for both', async () => {
    const [web, admin] = [bindWithoutAccepting('127.0.0.1', 0), bindWithoutAccepting('127.0.0.1', 0)]
    onCleanUp(web.close)
    onCleanUp(admin.close)
    const app = await startApp({
      command: [process.execPath, '--import', preloadUrl(), 'inherit-forms.mjs'],
      env: { FORM: 'two', PORT: String(web.port), FIXED_PORT: String(admin.port) },
      socketNames: ['web', 'admin'],
      fds: [web.fd, admin.fd],
    })
    await until('the first', () => app.log().includes('admin is up'))
    expect(app.notices).toEqual([])
    process.kill(app.pid, 'SIGUSR2')
    await app.notice('READY')
    expect((await get(web.port)).body).toBe(String(app.pid))
    expect((await get(admin.port)).body).toBe('admin')
    expect(app.log()).not.toContain('gracer:')
  })

  test('where no socket was handed down next to nothing is loaded', () => {
    const folder = temporaryFolder()
    const env = { PATH: process.env['PATH'], NODE_V8_COVERAGE: folder, LISTEN_PID: '1', LISTEN_FDS: '1' }
    const ran = spawnSync(process.execPath, ['--import', preloadUrl(), '-p', 'process.env.LISTEN_FDS'], { env, encoding: 'utf8' })
    expect(ran.stdout).toBe('1\n')
    const scripts = readdirSync(folder).flatMap((file) => readFileSync(path.join(folder, file), 'utf8').match(/[\w-]+\.js(?=")/g) ?? [])
    expect([...new Set(scripts)].filter((script) => script !== 'preload.js')).toEqual([])
    expect(scripts).toContain('preload.js')
  })

  test('forks and worker threads inherit --import, and neither the socket nor the variables', async () => {
    const app = await startNodeApp('inherit-fork.mjs')
    await app.notice('READY')
    const { own, seen, workerPort, pid } = JSON.parse((await get(app.port)).body) as {
      own: string[]; seen: { execArgv: string[]; port: number; env: string[]; sockets: string[] }; workerPort: number; pid: number
    }
    expect(pid).toBe(app.pid)
    expect(seen.execArgv).toContain('--import')
    expect(seen.env).toEqual([])
    expect(own.length).toBeGreaterThanOrEqual(2)
    expect(seen.sockets.filter((socket) => own.includes(socket))).toEqual([])
    expect([seen.port, workerPort]).not.toContain(app.port)
  })

  test('a node:cluster program serves from its workers on the socket that its primary took up', async () => {
    const app = await startNodeApp('inherit-cluster.mjs')
    await app.notice('READY')
    const seen = new Set<number>()
    await until('replies from both workers', async () => {
      const { pid, primary } = JSON.parse((await get(app.port)).body) as { pid: number; primary: number }
      expect(primary).toBe(app.pid)
      seen.add(pid)
      return seen.size === 2
    })
    expect(seen.has(app.pid)).toBe(false)
  })

  test('the program holds the listening socket once, and this process not at all', async () => {
    const before = socketsOf('self')
    const app = await startNodeApp('inherit-express.mjs')
    await app.notice('READY')
    const listening = socketsOf(app.pid)
    // The socket, and the notify stream.
    expect(listening.length).toBe(2)
    expect(new Set(listening).size).toBe(2)
    // Ours: only our end of the notify stream more.
    expect(socketsOf('self').filter((socket) => !before.includes(socket)).length).toBe(1)
  })
})

describe('fixedPort', () => {
  test.each([
    [[8080], 8080], [['8080'], 8080], [[' 8080 ', 'localhost'], 8080], [[{ port: 8080 }], 8080], [[{ port: '8080', host: '::' }], 8080],
    [[{ port: 8080, path: '/x' }], 8080],
    [[], undefined], [[0], undefined], [['0'], undefined], [[null], undefined], [[undefined, 'localhost'], undefined], [[() => {}], undefined],
    [['/run/app.sock'], undefined], [['-1'], undefined], [[''], undefined], [[99999], undefined], [[80.5], undefined],
    [[{ path: '/run/app.sock' }], undefined], [[{ fd: 4, port: 8080 }], undefined], [[{ handle: {}, port: 8080 }], undefined], [[{ _handle: {} }], undefined],
  ])('reads %j as %j', (args, port) => {
    expect(fixedPort(args)).toBe(port)
  })
})
