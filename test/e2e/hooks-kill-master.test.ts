import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { until } from '../support/deadline.ts'
import { firstRelease, moveIn } from '../support/drop.ts'
import { GracerProcess } from '../support/gracer-process.ts'
import { begun, hookConfig, hookedRelease, hookNotes } from './hooks-support.ts'
import { get, killAll, runs, settled, signal } from './kill-support.ts'
import { releaseStatus } from './observe.ts'

// The master, the parent of every hook, is killed while one runs: nobody can learn how that ended.

const config = { settle: '100ms', bake: '200ms', health: { path: '/healthz', interval: '50ms' }, hooks: hookConfig, drain: { stop: '500ms' } }
let gracer: GracerProcess

afterEach(async () => {
  await gracer?.end()
})

async function droppedInHook(hook: 'prepare' | 'release'): Promise<string> {
  gracer = await GracerProcess.startWith({ config: { ...config, hooks: {} } }, (one) => firstRelease(one, 'r0'))
  gracer.writeConfig(config)
  await moveIn(gracer, await hookedRelease(gracer, 'r1', { [hook]: { until: 'go' } }), 'r1')
  const path = join(gracer.releases, 'r1')
  await until(`its ${hook} hook to run`, () => begun(path)[hook] === 1)
  return path
}

test('in a release hook: what it left is ended, the old release serves, and the migration is not run again by itself', async () => {
  const path = await droppedInHook('release')
  const hook = hookNotes(path).at(-1)?.pid ?? 0
  signal(gracer.pid, 'SIGKILL')
  await gracer.up()
  await settled(gracer, 'r0')
  await until('the hook to be gone', () => !runs(hook))
  expect(hookNotes(path).filter((note) => note.hook === 'release').map((note) => note.what)).toEqual(['begun'])
  expect(await releaseStatus(gracer, 'r1')).toMatchObject({ state: 'failed', note: expect.stringContaining('gracer ended while its release hook ran, so nobody knows whether that has done its work') })
  // A person has looked, and names it.
  writeFileSync(join(path, 'go'), '')
  const { code, stderr } = await gracer.cli('swap', 'r1')
  expect([code, stderr]).toEqual([0, expect.anything()])
  expect(begun(path)).toEqual({ prepare: 1, release: 2, confirmed: 1 })
})

test('in a prepare hook, with everything else: the confirmed release comes up, and the drop is taken up again', async () => {
  const path = await droppedInHook('prepare')
  await killAll(gracer)
  writeFileSync(join(path, 'go'), '')
  await gracer.up()
  await settled(gracer, 'r1', 1, 30_000)
  expect((await get(gracer)).status).toBe(200)
  expect(begun(path)).toEqual({ prepare: 2, release: 1, confirmed: 1 })
})
