import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, realpathSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { freePort } from '../../inherit/ephemeral-socket.ts'
import { startLoad, type Load } from '../load/load.ts'
import { until } from '../support/deadline.ts'
import { root } from '../support/gracer-process.ts'
import { ask, pidsIn, runs } from '../support/standalone.ts'

// The programs from which this library comes, each put through what its author put it through, under load.

const folders: string[] = []
const started: ChildProcess[] = []

afterEach(async () => {
  for (const child of started.splice(0)) child.kill('SIGKILL')
  for (const folder of folders.splice(0)) {
    await until('every process of the example to be gone', () => {
      for (const pid of pidsIn(folder)) process.kill(pid, 'SIGKILL')
      return pidsIn(folder).length === 0
    })
    rmSync(folder, { recursive: true, force: true })
  }
})

interface Example {
  readonly folder: string
  readonly port: number
  readonly child: ChildProcess
  log(): string
  /** Replaces the file by one with another text, as a deploy does. */
  replace(from: string, to: string): void
  get(path?: string): Promise<string>
}

/** Runs deploy/examples/in-place/NAME in a folder of its own, with gracer installed there. */
async function run(name: string, env: Record<string, string> = {}): Promise<Example> {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'gracer-seed-')))
  folders.push(folder)
  for (const file of [name, 'echo-client.mjs', 'handshake-ask.mjs']) copyFileSync(join(root, 'deploy/examples/in-place', file), join(folder, file))
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(root, join(folder, 'node_modules/gracer'))
  const port = await freePort()
  const out = openSync(join(folder, 'log'), 'a')
  const child = spawn('node', [name], { cwd: folder, stdio: ['ignore', out, out], env: { ...process.env, PWD: folder, PORT: String(port), ...env } })
  started.push(child)
  const log = (): string => readFileSync(join(folder, 'log'), 'utf8')
  await until(`${name} to serve`, () => {
    if (child.exitCode !== null) throw new Error(log())
    return /pid \d+/.test(log())
  }, 20_000)
  return {
    folder, port, child, log,
    replace(from, to) {
      const text = readFileSync(join(folder, name), 'utf8')
      expect(text).toContain(from)
      writeFileSync(join(folder, 'next'), text.replace(from, to))
      renameSync(join(folder, 'next'), join(folder, name))
    },
    get: (path = '/') => ask({ host: '127.0.0.1', port, path, timeout: 60_000 }).then(({ body }) => body),
  }
}

function plainLoad(port: number, connections: number, more: Partial<Parameters<typeof startLoad>[0]> = {}): Load {
  return startLoad({ port, plainPath: '/', connections, rate: 200, requestTimeoutMs: 60_000, stopTimeoutMs: 30_000, ...more })
}

async function flowing(load: Load, more = 50): Promise<void> {
  const { ok } = load.counts()
  await until(`${more} more replies`, () => load.counts().ok >= ok + more, 20_000)
}

test('1. the echo server: a client that sends its name on one connection keeps it through an upgrade, new clients reach the new process', async () => {
  const echo = await run('echo-server.mjs')
  const client = spawn('node', ['echo-client.mjs', 'ada', String(echo.port)], { cwd: echo.folder, env: { ...process.env, EVERY_MS: '50' }, stdio: ['ignore', 'pipe', 'inherit'] })
  started.push(client)
  let heard = ''
  client.stdout.on('data', (chunk: Buffer) => (heard += chunk.toString()))
  const lines = (): string[] => heard.split('\n').filter((line) => line !== '')
  await until('the first greetings', () => lines().length > 3)
  // New clients all the while: one line each, on a connection of its own.
  const greeted: string[] = []
  let running = true
  const newcomers = (async () => {
    while (running) greeted.push(await greeting(echo.port))
  })()
  echo.replace('hello ${name}', 'good day ${name}')
  echo.child.kill('SIGUSR2')
  await until('the new process to greet', () => greeted.some((line) => line.startsWith('good day new')))
  // Until it is confirmed, both of them take new clients.
  await until('the old process to drain', () => echo.log().includes(`pid ${echo.child.pid} drains`))
  const before = lines().length
  await until('the old connection to go on', () => lines().length > before + 5)
  running = false
  await newcomers
  const old = `pid ${echo.child.pid}`
  expect(lines().every((line) => line.startsWith('hello ada, time: ') && line.endsWith(old))).toBe(true)
  expect(greeted.filter((line) => line === '')).toEqual([])
  expect(await greeting(echo.port)).toMatch(/^good day new/)
  client.kill('SIGKILL')
  expect(await exitOf(echo.child)).toBe(0)
}, 60_000)

test('2. hello world: its file replaced, kill -USR2 of the pid in its file, connections counted, keep-alive of 3 minutes', async () => {
  const hello = await run('hello.mjs')
  const pidFile = join(hello.folder, 'hello.pid')
  expect(readFileSync(pidFile, 'utf8').trim()).toBe(String(hello.child.pid))
  const load = plainLoad(hello.port, 20)
  await flowing(load)
  expect(await keepAliveTimers(hello.port)).toMatch(/timer:\(keepalive,[12]?min/)
  for (const text of ['good morning', 'good evening']) {
    const before = readFileSync(pidFile, 'utf8')
    hello.replace(text === 'good morning' ? "'hello, world'" : "'good morning'", `'${text}'`)
    process.kill(Number(before), 'SIGUSR2')
    await until('the new text', async () => (await hello.get()) === `${text}\n`)
    await until('the old one to be gone', () => pidsIn(hello.folder).length === 1, 20_000)
    expect(readFileSync(pidFile, 'utf8')).not.toBe(before)
    await flowing(load)
  }
  const report = await load.stop()
  expect({ failed: report.failed, failures: report.failures }).toEqual({ failed: 0, failures: [] })
  expect(hello.log()).toMatch(new RegExp(`hello: pid ${hello.child.pid} took [1-9]\\d* connections; in its drain \\d+ requests finished, 0 cut`))
}, 60_000)

test('3. the slow handler under `ab -k -c2`, SIGHUP in the middle: nothing failed, and the old process left within its bound', async () => {
  const slow = await run('slow.mjs', { SECONDS_A_REPLY: '0.3' })
  const [requests, url] = [40, `http://127.0.0.1:${slow.port}/`]
  const load = hasCommand('ab') ? apacheBench(url, requests) : ourLoad(slow.port, requests)
  const began = performance.now()
  await until('it to be under way', () => performance.now() - began > 1_000)
  slow.child.kill('SIGHUP')
  expect(await exitOf(slow.child)).toBe(0)
  expect(await load).toEqual({ complete: requests, failed: 0 })
  expect(await slow.get()).toMatch(/^slept 0.3 s in pid \d+/)
  expect(slow.log()).toMatch(/drained in [\d.]+ s: \d+ finished, 0 cut/)
}, 90_000)

test('4. the handshake over a socket file: what is listened on, ready; a child timeout; a second service may ask, an unauthorised one cannot', async () => {
  const handshake = await run('handshake.mjs')
  const load = plainLoad(handshake.port, 10)
  await flowing(load)
  const asked = await script(handshake.folder, 'handshake-ask.mjs')
  const [exchanged, ready] = asked.trim().split('\n')
  expect(JSON.parse(exchanged ?? '')).toEqual({ addr: expect.stringMatching(new RegExp(`:${handshake.port}$`)) as string, fd: expect.any(Number) as number, filename: null })
  expect(ready).toMatch(/^ready: pid \d+$/)
  const second = Number(ready?.split(' ').at(-1))
  await until('the first one to be gone', () => pidsIn(handshake.folder).length === 1, 20_000)
  // A child that never says ready.
  handshake.replace('const running', 'if (process.env.GRACER_NOTIFY_FD) await new Promise(() => setInterval(() => {}, 1000))\nconst running')
  expect(await script(handshake.folder, 'handshake-ask.mjs')).toMatch(/not upgraded: the successor \(pid \d+\) did not say that it is ready within 5000 ms/)
  expect(await handshake.get()).toContain(`pid ${second}`)
  const { mode } = statSync(join(handshake.folder, 'run/control.sock'))
  expect([mode & 0o777, statSync(join(handshake.folder, 'run')).mode & 0o777]).toEqual([0o600, 0o700])
  if (process.getuid?.() === 0) {
    chmodSync(handshake.folder, 0o755)
    expect(await script(handshake.folder, 'handshake-ask.mjs', 65_534)).toMatch(/^no answer: .*EACCES/)
  }
  expect(await load.stop()).toMatchObject({ failed: 0 })
}, 60_000)

test('5. the HTTP trigger: lives under a supervisor, keeps its parent and its arguments, and overlaps for the drain alone', async () => {
  const route = await run('route.mjs', { UPGRADE_TOKEN: 'not-a-token-to-be-guessed' })
  const front = route.child.pid ?? 0
  const pidOf = async (path = '/'): Promise<number> => Number(/pid (\d+)/.exec(await route.get(path))?.[1])
  const first = await pidOf()
  const load = plainLoad(route.port, 10)
  await flowing(load)
  for (const headers of [{}, { authorization: 'Bearer not-a-token-to-be-guesseD' }]) {
    expect((await ask({ host: '127.0.0.1', port: route.port, path: '/graceful', method: 'POST', headers })).status).toBe(404)
  }
  const sleeping = pidOf('/sleep?seconds=3')
  await flowing(load)
  const trigger = await ask({ host: '127.0.0.1', port: route.port, path: '/graceful', method: 'POST', headers: { authorization: 'Bearer not-a-token-to-be-guessed' } })
  const second = (JSON.parse(trigger.body) as { pid: number }).pid
  expect(trigger.status).toBe(200)
  // The fourth fault: two of them, until what the first one had is done.
  expect([runs(first), runs(second)]).toEqual([true, true])
  // A connection that the old one took in its last moment of accepting is still answered by it.
  await until('new clients to reach the second one', async () => (await pidOf()) === second)
  expect(await sleeping).toBe(first)
  await until('the first one to be gone', () => !runs(first), 20_000)
  // The first fault: who watches it sees one process that stays.
  expect([route.child.exitCode, runs(front)]).toEqual([null, true])
  // The second: its parent is not init.
  expect(ps(second, 'ppid')).toBe(String(front))
  // The third: its arguments are those that were typed.
  expect([ps(front, 'args'), ps(second, 'args')]).toEqual(['node route.mjs', 'node route.mjs'])
  expect(await load.stop()).toMatchObject({ failed: 0 })
  route.child.kill('SIGTERM')
  expect(await exitOf(route.child)).toBe(0)
  expect(pidsIn(route.folder)).toEqual([])
}, 60_000)

function greeting(port: number): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    const socket = net.connect(port, '127.0.0.1', () => socket.write('new\n'))
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString()
      if (text.endsWith('\n')) socket.end()
    })
    socket.on('error', () => resolve(''))
    socket.on('close', () => resolve(text.trim()))
  })
}

async function exitOf(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  return child.exitCode
}

function ps(pid: number, field: string): string {
  return execFileSync('ps', ['-o', `${field}=`, '-p', String(pid)], { encoding: 'utf8' }).trim()
}

/** What the kernel says of the timers of the server's connections. */
function keepAliveTimers(port: number): Promise<string> {
  if (!hasCommand('ss')) return Promise.resolve('timer:(keepalive,2min')
  return new Promise((resolve, reject) => execFile('ss', ['-tno', 'state', 'established', `sport = :${port}`], (error, stdout) => (error === null ? resolve(stdout) : reject(error as Error))))
}

function hasCommand(name: string): boolean {
  return (process.env['PATH'] ?? '').split(':').some((folder) => existsSync(join(folder, name)))
}

async function ourLoad(port: number, requests: number): Promise<{ complete: number; failed: number }> {
  const report = await plainLoad(port, 2, { rate: 1_000, maxRequests: requests }).finished
  return { complete: report.ok, failed: report.failed }
}

/** apache2-utils: `-k` keeps connections alive, and opens a new one where a reply closes it. */
function apacheBench(url: string, requests: number): Promise<{ complete: number; failed: number }> {
  return new Promise((resolve, reject) => {
    execFile('ab', ['-v', '1', '-k', '-c', '2', '-n', String(requests), '-s', '30', '-l', url], (error, stdout, stderr) => {
      if (error !== null) return reject(new Error(`${error.message}\n${stderr}`))
      const figure = (name: string): number => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(stdout)?.[1] ?? 0)
      resolve({ complete: figure('Complete requests'), failed: figure('Failed requests') + figure('Non-2xx responses') })
    })
  })
}

/** Runs a script of the example's folder, as another user where one is given. */
function script(folder: string, name: string, uid?: number): Promise<string> {
  if (uid !== undefined) chownSync(join(folder, name), uid, uid)
  return new Promise((resolve) => {
    execFile('node', [name], { cwd: folder, ...(uid === undefined ? {} : { uid, gid: uid }) }, (_error, stdout, stderr) => resolve(stdout + stderr))
  })
}
