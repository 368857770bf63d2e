import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startLoad, type Load } from '../load/load.ts'
import { until } from '../support/deadline.ts'
import { firstRelease } from '../support/drop.ts'
import { GracerProcess } from '../support/gracer-process.ts'
import { get, settled, signal } from './kill-support.ts'
import { releaseStatus } from './observe.ts'
import { writeRelease } from './write-release.ts'

// envFile, env, ports and a config that breaks, with real processes under a load that never ends.

const config = { settle: '100ms', bake: '200ms', health: { path: '/healthz', interval: '50ms' }, envFile: '.env', env: { FROM_CONFIG: 'c1' }, ports: { METRICS_PORT: 'auto', ADMIN_PORT: 'auto' } }
const secret = 'hunter2-is-not-to-be-seen'
let gracer: GracerProcess
let load: Load
let envFile: string

/** Says what it was given; listens on its second port first, which must not be taken for the inherited socket. */
const app = `
import http from 'node:http'
const shown = () => JSON.stringify({ release: process.env.GRACER_RELEASE, mode: process.env.MODE, config: process.env.FROM_CONFIG, secret: process.env.SECRET?.length ?? 0, metrics: process.env.METRICS_PORT, keep: process.env.GRACER_KEEP_PORTS ?? null })
await new Promise((resolve) => http.createServer((req, res) => res.end('metrics of ' + process.env.GRACER_RELEASE)).listen(Number(process.env.METRICS_PORT), '127.0.0.1', resolve))
http.createServer((req, res) => { res.setHeader('content-type', 'application/json'); res.end(shown()) }).listen(process.env.PORT, process.env.HOST)
`

beforeAll(async () => {
  gracer = await GracerProcess.create({ config: { ...config, envFile: null, ports: {} } })
  envFile = join(gracer.folder, '.env')
  await firstRelease(gracer, 'r0')
  await gracer.up()
  await gracer.live('r0')
  writeFileSync(envFile, `MODE=one\nSECRET="${secret}"\n`)
  gracer.writeConfig(config)
})

afterAll(async () => {
  const report = await load?.stop()
  await gracer?.end()
  if (report !== undefined) expect(report).toMatchObject({ failed: 0 })
})

interface Shown {
  readonly release: string
  readonly mode: string
  readonly config: string
  readonly secret: number
  readonly metrics: string
  readonly keep: string | null
}

async function shown(): Promise<Shown> {
  return JSON.parse((await get(gracer)).body) as Shown
}

/** A GET on another port of the machine. */
async function metrics(port: string): Promise<string> {
  return (await fetch(`http://127.0.0.1:${port}/`)).text()
}

test('each release gets second ports of its own, which status shows; the preload leaves them alone', async () => {
  const path = writeRelease(gracer, 'app', { 'server.mjs': app })
  const first = await gracer.swap(path)
  expect([first.code, first.stderr]).toEqual([0, expect.anything()])
  const one = await shown()
  expect(one).toMatchObject({ mode: 'one', config: 'c1', secret: secret.length, keep: null })
  expect(await metrics(one.metrics)).toBe(`metrics of ${one.release}`)
  const status = await releaseStatus(gracer, one.release)
  expect(status?.ports).toEqual({ METRICS_PORT: Number(one.metrics), ADMIN_PORT: expect.any(Number) })
  expect((await gracer.cli('status')).stdout).toMatch(new RegExp(`${one.release}: METRICS_PORT ${one.metrics}, ADMIN_PORT \\d+`))
  expect((await gracer.cli('explain', one.release)).stdout).toMatch(new RegExp(`booting: .*METRICS_PORT=${one.metrics}`))
  // Beside each other during the bake: two numbers.
  gracer.writeConfig({ ...config, bake: '20s' })
  const second = await gracer.swap(path, '--until', 'flip')
  expect([second.code, second.stderr]).toEqual([0, expect.anything()])
  const two = await shown()
  expect(two.metrics).not.toBe(one.metrics)
  expect(await Promise.all([metrics(one.metrics), metrics(two.metrics)])).toEqual([`metrics of ${one.release}`, `metrics of ${two.release}`])
  expect((await gracer.cli('rollback')).code).toBe(0)
  gracer.writeConfig(config)
})

test('after a crash it is started with the numbers that it had', async () => {
  const before = await shown()
  const { pid } = (await releaseStatus(gracer, before.release)) ?? {}
  signal(pid ?? 0, 'SIGKILL')
  await until('it to be started again', async () => ((await releaseStatus(gracer, before.release))?.pid ?? pid) !== pid)
  await settled(gracer, before.release)
  expect(await shown()).toEqual(before)
  expect(await metrics(before.metrics)).toBe(`metrics of ${before.release}`)
})

test('an env file that was changed is what the next restart goes by, under load; a crash in between does not', async () => {
  // The strict client knows the answers of the load's own app.
  expect((await gracer.cli('rollback', 'r0')).code).toBe(0)
  load = startLoad({ port: gracer.port, connections: 16, rate: 100, kinds: ['keep-alive', 'fresh', 'post', 'pipeline'] })
  await until('the load to run', () => load.counts().requests > 30)
  const environment = async (): Promise<string> => readFileSync(`/proc/${(await gracer.status()).services[0]?.releases.find((one) => one.state === 'live')?.pid ?? 0}/environ`, 'latin1')
  writeFileSync(envFile, `MODE=two\nSECRET="${secret}"\n`)
  gracer.writeConfig({ ...config, env: { FROM_CONFIG: 'c2' } })
  expect((await environment()).split('\0')).not.toContain('MODE=two')
  const { code, stdout, stderr } = await gracer.cli('restart')
  expect([code, stderr]).toEqual([0, expect.anything()])
  expect(stdout).toContain('lost         0, violations: 0')
  expect((await environment()).split('\0')).toEqual(expect.arrayContaining(['MODE=two', 'FROM_CONFIG=c2']))
  expect(load.counts()).toMatchObject({ failed: 0 })
  gracer.writeConfig(config)
})

const broken: readonly (readonly [string, () => void, RegExp])[] = [
  ['is gone', () => rmSync(envFile), /\.env cannot be read \(ENOENT\)[\s\S]*Mend the key envFile, or make the file/],
  ['cannot be read', () => writeFileSync(envFile, `MODE=three\nthis is no line\nSECRET="${secret}\n`), /\.env:2: expected KEY=value, got no "="\n.*\.env:3: the " that opens here is never closed/],
]

for (const [what, breakIt, message] of broken) {
  test(`an env file that ${what} refuses every swap and restart with 2, and touches nothing`, async () => {
    const before = (await gracer.status()).services[0]
    breakIt()
    for (const args of [['restart'], ['swap', 'r0']]) {
      const { code, stdout, stderr } = await gracer.cli(...args)
      expect([code, stdout]).toEqual([2, ''])
      expect(stderr).toMatch(message)
      expect(stderr).not.toContain(secret)
    }
    const after = (await gracer.status()).services[0]
    expect(after?.releases.map(({ id, pid, state }) => [id, pid, state])).toEqual(before?.releases.map(({ id, pid, state }) => [id, pid, state]))
    writeFileSync(envFile, `MODE=four\nSECRET="${secret}"\n`)
  })
}

test('a config that was broken refuses with 2, every error at once, and what runs goes on by the last valid one', async () => {
  const before = (await gracer.status()).services[0]?.live
  writeFileSync(join(gracer.folder, 'gracer.json'), JSON.stringify({ listen: `127.0.0.1:${gracer.port}`, releases: './releases', hooks: { prepare: 'npm ci' }, ports: { METRICS_PORT: 9100 }, bake: 20 }))
  for (const args of [['restart'], ['swap', 'r0'], ['check']]) {
    const { code, stderr } = await gracer.cli(...args)
    expect(code, stderr).toBe(2)
    expect(stderr).toMatch(/hooks\.prepare: expected a command as an array of strings, such as \["npm", "ci"\]/)
    expect(stderr).toMatch(/bake: expected a duration/)
  }
  const { pid } = (await gracer.status()).services[0]?.releases.find((one) => one.state === 'live') ?? {}
  signal((await gracer.status()).agent.pid, 'SIGKILL')
  await settled(gracer, before ?? '')
  expect((await gracer.status()).services[0]?.releases.find((one) => one.state === 'live')?.pid).toBe(pid)
  gracer.writeConfig(config)
  expect((await gracer.cli('restart')).code).toBe(0)
  expect(load.counts()).toMatchObject({ failed: 0 })
})

test('a secret of the env file is nowhere in what gracer prints or logs, and only in files that nobody else may read', async () => {
  const outputs = await Promise.all([['check'], ['check', '--json'], ['status', '--json'], ['explain'], ['explain', '--json'], ['history', '--json'], ['logs', '-n', '500']].map(async (args) => gracer.cli(...args)))
  for (const { stdout, stderr } of outputs) expect(stdout + stderr).not.toContain(secret)
  const state = join(gracer.folder, '.gracer')
  const files = readdirSync(state, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  const holding = files.filter((file) => readFileSync(file, 'latin1').includes(secret))
  expect(holding.map((file) => file.slice(state.length + 1)).sort()).toEqual(['services/default/journal.json', 'services/default/journal.previous.json'])
  for (const file of holding) expect((statSync(file).mode & 0o077).toString(8), file).toBe('0')
  expect((statSync(state).mode & 0o077).toString(8)).toBe('0')
  expect(readFileSync(join(state, 'log', 'gracer.log'), 'utf8')).not.toContain(secret)
})
