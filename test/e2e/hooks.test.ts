import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { Outcome } from '../../agent/control/shapes.ts'
import { startLoad, type Load } from '../load/load.ts'
import { until } from '../support/deadline.ts'
import { firstRelease, moveIn } from '../support/drop.ts'
import { GracerProcess } from '../support/gracer-process.ts'
import { begun, hookConfig, hookedRelease, hookNotes } from './hooks-support.ts'
import { pidsOf, runs, signal } from './kill-support.ts'
import { Events, explain, releaseStatus, startCli } from './observe.ts'

// Real hooks around real deploys, under a load that never ends: whatever a hook does, no request is lost by it.

const config = { settle: '100ms', bake: '300ms', env: { STAGE: 'test' }, health: { path: '/healthz', interval: '50ms' }, hooks: { ...hookConfig, timeout: '20s' }, drain: { stop: '500ms' } }
let gracer: GracerProcess
let load: Load
let events: Events
let live = 'r0'

beforeAll(async () => {
  gracer = await GracerProcess.startWith({ config: { ...config, hooks: {} } }, (one) => firstRelease(one, 'r0'))
  gracer.writeConfig(config)
  // No slow ones: each swap would wait for them.
  load = startLoad({ port: gracer.port, connections: 16, rate: 100, kinds: ['keep-alive', 'fresh', 'post', 'pipeline'] })
  await until('the load to run', () => load.counts().requests > 30)
  events = await Events.open(gracer)
})

afterEach(async () => {
  gracer.writeConfig(config)
  expect(await gracer.status()).toMatchObject({ lost: 0, violations: 0 })
  expect(load.counts()).toMatchObject({ failed: 0 })
})

afterAll(async () => {
  events?.close()
  const report = await load?.stop()
  await gracer?.end()
  expect(report).toMatchObject({ failed: 0 })
})

test('hooks run in the build\'s real folder, in order, with the environment of the backend, and are told as they happen', async () => {
  const path = await hookedRelease(gracer, 'good', { prepare: { says: 'packages are there', writes: 'made-by-prepare.txt' } })
  const { code, stdout, stderr } = await gracer.cli('swap', path)
  expect(stderr).toMatch(/^preparing .* node hook\.mjs\n(.*\n)*preparing .* node hook\.mjs: done in .*\n(.*\n)*releasing .*\n(.*\n)*booting .*\n(.*\n)*confirmed .*\n(.*\n)*finishing /m)
  expect([code, stderr]).toEqual([0, expect.anything()])
  expect(stdout).toMatch(/phases +take-in .*, prepare .*, release hook .*, boot /)
  const notes = hookNotes(path)
  const id = (await gracer.status()).services[0]?.releases[0]?.id
  expect(notes.map(({ hook, what }) => `${hook} ${what}`)).toEqual(['prepare begun', 'prepare ended', 'release begun', 'release ended', 'confirmed begun', 'confirmed ended'])
  for (const note of notes) expect(note).toMatchObject({ release: id, stage: 'test', cwd: path })
  const logs = await gracer.cli('logs', id ?? '')
  expect(logs.stdout).toContain('packages are there')
  live = id ?? ''
})

test('a restart runs none of them, and neither does a rollback to what was confirmed', async () => {
  const path = join(gracer.folder, 'staging', 'good')
  const before = begun(path)
  expect((await gracer.cli('restart')).code).toBe(0)
  expect(begun(path)).toEqual(before)
  const back = await gracer.cli('rollback', live)
  expect([back.code, back.stderr]).toEqual([0, expect.anything()])
  // A rollback confirms another release, which a cache or a chat may want to hear of.
  expect(begun(path)).toEqual({ ...before, confirmed: (before['confirmed'] ?? 0) + 1 })
})

const failing = [
  { hook: 'prepare', after: [] },
  { hook: 'release', after: ['prepare'] },
] as const

for (const { hook, after } of failing) {
  test(`a ${hook} hook that fails fails the deploy: the old release is untouched, and the message has all that is needed`, async () => {
    const status = (await gracer.status()).services[0]
    const pid = status?.releases.find((one) => one.state === 'live')?.pid
    const path = await hookedRelease(gracer, `bad-${hook}`, { [hook]: { exit: 3, says: `cannot ${hook} this` } })
    const { code, stdout, stderr } = await gracer.cli('swap', path)
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toMatch(new RegExp(`^${status?.live ?? ''} is live now: v\\d+ failed at a hook: its ${hook} hook "node hook.mjs" exited with code 3 after [\\d.]+m?s$`, 'm'))
    expect(stderr).toMatch(new RegExp(`its last lines:\\n +\\| cannot ${hook} this`))
    expect(stderr).toMatch(/exit +code 3/)
    expect(stderr).toContain(`gracer swap ${path}`)
    expect(begun(path)).toEqual(Object.fromEntries([...after, hook].map((name) => [name, 1])))
    expect((await gracer.status()).services[0]).toMatchObject({ live: status?.live, confirmed: true })
    expect((await gracer.status()).services[0]?.releases.find((one) => one.state === 'live')?.pid).toBe(pid)
  })
}

test('a confirmed hook that fails is a warning: exit 0, the release stays, and status goes on to say so', async () => {
  const path = await hookedRelease(gracer, 'late-failure', { confirmed: { exit: 9, says: 'the cache would not be purged' } })
  const { code, outcome, stderr } = await gracer.swap(path)
  expect([code, stderr]).toEqual([0, expect.anything()])
  expect(outcome).toMatchObject({ outcome: 'confirmed', message: expect.stringMatching(/^v\d+ is confirmed, but its confirmed hook "node hook\.mjs" exited with code 9 after /) })
  expect(await releaseStatus(gracer, outcome.release ?? '')).toMatchObject({ state: 'live', note: expect.stringContaining('exited with code 9') })
  live = outcome.release ?? ''
})

test('what cannot be started, or does not end in time, says so; its whole process group is ended', async () => {
  gracer.writeConfig({ ...config, hooks: { prepare: ['no-such-tool', 'install'] } })
  const missing = await gracer.cli('swap', await hookedRelease(gracer, 'no-tool'))
  expect(missing.code).toBe(1)
  expect(missing.stderr).toMatch(/its prepare hook "no-such-tool install" could not be started: .*no-such-tool/)
  gracer.writeConfig({ ...config, hooks: { release: ['node', 'hook.mjs'], timeout: '700ms' } })
  const path = await hookedRelease(gracer, 'too-slow', { release: { until: 'never', stubborn: true } })
  const slow = await gracer.cli('swap', path)
  expect(slow.code).toBe(1)
  expect(slow.stderr).toContain('its release hook "node hook.mjs" had not ended within 700ms (hooks.timeout), so it was ended')
  await until('nothing to run in its folder', () => pidsOf(gracer, 'backend').length === 1)
})

test('Ctrl-C and --timeout end a hook with its group, and undo the swap', async () => {
  const path = await hookedRelease(gracer, 'interrupted', { prepare: { until: 'go', stubborn: true } })
  const command = startCli(gracer, 'swap', path)
  await until('the hook to run', () => hookNotes(path).length === 1)
  command.child.kill('SIGINT')
  const { code, stderr } = await command.ended
  expect(code, stderr).toBe(130)
  expect(stderr).toContain('interrupted: the swap is undone')
  const second = await hookedRelease(gracer, 'timed-out', { release: { until: 'go' } })
  const timed = await gracer.cli('swap', second, '--timeout', '1s')
  expect(timed.code, timed.stderr).toBe(124)
  // One that is still being ended does not run beside the next.
  const times = [...hookNotes(path), ...hookNotes(second)].filter((note) => note.what === 'begun')
  expect(times.map((note) => note.hook)).toEqual(['prepare', 'prepare', 'release'])
  await until('both to be gone', () => times.every(({ pid }) => !runs(pid)))
  await until('only the live release to run', () => pidsOf(gracer, 'backend').length === 1)
})

test('a killed agent: the hook runs on, its successor waits for it, and it is run once', async () => {
  const path = await hookedRelease(gracer, 'survives', { release: { until: 'go' } })
  const command = startCli(gracer, 'swap', path, '--json')
  await until('the release hook to run', () => begun(path)['release'] === 1)
  const { agent } = await gracer.status()
  signal(agent.pid, 'SIGKILL')
  await until('another agent', async () => ((await gracer.status().catch(() => null))?.agent.pid ?? agent.pid) !== agent.pid)
  expect(hookNotes(path).at(-1)).toMatchObject({ hook: 'release', what: 'begun' })
  writeFileSync(join(path, 'go'), '')
  const { code, stdout, stderr } = await command.ended
  expect([code, stderr]).toEqual([0, expect.anything()])
  expect(JSON.parse(stdout)).toMatchObject({ outcome: 'confirmed' })
  expect(begun(path)).toEqual({ prepare: 1, release: 1, confirmed: 1 })
  live = (await gracer.status()).services[0]?.live ?? ''
})

test('an agent killed just before the hook ends: the word comes while its successor is booting, and is not lost', async () => {
  const path = await hookedRelease(gracer, 'ends-meanwhile', { release: { until: 'go' } })
  const command = startCli(gracer, 'swap', path, '--json')
  await until('the release hook to run', () => begun(path)['release'] === 1)
  const { agent } = await gracer.status()
  signal(agent.pid, 'SIGKILL')
  // The next one has been told that the hook runs, and does not listen yet.
  await until('the next agent to boot', () => pidsOf(gracer, 'agent').some((pid) => pid !== agent.pid))
  writeFileSync(join(path, 'go'), '')
  const { code, stderr } = await command.ended
  expect([code, stderr]).toEqual([0, expect.anything()])
  expect(begun(path)).toEqual({ prepare: 1, release: 1, confirmed: 1 })
})

test.each([0, 4])('an agent killed while the hook ends: its exit code (%i) is not lost with it', async (exit) => {
  const path = await hookedRelease(gracer, `ends-alone-${exit}`, { release: { until: 'go', exit } })
  const command = startCli(gracer, 'swap', path, '--json')
  await until('the release hook to run', () => begun(path)['release'] === 1)
  const { agent } = await gracer.status()
  signal(agent.pid, 'SIGSTOP')
  writeFileSync(join(path, 'go'), '')
  const [hook] = hookNotes(path).filter((note) => note.hook === 'release')
  await until('the hook to be gone', () => !runs(hook?.pid ?? 0))
  signal(agent.pid, 'SIGKILL')
  const { code, stdout, stderr } = await command.ended
  expect([code, stderr]).toEqual([exit === 0 ? 0 : 1, expect.anything()])
  const outcome = JSON.parse(stdout) as Outcome
  expect(begun(path)).toEqual({ prepare: 1, release: 1, ...(exit === 0 ? { confirmed: 1 } : {}) })
  if (exit === 0) live = outcome.release ?? ''
  else expect(outcome).toMatchObject({ outcome: 'failed', message: expect.stringContaining('its release hook "node hook.mjs" exited with code 4'), live })
})

test('a drop whose prepare hook writes into its folder is taken as it is then, and is no new drop', async () => {
  const path = await hookedRelease(gracer, 'writes', { prepare: { writes: 'hooks.json.made' }, release: { writes: 'release.txt.made' } })
  await moveIn(gracer, path, 'writes')
  await gracer.live('writes')
  const dropped = join(gracer.releases, 'writes')
  await until('its last hook', () => begun(dropped)['confirmed'] === 1)
  // A rollback to it later must not find a changed folder.
  expect((await gracer.cli('swap', join(gracer.folder, 'staging', 'good'))).code).toBe(0)
  expect((await gracer.cli('rollback', 'writes')).code).toBe(0)
  expect(begun(dropped)).toEqual({ prepare: 1, release: 1, confirmed: 2 })
  expect((await gracer.status()).services[0]?.releases.filter((one) => one.name === 'writes')).toHaveLength(1)
  // Named again, it is the same build: its migration has been done.
  expect((await gracer.cli('swap', 'writes')).code).toBe(0)
  expect(begun(dropped)).toEqual({ prepare: 1, release: 1, confirmed: 3 })
  live = 'writes'
})

test('explain tells of each command and how long it took', async () => {
  const { story } = await explain(gracer, live)
  expect(story.map(({ what }) => what).join('\n')).toMatch(/finishing: node hook\.mjs: done in /)
})
