import { chmodSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { startLoad, type Load } from '../load/load.ts'
import { until } from '../support/deadline.ts'
import { firstRelease, moveIn } from '../support/drop.ts'
import { GracerProcess, type CliResult } from '../support/gracer-process.ts'
import { explain, linesOf, NodeProcess } from './observe.ts'
import { server, writeFiles, writeRelease, type Files } from './write-release.ts'

// One gracer, one good release, a load that never ends: whatever is wrong with a build, nobody but the health check
// ever meets it, the old process is not touched, and the command says what to mend.

// `settle` is so short that half a copy would pass for a whole one many times over, but for the copying process.
const config = { settle: '100ms', bake: '300ms', health: { path: '/healthz', interval: '50ms', timeout: '400ms', deadline: '1500ms' }, drain: { stop: '1s' } }
let gracer: GracerProcess
let load: Load
let livePid: number | null

beforeAll(async () => {
  // The good one may take its time to boot, on a machine that has much to do.
  gracer = await GracerProcess.startWith({ config: { ...config, health: { path: '/healthz' } } }, (one) => firstRelease(one, 'r0'))
  gracer.writeConfig(config)
  livePid = (await gracer.status()).services[0]?.releases[0]?.pid ?? null
  load = startLoad({ port: gracer.port, connections: 24, rate: 150 })
  await until('the load to run', () => load.counts().requests > 50)
})

afterEach(async () => {
  gracer.writeConfig(config)
  const status = await gracer.status()
  expect(status).toMatchObject({ lost: 0, violations: 0 })
  expect(status.services[0]).toMatchObject({ live: 'r0', confirmed: true })
  expect(status.services[0]?.releases.find((release) => release.name === 'r0')).toMatchObject({ state: 'live', pid: livePid })
  expect(load.counts()).toMatchObject({ failed: 0, releasesSeen: ['r0'] })
})

afterAll(async () => {
  const report = await load?.stop()
  await gracer?.end()
  expect(report).toMatchObject({ failed: 0, releasesSeen: ['r0'] })
})

/** Swaps to a build; it must fail with 1, never have been asked for anything but its health, and have stopped. */
async function swapFails(path: string): Promise<CliResult & { label: string }> {
  const before = load.counts().requests
  const result = await gracer.cli('swap', path)
  expect(result.code, result.stderr).toBe(1)
  expect(result.stdout).toBe('')
  // Silence about what is live would leave the most urgent question open.
  expect(result.stderr).toContain('r0 is live now: ')
  const strangers = linesOf(join(path, 'requests.log')).filter((line) => !line.startsWith('gracer-health '))
  expect(strangers).toEqual([])
  await until('the load to go on', () => load.counts().requests > before + 20)
  const label = /^r0 is live now: (v\d+)/m.exec(result.stderr)?.[1] ?? ''
  await until('its process to be gone', async () => (await explain(gracer, label)).state === 'failed')
  // The command that tries the same build again can be typed as it stands.
  expect(result.stderr).toContain(`gracer swap ${path}.`)
  return { ...result, label }
}

interface BadRelease {
  readonly what: string
  readonly files: Files
  readonly config?: Record<string, unknown>
  /** Each must be in what the command says. */
  readonly says: readonly (string | RegExp)[]
  readonly failure: Record<string, unknown>
  /** Its own output, which must be shown. */
  readonly lastLine?: string
}

const badReleases: readonly BadRelease[] = [
  {
    what: 'crashes at boot',
    files: { 'server.mjs': `console.log('connecting'); throw new Error('the database is not there')` },
    says: ['failed at its boot: its process exited with code 1 before it was healthy', 'exit        code 1', /elapsed +\d+ ms of 1\.50 s/, 'gracer logs v'],
    failure: { stage: 'boot', exit: { code: 1, signal: null } },
    lastLine: 'Error: the database is not there',
  },
  {
    what: 'never listens',
    files: { 'server.mjs': `console.log('waiting for the migration lock'); setInterval(() => {}, 1000)` },
    says: ['not healthy within 1500ms: no answer within 400ms', 'it has accepted no connection on the socket passed to it', 'LISTEN_FDS', /attempts +\d/, /elapsed +1\.\d+ s of 1\.50 s/],
    failure: { stage: 'health', lastStatus: null, lastError: 'no answer within 400ms', deadlineMs: 1500 },
    lastLine: 'waiting for the migration lock',
  },
  {
    what: 'accepts and never answers',
    files: { 'server.mjs': server('') },
    says: ['no answer within 400ms', 'it accepts connections on the socket passed to it and does not answer'],
    failure: { stage: 'health', lastStatus: null },
  },
  {
    what: 'answers 500 on health',
    files: { 'server.mjs': server(`console.log('no connection to redis'); res.writeHead(500); res.end('broken')`) },
    says: ['GET /healthz answered 500, expected 200-299', /attempts +\d/, 'last reply  500'],
    failure: { stage: 'health', lastStatus: 500, lastLocation: null },
    lastLine: 'no connection to redis',
  },
  {
    what: 'answers 301 to another place',
    files: { 'server.mjs': server(`res.writeHead(301, { location: 'https://login.example/start' }); res.end()`) },
    says: ['answered 301 to https://login.example/start', 'last reply  301, Location: https://login.example/start', 'Redirects are not followed: set health.path'],
    failure: { stage: 'health', lastStatus: 301, lastLocation: 'https://login.example/start' },
  },
  {
    what: 'does not know the health path',
    files: { 'server.mjs': server(`res.writeHead(404); res.end()`) },
    says: ['GET /healthz answered 404', 'Set health.path to one that it serves'],
    failure: { stage: 'health', lastStatus: 404 },
  },
  {
    what: 'listens on another port than the one it was given',
    config: { command: ['sh', '-c', 'exec node server.mjs'], health: { ...config.health, deadline: '2s' } },
    files: { 'server.mjs': server(`res.end('ok')`, `0, '127.0.0.1', function () { console.log('listening on', this.address().port) }`) },
    says: [/connect ECONNREFUSED 127\.0\.0\.1:\d+; it listens on port \d+ and not on the one given to it in PORT \(\d+\)/],
    failure: { stage: 'health', lastStatus: null },
    lastLine: 'listening on',
  },
  {
    what: 'exits with 0 at once',
    files: { 'server.mjs': `console.log('nothing to do')` },
    says: ['exited with code 0 before it was healthy; a release must stay in the foreground'],
    failure: { stage: 'boot', exit: { code: 0, signal: null } },
    lastLine: 'nothing to do',
  },
  {
    what: 'is started by a command that does not exist',
    config: { command: ['no-such-program', '--port'] },
    files: { 'server.mjs': '' },
    says: ['failed at its boot: command "no-such-program" was not found', 'PATH=', 'Give its full path'],
    failure: { stage: 'boot', attempts: 0 },
  },
  {
    what: 'is started by a file that is not executable',
    config: { command: ['./start.sh'] },
    files: { 'start.sh': '#!/bin/sh\nexec sleep 60\n' },
    says: ['start.sh may not be executed by this user', 'chmod +x'],
    failure: { stage: 'boot', attempts: 0 },
  },
  {
    what: 'does not say how it is started',
    files: { 'readme.txt': 'a website' },
    says: ['failed at take-in:', 'does not say how it is started: no package.json with a start script or main, and none of server.mjs', 'Set "command" in gracer.json'],
    failure: { stage: 'take-in' },
  },
]

test.each(badReleases)('a release that $what never sees a request, and the command says how to mend it', async ({ what, files, config: over, says, failure, lastLine }) => {
  const path = writeRelease(gracer, what.replaceAll(/\W+/g, '-'), files)
  if (over !== undefined) gracer.writeConfig({ ...config, ...over })
  const { stderr, label } = await swapFails(path)
  for (const text of says) expect(stderr).toMatch(text)
  // The reason stands once: a screen that repeats it hides the rest.
  const reason = (await explain(gracer, label)).failure
  expect(stderr.split(reason?.message ?? 'no failure').length - 1).toBe(1)
  expect(reason).toMatchObject(failure)
  // Twenty probes that say the same are one line of the story.
  const story = (await explain(gracer, label)).story.map((line) => line.what)
  expect(new Set(story.map((line) => line.replace(/probe \d+/, 'probe'))).size).toBe(story.length)
  expect(reason?.logFile === null).toBe(!stderr.includes('gracer logs'))
  if (lastLine === undefined) return
  expect(reason?.lastLines.some((line) => line.startsWith(lastLine))).toBe(true)
  expect(stderr).toContain(`    | ${lastLine}`)
})

test('a release whose script names an interpreter that does not exist is refused before it is started', async () => {
  const path = writeRelease(gracer, 'no-interpreter', { 'start.sh': '#!/opt/no/such/ruby\nputs 1\n' })
  chmodSync(join(path, 'start.sh'), 0o755)
  gracer.writeConfig({ ...config, command: ['./start.sh'] })
  const { stderr } = await swapFails(path)
  expect(stderr).toContain('its first line names the interpreter /opt/no/such/ruby, which does not exist')
})

/** Healthy only once the file beside it has been changed: so the change always comes before the flip. */
const healthyOnceChanged = server(
  `import('node:fs').then(({ readFileSync }) => { res.statusCode = readFileSync(join(import.meta.dirname, 'asset.txt'), 'utf8') === 'as built' ? 503 : 200; res.end() })`,
)

test('a release that is rewritten while it boots is not put live, and the files are named', async () => {
  gracer.writeConfig({ ...config, health: { ...config.health, deadline: '10s' } })
  const path = writeRelease(gracer, 'rewritten', { 'server.mjs': healthyOnceChanged, 'asset.txt': 'as built' })
  await moveIn(gracer, path, 'rewritten')
  const dropped = join(gracer.releases, 'rewritten')
  await until('it to be probed', () => linesOf(join(dropped, 'requests.log')).length > 0)
  writeFileSync(join(dropped, 'asset.txt'), 'as rewritten')
  const { failure, next } = await until('it to have failed', async () => {
    const found = await explain(gracer, 'rewritten')
    return found.state === 'failed' ? found : null
  })
  expect(failure?.stage).toBe('take-in')
  expect(failure?.message).toMatch(/its folder changed while it was being booted: .*1 changed \("asset\.txt"\)/)
  expect(failure?.message).toContain('Move builds in with a rename')
  expect(next).toContain('gracer swap rewritten')
  expect(linesOf(join(dropped, 'requests.log')).filter((line) => !line.startsWith('gracer-health '))).toEqual([])
})

/** Copies a build into the drop folder in place: half of it, then nothing for 3 s with a file open, then the rest. */
const slowCopy = `
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
const [from, to] = process.argv.slice(2)
mkdirSync(to)
writeFileSync(to + '/server.mjs', readFileSync(from + '/server.mjs'))
const asset = readFileSync(from + '/asset.txt')
const fd = openSync(to + '/asset.txt', 'w')
writeSync(fd, asset, 0, asset.length / 2)
console.log('half')
setTimeout(() => {
  writeSync(fd, asset, asset.length / 2)
  closeSync(fd)
  writeFileSync(to + '/whole', '')
  console.log('whole')
}, 3000)
`

test('a build that is copied slowly into the drop folder is not booted before it is whole', async () => {
  const whole = 'x'.repeat(200_000)
  const from = writeRelease(gracer, 'slow-source', {
    'server.mjs': `import { existsSync, readFileSync } from 'node:fs'\n${server(`res.statusCode = 500; res.end()`)}
      console.log(existsSync(join(import.meta.dirname, 'whole')) && readFileSync(join(import.meta.dirname, 'asset.txt')).length === ${whole.length} ? 'I am whole' : 'I am half')`,
    'asset.txt': whole,
  })
  const script = join(writeFiles(join(gracer.folder, 'tools'), { 'slow-copy.mjs': slowCopy }), 'slow-copy.mjs')
  const to = join(gracer.releases, 'slow')
  const copier = new NodeProcess(gracer.folder, [script, from, to])
  await copier.says('half')
  await copier.says('whole')
  expect(linesOf(join(to, 'boots.log'))).toEqual([])
  expect((await copier.ended).code).toBe(0)
  const outcome = await until('it to be tried', async () => {
    const found = await explain(gracer, 'slow').catch(() => null)
    return found?.state === 'failed' ? found : null
  })
  // It answers 500 all the same, so that this file keeps its one good release.
  expect(outcome.failure?.lastStatus).toBe(500)
  expect(readFileSync(join(gracer.folder, '.gracer', 'log', `default.${outcome.release}.log`), 'utf8')).toBe('I am whole\n')
})

const crashes = `${server(`res.end()`)}\nthrow new Error('no licence')\n`

test('a build that failed is not tried again by itself, not even by a new agent, and always when it is named', async () => {
  const path = writeRelease(gracer, 'hopeless', { 'server.mjs': crashes })
  await moveIn(gracer, path, 'hopeless')
  const dropped = join(gracer.releases, 'hopeless')
  await until('it to have failed', async () => (await explain(gracer, 'hopeless').catch(() => null))?.state === 'failed')
  expect(linesOf(join(dropped, 'boots.log'))).toHaveLength(1)

  // Who only drops builds looks at the log of gracer, which says why and what to type.
  const logged = await until('its outcome in the log', () => gracer.gracerLog().find((line) => line.event === 'swap.outcome' && line['name'] === 'hopeless'))
  expect(logged).toMatchObject({ outcome: 'failed', live: 'r0', reason: 'its process exited with code 1 before it was healthy', hint: expect.stringContaining('gracer swap hopeless') as string })
  expect(logged['lastLines']).toContain('Error: no licence')

  const agent = (await gracer.status()).agent.pid
  process.kill(agent, 'SIGKILL')
  await until('the next agent', async () => {
    const now = await gracer.status().catch(() => null)
    return now !== null && now.agent.pid !== agent
  })
  // What it would have taken up by itself it would have taken up before this one.
  await moveIn(gracer, writeRelease(gracer, 'after-it', { 'server.mjs': crashes }), 'after-it')
  await until('the drop after it to have failed', async () => (await explain(gracer, 'after-it').catch(() => null))?.state === 'failed')
  expect(linesOf(join(dropped, 'boots.log'))).toHaveLength(1)

  const text = await gracer.cli('explain', 'hopeless')
  expect(text.code).toBe(0)
  expect(text.stdout).toMatch(/^r0 is live now; v\d+ \(hopeless\) of default: failed/)
  expect(text.stdout).toMatch(/failed +at its boot: its process exited with code 1 before it was healthy/)
  expect(text.stdout).toContain('    | Error: no licence')
  expect(text.stdout).toMatch(/next +See all of its output: gracer logs hopeless\. As it is, it is not deployed again by itself\. When it is mended: gracer swap hopeless\./)

  expect((await gracer.cli('swap', 'hopeless')).code).toBe(1)
  expect(linesOf(join(dropped, 'boots.log'))).toHaveLength(2)
})

test('a drop with a symlink that leads out of it is refused, and the symlink is named', async () => {
  const path = writeRelease(gracer, 'reaching-out', { 'server.mjs': server(`res.end('ok')`) })
  symlinkSync('/etc/hostname', join(path, 'secret.txt'))
  await moveIn(gracer, path, 'reaching-out')
  const { failure } = await until('it to have failed', async () => {
    const found = await explain(gracer, 'reaching-out').catch(() => null)
    return found?.state === 'failed' ? found : null
  })
  expect(failure?.message).toMatch(/"secret\.txt" is a symlink that leads out of the drop, to "\/etc\/hostname"/)
  expect(failure?.message).toContain('Copy what it leads to into the drop.')
  expect(linesOf(join(gracer.releases, 'reaching-out', 'requests.log')).filter((line) => !line.startsWith('gracer-health '))).toEqual([])
})
