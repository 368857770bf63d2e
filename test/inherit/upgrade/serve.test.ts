import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, describe, expect, test } from 'vitest'

import { freePort } from '../../../inherit/ephemeral-socket.ts'
import { serve } from '../../../inherit/upgrade/serve.ts'
import { root } from '../../support/gracer-process.ts'
import { until } from '../../support/deadline.ts'
import { ask, type Standalone } from '../../support/standalone.ts'
import { cleanUp, temporaryFolder } from '../support.ts'
import { connect, settled, start, upgraded } from './support.ts'

afterEach(cleanUp)

const quiet = { signals: false, log: false, host: '127.0.0.1' } as const

describe('serve()', () => {
  test('serves a handler where it is told, and close() takes everything away again', async () => {
    const folder = temporaryFolder()
    const [pidFile, control] = [join(folder, 'pid'), join(folder, 'run', 'control.sock')]
    const running = await serve((_request, response) => response.end('hello'), { ...quiet, pidFile, control })
    expect(running).toMatchObject({ generation: 1, inherited: false, address: { host: '127.0.0.1', path: null, inherited: false } })
    const port = running.address.port ?? 0
    expect((await ask({ host: '127.0.0.1', port })).body).toBe('hello')
    expect(readFileSync(pidFile, 'utf8')).toBe(`${process.pid}\n`)
    expect([statSync(control).mode & 0o777, statSync(join(folder, 'run')).mode & 0o777]).toEqual([0o600, 0o700])
    const report = await running.close()
    expect(report).toEqual({ finished: 0, cut: 0, upgraded: 0, idle: 0, milliseconds: expect.any(Number) as number })
    expect(await running.closed).toEqual(report)
    expect([existsSync(pidFile), existsSync(control)]).toEqual([false, false])
    await expect(running.upgrade()).rejects.toMatchObject({ code: 'busy', reason: 'this process serves no more' })
    // The process may serve again.
    await (await serve(() => {}, quiet)).close()
  })

  test('a second one in the same process is refused, with what to do', async () => {
    const running = await serve(() => {}, quiet)
    await expect(serve(() => {}, quiet)).rejects.toMatchObject({ code: 'already-serving', hint: expect.stringContaining('several listeners by name') as string })
    await running.close()
  })

  test('options that are none are named, with what was expected, and nothing is left', async () => {
    const wrong = (options: object): Promise<unknown> => serve(() => {}, { ...quiet, ...options })
    await expect(wrong({ drainTimeout: 3 })).rejects.toMatchObject({ code: 'serve-options', exitCode: 2, message: expect.stringMatching(/no option "drainTimeout"; there are .*drainTimeoutMs/) as string })
    await expect(wrong({ drainTimeoutMs: '3s' })).rejects.toThrow('the option "drainTimeoutMs" must be milliseconds, 0 or more, not "3s"')
    await expect(wrong({ startTimeoutMs: -1 })).rejects.toThrow('not -1')
    await expect(wrong({ signals: { SIGKILL: true } })).rejects.toThrow('SIGUSR2, SIGHUP, SIGTERM, SIGINT')
    await expect(wrong({ front: 'yes' })).rejects.toThrow('must be a boolean, not "yes"')
    await expect(serve(() => {}, 8080 as never)).rejects.toThrow('the options must be an object, not 8080')
    await (await serve(() => {}, quiet)).close()
  })

  test('a port as it comes in a variable is a port, and what is none is not taken for "any free port"', async () => {
    const free = await freePort()
    const running = await serve(() => {}, { ...quiet, port: String(free) })
    expect(running.address.port).toBe(free)
    await running.close()
    for (const [port, shown] of [[Number.NaN, 'NaN'], ['', '""'], [70_000, '70000'], [null, 'null'], ['/run/app.sock', '"/run/app.sock"']]) {
      await expect(serve(() => {}, { ...quiet, port: port as number })).rejects.toMatchObject({ code: 'serve-options', message: `serve: the option "port" must be a number from 0 (any free port) to 65535, not ${shown}` })
    }
    await expect(serve(() => {}, { ...quiet, path: './x', port: 1 })).rejects.toThrow('"path" and "port" exclude each other')
    await expect(serve(() => {}, { ...quiet, host: 'no.such.host.invalid' })).rejects.toMatchObject({ code: 'bind-failed' })
  })

  test('listeners that are none are named, with what was expected', async () => {
    const { host: _host, ...silent } = quiet
    const wrong = (target: unknown, options: object = silent): Promise<unknown> => serve(target as never, options)
    const handler = (): void => {}
    await expect(wrong({})).rejects.toMatchObject({ code: 'serve-options' })
    await expect(wrong({ 'a:b': { port: 0, handler } })).rejects.toThrow('"a:b" cannot be the name of a listener')
    await expect(wrong({ web: { port: 0 } })).rejects.toThrow('the listener "web" needs a handler')
    await expect(wrong({ web: null })).rejects.toThrow('the listener "web" must be an object with a handler or a server and where it listens, not null')
    await expect(wrong({ web: { handler, prot: 80 } })).rejects.toThrow('the listener "web" has no option "prot"')
    await expect(wrong({ web: { handler, port: 'x' } })).rejects.toThrow('the option "port" of the listener "web" must be')
    // It would listen on all addresses.
    await expect(wrong({ web: { handler } }, quiet)).rejects.toThrow('"host" is said of each listener')
    await expect(wrong(undefined)).rejects.toThrow('expected a request handler, a server, or listeners by name, not undefined')
    await expect(wrong(new (class App {})())).rejects.toMatchObject({ message: expect.stringContaining('an instance of App') as string, hint: expect.stringContaining('app.callback()') as string })
    const server = http.createServer()
    await expect(wrong({ a: { server }, b: { server } })).rejects.toThrow('two listeners have the same server')
    await expect(wrong({ a: { server, handler } })).rejects.toThrow('has a handler and a server')
    server.listen(0, '127.0.0.1')
    await until('the server', () => server.listening)
    await expect(wrong(server)).rejects.toThrow('listens already')
    server.close()
  })

  test('an onDrain that fails, at once or later, does not end a process that still answers', async () => {
    const lines: string[] = []
    for (const onDrain of [() => Promise.reject(new Error('later')), () => { throw new Error('at once') }]) {
      await (await serve(() => {}, { ...quiet, onDrain, log: (line) => lines.push(line) })).close()
    }
    expect(lines.filter((line) => line.startsWith('onDrain'))).toEqual(['onDrain failed: later', 'onDrain failed: at once'])
  })

  test('a taken port, an unsafe control folder and an impossible pid file leave nothing behind', async () => {
    const folder = temporaryFolder()
    const taken = await serve(() => {}, quiet)
    const port = taken.address.port ?? 0
    await taken.close()
    const holder = http.createServer().listen(port, '127.0.0.1')
    await expect(serve(() => {}, { ...quiet, port, pidFile: join(folder, 'pid') })).rejects.toMatchObject({ code: 'port-taken' })
    expect(existsSync(join(folder, 'pid'))).toBe(false)
    holder.close()
    const open = join(folder, 'open')
    mkdirSync(open, { mode: 0o755 })
    await expect(serve(() => {}, { ...quiet, control: join(open, 'c.sock') })).rejects.toMatchObject({ code: 'control-unsafe', message: expect.stringContaining('has mode 0755') as string })
    await expect(serve(() => {}, { ...quiet, pidFile: join(folder, 'no', 'pid') })).rejects.toMatchObject({ code: 'pid-file' })
    const after = await serve(() => {}, { ...quiet, port })
    expect(after.address.port).toBe(port)
    await after.close()
  })

  test('an upgrade is given up by its signal', async () => {
    const running = await serve(() => {}, quiet)
    await expect(running.upgrade({ signal: AbortSignal.abort('changed my mind') })).rejects.toMatchObject({ code: 'aborted', reason: expect.stringContaining('changed my mind') as string })
    await running.close()
  })
})

/** A program whose serve.json names the options, with more than HTTP. */
function program(text: string): { prepare: (folder: string) => void; command: string[] } {
  const library = pathToFileURL(join(root, 'dist/inherit/index.js')).href
  return {
    command: [process.execPath, 'program.mjs'],
    prepare: (folder) => writeFileSync(join(folder, 'program.mjs'), `import { serve } from ${JSON.stringify(library)}
import { readFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import http2 from 'node:http2'
import net from 'node:net'
const { host, port, control, ...more } = JSON.parse(readFileSync('serve.json'))
const options = { control, confirmMs: 50, ...more.options }
const hello = (_request, response) => response.end(\`\${process.pid} \${running.generation} \${readFileSync('release.txt')}\`)
${text}
console.log(JSON.stringify([...running.addresses]))
`),
  }
}

function addresses(one: Standalone): [string, { host: string | null; port: number | null; path: string | null; inherited: boolean }][] {
  return JSON.parse(one.log().split('\n').filter((line) => line.startsWith('[')).at(-1) ?? 'null') as ReturnType<typeof addresses>
}

const identity = (() => {
  let made: { key: string; cert: string } | undefined
  return () => {
    if (made !== undefined) return made
    const folder = temporaryFolder()
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', join(folder, 'key'), '-out', join(folder, 'cert'), '-days', '1', '-subj', '/CN=localhost'], { stdio: 'ignore' })
    made = { key: readFileSync(join(folder, 'key'), 'utf8'), cert: readFileSync(join(folder, 'cert'), 'utf8') }
    return made
  }
})()

describe('several listeners', () => {
  test.each([[false], [true]])('HTTP, HTTPS, HTTP/2 over TLS, plain TCP and a unix socket go over together (front: %s)', async (front) => {
    const { key, cert } = identity()
    const sockets = join(temporaryFolder(), 'app.sock')
    const tls = `{ key: ${JSON.stringify(key)}, cert: ${JSON.stringify(cert)}`
    const one = await start({
      ...program(`const running = await serve({
        web: { handler: hello, port, host },
        secure: { server: https.createServer(${tls} }, hello), port: 0, host },
        modern: { server: http2.createSecureServer(${tls} }, hello), port: 0, host },
        echo: { server: net.createServer((socket) => socket.on('error', () => {}).pipe(socket)), port: 0, host },
        local: { handler: hello, path: ${JSON.stringify(sockets)} },
      }, options)`),
      serve: { options: { front } },
    })
    const listed = async (): Promise<Map<string, { addr: string | null; filename: string | null }>> => new Map((await one.describe()).listeners.map((each) => [each.name, each]))
    const before = await listed()
    expect([...before.keys()]).toEqual(['web', 'secure', 'modern', 'echo', 'local'])
    const portOf = (name: string): number => Number(before.get(name)?.addr?.split(':').at(-1))
    const echo = await connect({ port: portOf('echo'), host: '127.0.0.1' })
    echo.socket.write('still ')
    await echo.sees('still ')
    const all = (): Promise<string[]> => Promise.all([
      one.get('/'),
      secureGet(portOf('secure')),
      modernGet(portOf('modern')),
      ask({ socketPath: sockets }).then((reply) => reply.body),
    ])
    expect((await all()).map((text) => text.split(' ').slice(1).join(' '))).toEqual(Array(4).fill('1 r1'))
    const pid = await upgraded(one)
    await until('the new one alone to be asked', async () => (await all()).every((text) => text.startsWith(`${pid} 2 `)))
    expect([...await listed()].map(([name, { addr, filename }]) => [name, addr, filename])).toEqual([...before].map(([name, { addr, filename }]) => [name, addr, filename]))
    expect(addresses(one).map(([name, address]) => [name, address.inherited])).toEqual([...before.keys()].map((name) => [name, true]))
    // A connection of plain TCP stays with the one that accepted it.
    echo.socket.write('here')
    await echo.sees('still here')
    echo.socket.end()
    await settled(one, front ? 2 : 1)
    expect(statSync(sockets).isSocket()).toBe(true)
    const last = front ? (one.child.pid ?? 0) : pid
    process.kill(last, 'SIGTERM')
    await until('the end', () => one.pids().length === 0)
    expect(existsSync(sockets)).toBe(false)
  }, 60_000)

  test('the next code may add a listener, leave one out, or change an address: the socket follows what it says', async () => {
    const [added, changed] = [await freePort(), await freePort()]
    const text = (specs: string): string => `const running = await serve({ ${specs} }, options)`
    const one = await start(program(text('web: { handler: hello, port, host }, admin: { handler: hello, port: 0, host }')))
    const admin = addresses(one).find(([name]) => name === 'admin')?.[1].port ?? 0
    expect((await ask({ host: '127.0.0.1', port: admin })).status).toBe(200)
    program(text(`web: { handler: hello, port, host }, more: { handler: hello, port: ${added}, host }`)).prepare(one.folder)
    const second = await upgraded(one)
    await settled(one)
    expect((await ask({ host: '127.0.0.1', port: added })).body).toBe(`${second} 2 r1`)
    await expect(ask({ host: '127.0.0.1', port: admin })).rejects.toThrow('ECONNREFUSED')
    program(text(`web: { handler: hello, port, host }, more: { handler: hello, port: ${changed}, host }`)).prepare(one.folder)
    const third = await upgraded(one)
    await settled(one)
    expect((await ask({ host: '127.0.0.1', port: changed })).body).toBe(`${third} 3 r1`)
    await expect(ask({ host: '127.0.0.1', port: added })).rejects.toThrow('ECONNREFUSED')
    expect((await one.get('/')).split(' ')[0]).toBe(String(third))
  }, 60_000)

  test('unix sockets that the next code has elsewhere leave no dead path behind, those that it takes up stay', async () => {
    const at = (folder: string): string => `const running = await serve({ web: { handler: hello, port, host }, moves: { handler: hello, path: '${folder}.sock' }, stays: { handler: hello, path: 'stays.sock' } }, { ...options, control: '${folder}/control.sock' })`
    const one = await start({ ...program(at('run')) })
    program(at('next')).prepare(one.folder)
    const stays = statSync(join(one.folder, 'stays.sock')).ino
    const pid = await upgraded(one)
    await until('the old one to be gone', () => one.pids().length === 1)
    expect(['run.sock', 'run/control.sock', 'next.sock', 'next/control.sock'].map((name) => existsSync(join(one.folder, name)))).toEqual([false, false, true, true])
    expect((await ask({ socketPath: join(one.folder, 'next.sock') })).body).toBe(`${pid} 2 r1`)
    expect(statSync(join(one.folder, 'stays.sock')).ino).toBe(stays)
    expect((await ask({ socketPath: join(one.folder, 'stays.sock') })).body).toBe(`${pid} 2 r1`)
  }, 40_000)

  test('an address that cannot be had is a successor that fails, and the old one serves on', async () => {
    const holder = http.createServer().listen(0, '127.0.0.1')
    await until('the holder', () => holder.listening)
    const { port } = holder.address() as { port: number }
    const one = await start(program('const running = await serve({ web: { handler: hello, port, host } }, options)'))
    program(`const running = await serve({ web: { handler: hello, port, host }, more: { handler: hello, port: ${port}, host } }, options)`).prepare(one.folder)
    const result = await one.upgrade()
    holder.close()
    expect(result).toMatchObject({ ok: false, code: 'exited' })
    if (!result.ok) expect(result.lines.join('\n')).toContain(`127.0.0.1:${port} is taken`)
    expect(await one.get('/')).toMatch(/ 1 r1$/)
  }, 40_000)
})

function secureGet(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    https.get({ host: '127.0.0.1', port, rejectUnauthorized: false, agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk)).on('end', () => resolve(text))
    }).on('error', reject)
  })
}

/** A stream that the old process refuses in its last moment was not processed, and is asked again (RFC 9113, section 8.7). */
async function modernGet(port: number): Promise<string> {
  try {
    return await modernGetOnce(port)
  } catch (error) {
    if (!(error as Error).message.includes('NGHTTP2_REFUSED_STREAM')) throw error
    return await modernGetOnce(port)
  }
}

function modernGetOnce(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const session = http2.connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false })
    session.on('error', reject)
    const stream = session.request({ ':path': '/' })
    let text = ''
    stream.on('error', reject).setEncoding('utf8').on('data', (chunk: string) => (text += chunk)).on('end', () => {
      session.close()
      resolve(text)
    })
  })
}
