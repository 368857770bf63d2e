import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { planBoot } from '../../agent/boot/plan.ts'
import { loadConfig } from '../../agent/config/load.ts'
import type { ErrorBody } from '../../agent/control/shapes.ts'
import { startLoad, type Load } from '../load/load.ts'
import { until } from '../support/deadline.ts'
import { firstRelease, moveIn } from '../support/drop.ts'
import { GracerProcess, runCli } from '../support/gracer-process.ts'
import { explain, linesOf } from './observe.ts'
import { server, writeFiles, writeRelease } from './write-release.ts'

// Whatever comes in: the answer names the place, what was expected and what came, and nothing is lost by it.

describe('flags and config, with no gracer running', () => {
  let folder: string

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'gracer-input-'))
  })

  afterAll(() => {
    rmSync(folder, { recursive: true, force: true })
  })

  const flags: readonly (readonly [string, string | RegExp])[] = [
    ['frob', "unknown command 'frob'; expected one of up, "],
    ['swap --until never', /'--until <phase>' argument 'never' is invalid.*flip, drained, confirmed/],
    ['swap --timeout 5', /'--timeout <duration>'.*expected a duration .*unit.*got "5"/],
    ['swap --timeout 25h', /expected a duration from 1ms to 24h.*got "25h"/],
    ['swap --frobnicate', /unknown option '--frobnicate'; expected one of --until, --timeout/],
    ['swap one two', /too many arguments for 'swap'.*Expected 1 argument but got 2/],
    ['swap --canary 500', /'--canary <percent>'.*got "500"/],
    ['logs -n some', /'-n <lines>'.*expected a whole number from 0 to 9999999, got "some"/],
    ['history -n 0', /'-n <count>'.*expected a whole number from 1 to 99999, got "0"/],
    ['up --workers 0 -- node x.js', /'--workers <n>'.*expected a whole number from 1 to 64, got "0"/],
    ['up --listen nowhere -- node x.js', /--listen: expected an address such as "127\.0\.0\.1:8080".*got "nowhere"/],
    ['check --config missing.json', /missing\.json does not exist/],
  ]

  test('each bad flag: exit 2, nothing on stdout, and one message that says what was expected and what came', async () => {
    for (let at = 0; at < flags.length; at += 4) {
      await Promise.all(flags.slice(at, at + 4).map(async ([line, says]) => {
        const { code, stdout, stderr } = await runCli(folder, line.split(' '))
        expect({ line, code, stdout }).toEqual({ line, code: 2, stdout: '' })
        expect(stderr).toMatch(/^gracer: /)
        expect(stderr).toMatch(says)
      }))
    }
  })

  test('a config with many errors: all of them at once, each with its path, from check and from up alike', async () => {
    const bad = { listen: 8080, workers: '2', heatlh: {}, health: { deadline: '60', expect: '2xx', path: 'healthz' }, drain: { timeout: -1 }, command: 'node server.js', hold: { max: 1.5 }, bake: null }
    const path = join(writeFiles(folder, { 'gracer.json': JSON.stringify(bad) }), 'gracer.json')
    for (const command of [['check'], ['up', '--', 'node', 'server.js']]) {
      const { code, stdout, stderr } = await runCli(folder, command)
      expect(code).toBe(2)
      expect(stdout).toBe('')
      expect(stderr).toContain(`${path} has `)
      for (const says of [
        /^ {2}listen: expected an address .*, got 8080$/m, /^ {2}workers: expected a whole number .*, got "2"$/m, /^ {2}heatlh: unknown key; did you mean "health"\?$/m,
        /^ {2}health\.deadline: expected a duration .*, got "60"$/m, /^ {2}health\.expect: expected status codes .*, got "2xx"$/m, /^ {2}health\.path: expected a path .*, got "healthz"$/m,
        /^ {2}drain\.timeout: expected a duration .*, got -1$/m, /^ {2}hold\.max: expected a whole number .*, got 1\.5$/m, /^ {2}bake: expected a duration .*, got null$/m,
      ]) expect(stderr).toMatch(says)
      // `up` was given a command, which wins over the one in the file.
      if (command[0] === 'check') expect(stderr).toMatch(/^ {2}command: expected the program and its arguments as an array of strings.*, got "node server\.js"$/m)
    }
    writeFileSync(path, '{ "listen": "127.0.0.1:8080",\n  "bake": 20s }')
    const torn = await runCli(folder, ['check'])
    expect(torn.code).toBe(2)
    expect(torn.stderr).toContain(`${path}:2:11`)
  })

  test('a folder that may not be read is named, with who must be able to read it', () => {
    const secret = join(folder, 'secret')
    mkdirSync(secret, { mode: 0o000 })
    const empty = writeFiles(join(folder, 'empty'), { 'gracer.json': '{}' })
    const [service] = loadConfig({ cwd: empty }).services
    if (service === undefined) throw new Error('a config has a service')
    // Root may read everything; its effective user is what the kernel asks about files.
    const root = process.geteuid?.() === 0
    if (root) process.seteuid?.(65_534)
    try {
      expect(() => planBoot(service, secret)).toThrow(expect.objectContaining({
        exitCode: 2, message: `${secret} cannot be read (EACCES)`, hint: expect.stringMatching(/^The user that runs gracer \(.+\) must be able to read and enter it\.$/) as string,
      }))
    } finally {
      if (root) process.seteuid?.(0)
    }
  })
})

describe('what reaches a running gracer', () => {
  const config = { settle: '100ms', bake: '200ms', health: { path: '/healthz', interval: '50ms', timeout: '1s', deadline: '5s' } }
  let gracer: GracerProcess
  let load: Load
  let livePid: number | null

  beforeAll(async () => {
    gracer = await GracerProcess.startWith({ config }, (one) => firstRelease(one, 'r0'))
    livePid = (await gracer.status()).services[0]?.releases[0]?.pid ?? null
    load = startLoad({ port: gracer.port, connections: 10, rate: 100, kinds: ['keep-alive', 'fresh', 'post'] })
    await until('the load to run', () => load.counts().requests > 20)
  })

  afterEach(async () => {
    const status = await gracer.status()
    expect(status).toMatchObject({ lost: 0, violations: 0 })
    expect(status.services[0]).toMatchObject({ live: 'r0', confirmed: true })
    expect(status.services[0]?.releases.find((release) => release.name === 'r0')?.pid).toBe(livePid)
    expect(load.counts()).toMatchObject({ failed: 0, releasesSeen: ['r0'] })
  })

  afterAll(async () => {
    const report = await load?.stop()
    await gracer?.end()
    expect(report?.failures).toEqual([])
  })

  /** Writes bytes to the control socket and gives what comes back until it is closed. */
  function raw(bytes: string | Buffer): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connect(join(gracer.folder, '.gracer', 'control.sock'))
      let text = ''
      socket.on('error', (error: NodeJS.ErrnoException) => (error.code === 'EPIPE' || error.code === 'ECONNRESET' ? resolve(text) : reject(error)))
      socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
      socket.once('close', () => resolve(text))
      socket.end(bytes)
    })
  }

  async function refused(method: string, path: string, body: unknown): Promise<ErrorBody['error']> {
    return (JSON.parse(await gracer.control(method, path, body)) as ErrorBody).error
  }

  test('garbage on the control socket is answered in words, and clients that say nothing keep nobody out', async () => {
    expect(await raw('\x16\x03\x01\x02\x00 this is TLS, is it not?\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 [\s\S]*this is no HTTP request/)
    expect(await raw(Buffer.alloc(100_000, 0x41))).toMatch(/^HTTP\/1\.1 4\d\d /)
    expect(await raw(`GET /v1/status HTTP/1.1\r\nhost: gracer\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 431 [\s\S]*the head holds at most/)
    const silent = Array.from({ length: 60 }, () => connect(join(gracer.folder, '.gracer', 'control.sock')).on('error', () => {}))
    try {
      expect((await gracer.status()).schema).toBe(1)
    } finally {
      for (const socket of silent) socket.destroy()
    }
  })

  test('an order that makes no sense is refused with its place, what was expected and what came', async () => {
    const path = '/v1/services/default/swap'
    expect(await refused('POST', path, { target: 7 })).toMatchObject({ code: 'bad-request', exitCode: 2, message: expect.stringMatching(/^target: .*expected string, received number/) as string })
    expect((await refused('POST', path, { traget: 'r0' })).message).toContain('traget')
    expect((await refused('POST', path, { timeoutMs: 0 })).message).toContain('timeoutMs')
    expect((await refused('POST', path, 'r0')).message).toMatch(/^body: .*expected object/)
    expect((await refused('POST', '/v1/services/shop/swap', {})).message).toBe('there is no service shop')
    expect((await refused('POST', '/v1/services/default/rollback', { release: 'v99' })).message).toBe('there is no release v99')
    expect((await refused('DELETE', '/v1/services/default/swap/v1', undefined)).message).toBe('v1 cannot be undone: it is not before its flip')
    expect((await refused('GET', '/v1/history?n=-1', undefined)).message).toBe('n: expected a whole number from 1 to 99999, got "-1"')
    expect((await refused('PATCH', '/v1/status', undefined)).message).toBe('/v1/status takes GET, got PATCH')
    expect((await refused('GET', '/../../etc/passwd', undefined)).code).toBe('no-such-path')
    for (const name of ['../r0', '..', '.', 'a/b', '-rf', 'a\nb', 'r0\u0000', 'r\u043e', 'x'.repeat(300), ' r0']) {
      const error = await refused('POST', path, { target: name })
      expect(error).toMatchObject({ code: 'bad-name', exitCode: 2 })
      expect(error.message).toMatch(/ cannot be a release: the name /)
      // Told so that it can neither move a cursor nor look like another name.
      expect(error.message).toMatch(/^[\x20-\x7e…]+$/)
    }
    expect((await refused('POST', path, { target: '' })).message).toContain('target')
  })

  test('the control socket cannot be reached from the public port', async () => {
    for (const path of ['/.gracer/', '/v1/status', '/.gracer/control.sock']) {
      const response = await fetch(`${gracer.url}${path}`, { headers: { connection: 'close' } })
      // It is the app that says 404, as it does for whatever it does not know.
      expect([response.status, response.headers.get('x-release')]).toEqual([404, 'r0'])
    }
  })

  function notices(code: string): Record<string, unknown>[] {
    return gracer.gracerLog().filter((line) => line.event === 'drops.notice' && line['code'] === code)
  }

  test('drops with names that are none are never booted, and told in a way that no terminal is harmed by', async () => {
    const names = ['two words', '-rf', '\u0440elease', 'line\nbreak', '\u001b[2Jclear', 'x'.repeat(65), 'semi;colon', 'v2~', '#r1']
    const paths = names.map((_, index) => writeRelease(gracer, `bad-name-${index}`, { 'server.mjs': server(`res.end('ok')`) }))
    for (const [index, name] of names.entries()) await moveIn(gracer, paths[index] ?? '', name)
    await until('all of them to be told', () => notices('name-refused').length >= names.length)
    for (const notice of notices('name-refused')) {
      expect(notice['message']).toMatch(/^[\x20-\x7e…]+ is not taken: its name (does not begin with a letter or a digit|holds a character other than|has 65 characters)/)
      expect(notice['hint']).toContain('^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$')
    }
    for (const name of names) expect(linesOf(join(gracer.releases, name, 'boots.log'))).toEqual([])
    // Names that only begin oddly, or end so, are names.
    expect((await gracer.cli('explain', '--', '-rf')).code).toBe(2)
  })

  test('what is no build is not taken, and each kind is told with what to do instead', async () => {
    const outside = writeRelease(gracer, 'outside', { 'server.mjs': server(`res.end('ok')`) })
    symlinkSync(outside, join(gracer.releases, 'linked'))
    execFileSync('mkfifo', [join(gracer.releases, 'pipe')])
    writeFileSync(join(gracer.releases, 'build.zip'), 'packed otherwise')
    writeFileSync(join(gracer.releases, 'notes.txt'), 'no program')
    writeFileSync(join(gracer.folder, 'build.tgz'), 'not even an archive')
    await until('all four to be told', () => notices('symlink-refused').length === 1 && notices('special-refused').length === 1 && notices('file-ignored').length === 2)
    expect(notices('symlink-refused')[0]).toMatchObject({ message: `${join(gracer.releases, 'linked')} is a symlink, and only \`current\` may be one.`, hint: 'Move or copy what it leads to there.' })
    const ignored = new Map(notices('file-ignored').map((notice) => [notice['path'], notice]))
    expect(ignored.get(join(gracer.releases, 'build.zip'))).toMatchObject({ message: expect.stringContaining('is packed in a way that gracer does not unpack') as string, hint: expect.stringContaining('Drop a .tgz, .tar.gz or .tar') as string })
    expect(ignored.get(join(gracer.releases, 'notes.txt'))).toMatchObject({ message: expect.stringContaining('has no x bit') as string, hint: expect.stringContaining('chmod +x notes.txt') as string })
    expect(linesOf(join(outside, 'boots.log'))).toEqual([])
    expect(await gracer.cli('swap', './build.tgz')).toMatchObject({ code: 1, stderr: expect.stringContaining('build.tgz is no tar archive that could be unpacked') as string })
    expect(await gracer.cli('swap', 'linked')).toMatchObject({ code: 2 })
  })

  test('a build with a pipe in it is refused when it is taken in, and the pipe is named', async () => {
    const path = writeRelease(gracer, 'with-pipe', { 'server.mjs': server(`res.end('ok')`) })
    execFileSync('mkfifo', [join(path, 'queue')])
    await moveIn(gracer, path, 'with-pipe')
    const { failure } = await until('it to have failed', async () => {
      const found = await explain(gracer, 'with-pipe').catch(() => null)
      return found?.state === 'failed' ? found : null
    })
    expect(failure).toMatchObject({ stage: 'take-in', message: expect.stringMatching(/"queue" is neither a file nor a folder nor a symlink.*Take it out of the drop/) as string })
    expect(linesOf(join(gracer.releases, 'with-pipe', 'requests.log')).filter((line) => !line.startsWith('gracer-health '))).toEqual([])
  })

  test('nothing is taken from a folder that anybody may write to, until it is safe again', async () => {
    const path = writeRelease(gracer, 'smuggled', { 'server.mjs': server(`res.writeHead(500); res.end()`) })
    chmodSync(gracer.releases, 0o777)
    await moveIn(gracer, path, 'smuggled')
    await until('it to be told', () => notices('unsafe-folder').length === 1)
    expect(notices('unsafe-folder')[0]).toMatchObject({ message: expect.stringContaining('can be written by every user of this machine') as string, hint: expect.stringContaining(`chmod o-w ${gracer.releases}`) as string })
    expect(linesOf(join(gracer.releases, 'smuggled', 'boots.log'))).toEqual([])
    chmodSync(gracer.releases, 0o755)
    await until('the folder to be watched again', () => notices('folder-back').length === 1)
    // What came meanwhile is looked at like anything found at a start: the watch was blind, so it must settle first.
    await until('it to be tried', async () => (await explain(gracer, 'smuggled').catch(() => null))?.state === 'failed')
    expect(linesOf(join(gracer.releases, 'smuggled', 'boots.log'))).toHaveLength(1)
  })
})
