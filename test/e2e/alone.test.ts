import net from 'node:net'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { Outcome } from '../../agent/control/shapes.ts'
import type { Kind } from '../load/kinds.ts'
import { startLoad, type Load } from '../load/load.ts'
import type { Behaviour } from '../load/make-release.ts'
import { until } from '../support/deadline.ts'
import { firstRelease, stageRelease } from '../support/drop.ts'
import { GracerProcess } from '../support/gracer-process.ts'
import { boots, get, pidsOf, settled, signal } from './kill-support.ts'
import { Events, releaseStatus, startCli } from './observe.ts'

// An app that cannot run twice: a second process of it finds its lock taken (a fixed second port) and exits.

let gracer: GracerProcess
let load: Load
let lockPort: number
let live = 'r0'

const config = (more: Record<string, unknown> = {}): Record<string, unknown> => ({
  settle: '100ms', bake: '400ms', overlap: false, ports: { LOCK_PORT: lockPort }, health: { path: '/healthz', interval: '50ms', deadline: '20s' }, drain: { timeout: '5s', stop: '2s' }, ...more,
})

const lock = `import net from 'node:net'
await new Promise((resolve) => net.createServer().once('error', (error) => {
  console.log('another one of me runs: ' + error.code)
  process.exit(3)
}).listen(Number(process.env.LOCK_PORT), '127.0.0.1', resolve))
`

function lockItself(path: string): string {
  const file = join(path, 'server.mjs')
  // Before anything else of it runs, as an import would not be.
  writeFileSync(file, `${lock}await ${readFileSync(file, 'utf8').replace(/^import (.*)\n$/, 'import($1)\n')}`)
  return path
}

async function release(name: string, behaviour: Behaviour = {}): Promise<string> {
  return lockItself(await stageRelease(gracer, name, { behaviour }))
}

/** Below the range that the kernel takes for outgoing connections: one of another test's would be in the way of the lock. */
async function portOfNobody(): Promise<number> {
  for (let port = 21_000 + (process.pid % 9_000); ; port += 1) {
    const server = net.createServer()
    const free = await new Promise<boolean>((resolve) => server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true)))
    if (!free) continue
    await new Promise((resolve) => server.close(resolve))
    return port
  }
}

beforeAll(async () => {
  lockPort = await portOfNobody()
  gracer = await GracerProcess.startWith({}, async (one) => {
    one.writeConfig(config())
    await firstRelease(one, 'r0')
    lockItself(join(one.releases, 'r0'))
  })
  await begin(allKinds)
})

/** What is in flight on a release that ends by itself is lost, but for what may be sent again. */
const allKinds: readonly Kind[] = ['keep-alive', 'fresh', 'post', 'pipeline']
const repeatable: readonly Kind[] = ['keep-alive', 'fresh']

async function begin(kinds: readonly Kind[]): Promise<void> {
  load = startLoad({ port: gracer.port, connections: 16, rate: 100, kinds })
  await until('the load to run', () => load.counts().requests > 30)
}

/** Puts another load in the place of the one that runs, which has lost nothing. */
async function changeLoad(kinds: readonly Kind[]): Promise<void> {
  expect(await load.stop()).toMatchObject({ failed: 0 })
  await begin(kinds)
}

afterEach(async () => {
  gracer.writeConfig(config())
  expect(await gracer.status()).toMatchObject({ lost: 0, violations: 0 })
})

afterAll(async () => {
  const report = await load?.stop()
  await gracer?.end()
  expect(report).toMatchObject({ failed: 0 })
})

async function swap(path: string): Promise<Outcome & { code: number | null }> {
  const { code, outcome, stderr } = await gracer.swap(path)
  expect(outcome, stderr).not.toBeNull()
  return { ...outcome, code }
}

test('the old one is drained and stopped, the new one booted; what came meanwhile waited, and the gap is told', async () => {
  // One that is under way on the old release finishes there.
  const slow = get(gracer, '/slow?ms=600')
  await until('it to be under way', async () => ((await releaseStatus(gracer, 'r0'))?.inFlight ?? 0) > 0)
  const path = await release('next')
  const { code, stdout, stderr } = await gracer.cli('swap', path)
  expect([code, stderr]).toEqual([0, expect.stringMatching(/^emptying +.* r0 ends first, requests are held$/m)])
  expect((await slow).status).toBe(200)
  expect(stdout).toMatch(/^(v\d+) is live now: \1 is confirmed; nothing answered for [\d.]+m?s\n/)
  expect(stdout).toMatch(/phases +.*old one out .*boot .*health .*flip /)
  expect(stdout).toMatch(/outage +nothing answered for .*; requests that waited in vain \(503\): 0/)
  expect(load.counts()).toMatchObject({ failed: 0 })
  live = (await gracer.status()).services[0]?.live ?? ''
  expect(pidsOf(gracer, 'backend')).toHaveLength(1)
})

const bad: readonly (readonly [string, Behaviour, RegExp, string])[] = [
  ['crashes at its boot', { crashAtBoot: true }, /its process exited with code 1 before it was healthy; nothing answered for [\d.]+m?s$/, 'failed'],
  ['is never healthy', { fail: 'health' }, /; nothing answered for [\d.]+m?s$/, 'failed'],
  ['ends in its bake', { exitAfterMs: 4_000, exitCode: 7 }, /its process exited with code 7; nothing answered for [\d.]+m?s$/, 'flipped-back'],
  ['turns sick in its bake', { fail: 'health', failAfterMs: 4_000 }, /3 health probes in a row failed.*; nothing answered for [\d.]+m?s$/, 'flipped-back'],
]

for (const [what, behaviour, message, outcome] of bad) {
  test(`a release that ${what}: the old build is booted again, by itself, and the message says how long nothing answered`, async () => {
    if ('exitAfterMs' in behaviour) await changeLoad(repeatable)
    gracer.writeConfig(config({ bake: '20s', health: { path: '/healthz', interval: '50ms', deadline: '2s' } }))
    const found = await swap(await release(`bad-${what.replaceAll(' ', '-')}`, behaviour))
    expect(found).toMatchObject({ code: 1, outcome, live, message: expect.stringMatching(message) })
    expect(found.receipt?.outageMs).toBeGreaterThan(0)
    await settled(gracer, live)
    expect(load.counts()).toMatchObject({ failed: 0 })
    if ('exitAfterMs' in behaviour) await changeLoad(allKinds)
  })
}

test('requests that wait longer than hold.timeout get 503 with Retry-After; the receipt counts them', async () => {
  const { failed } = load.counts()
  await load.stop()
  expect(failed).toBe(0)
  gracer.writeConfig(config({ hold: { timeout: '300ms' } }))
  const path = await release('slow-to-boot', { listenAfterMs: 1_500 })
  const events = await Events.open(gracer)
  const running = gracer.swap(path)
  const { release: id } = await until('its boot', () => events.seen.find((event) => event.kind === 'phase' && event.phase === 'checking'))
  const replies = await Promise.all([1, 2, 3].map(async () => get(gracer)))
  expect(replies.map(({ status, headers }) => [status, headers['retry-after']])).toEqual(Array(3).fill([503, '5']))
  const { outcome } = await running
  events.close()
  expect(outcome).toMatchObject({ outcome: 'confirmed', release: id, message: expect.stringContaining('and 3 requests waited in vain (503)'), receipt: { heldOut: 3, lost: 0 } })
  live = outcome.live ?? ''
  gracer.writeConfig(config())
  load = startLoad({ port: gracer.port, connections: 16, rate: 100, kinds: ['keep-alive', 'fresh', 'post', 'pipeline'] })
  await until('the load to run', () => load.counts().requests > 30)
})

test('Ctrl-C while the new one boots: the old build serves again', async () => {
  const command = startCli(gracer, 'swap', await release('undone', { listenAfterMs: 15_000 }))
  await command.says(/^checking /m)
  command.child.kill('SIGINT')
  const { code, stderr } = await command.ended
  expect([code, stderr]).toEqual([130, expect.stringMatching(new RegExp(`^${live} is live now: v\\d+ is undone: undone by command; nothing answered for `, 'm'))])
  await settled(gracer, live)
  expect(load.counts()).toMatchObject({ failed: 0 })
})

test('rollback and restart go the same way', async () => {
  const restarted = await gracer.cli('restart')
  expect([restarted.code, restarted.stdout, restarted.stderr]).toEqual([0, expect.stringContaining('nothing answered for'), expect.anything()])
  const back = await gracer.cli('rollback')
  expect([back.code, back.stdout]).toEqual([0, expect.stringContaining('nothing answered for')])
  live = (await gracer.status()).services[0]?.live ?? ''
  await settled(gracer, live)
  expect(load.counts()).toMatchObject({ failed: 0 })
})

for (const phase of ['emptying', 'booting', 'checking', 'flipped'] as const) {
  test(`an agent killed at ${phase}: the swap is finished, never two at a time, and nothing is lost`, async () => {
    const events = await Events.open(gracer)
    const path = await release(`killed-at-${phase}`, { listenAfterMs: 200 })
    const running = gracer.swap(path)
    await until(phase, () => events.seen.find((event) => event.kind === 'phase' && event.phase === phase && event.release !== null), 15_000, 1)
    signal((await gracer.status()).agent.pid, 'SIGKILL')
    const { outcome, stderr } = await running
    events.close()
    expect(outcome, stderr).toMatchObject({ outcome: 'confirmed' })
    live = outcome.live ?? ''
    await settled(gracer, live)
    expect(boots(gracer).get(outcome.release ?? '') ?? boots(gracer).get(`default/${outcome.release ?? ''}`)).toBe(1)
    expect(load.counts()).toMatchObject({ failed: 0 })
  })
}

test('everything killed while the new one boots: the confirmed build is what comes up', async () => {
  const report = await load.stop()
  expect(report).toMatchObject({ failed: 0 })
  const command = startCli(gracer, 'swap', await release('killed-with-all', { listenAfterMs: 15_000 }))
  await command.says(/^checking /m)
  const pids = gracer.pids()
  for (const pid of pids) signal(pid, 'SIGKILL')
  await until('all to be gone', () => pidsOf(gracer, 'backend').length === 0)
  await command.ended
  await gracer.up()
  await settled(gracer, live)
  expect((await get(gracer)).status).toBe(200)
  load = startLoad({ port: gracer.port, connections: 4, rate: 50, kinds: ['keep-alive'] })
  await until('the load to run', () => load.counts().requests > 5)
})

test('what the lock is for: beside each other the second one would not come up', async () => {
  // The same apps with "overlap": true.
  gracer.writeConfig(config({ overlap: true, socket: 'port', ports: {}, env: { LOCK_PORT: String(lockPort) } }))
  const path = await release('beside')
  // Either of the two says that it cannot: the live one was booted so.
  const first = await swap(path)
  expect(first).toMatchObject({ outcome: 'confirmed', receipt: { outageMs: expect.any(Number) } })
  live = first.live ?? ''
  gracer.writeConfig(config({ overlap: true, socket: 'port', ports: {}, env: { LOCK_PORT: String(lockPort) } }))
  const second = await swap(path)
  expect(second).toMatchObject({ outcome: 'failed', live, failure: { lastLines: ['another one of me runs: EADDRINUSE'] } })
  expect(second.receipt?.outageMs).toBeUndefined()
})

