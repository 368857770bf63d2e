import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { firstRelease } from '../support/drop.ts'
import { until } from '../support/deadline.ts'
import { GracerProcess } from '../support/gracer-process.ts'
import { processesOf } from './kill-support.ts'
import { releaseStatus } from './observe.ts'
import { server, writeRelease } from './write-release.ts'

// Which of two releases the kernel takes when memory runs out, as real processes show it in /proc.

let gracer: GracerProcess

beforeAll(async () => {
  gracer = await GracerProcess.startWith({ config: { settle: '100ms', bake: '20s' } }, (one) => firstRelease(one, 'r0'))
})

afterAll(async () => {
  await gracer?.end()
})

function score(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8'))
}

test.runIf(process.platform === 'linux')('a release on trial is taken before the old one, its children too, until it is confirmed', async () => {
  const own = score(process.pid)
  const old = (await releaseStatus(gracer, 'r0'))?.pid ?? 0
  const path = writeRelease(gracer, 'forks', { 'server.mjs': `import { spawn } from 'node:child_process'\nspawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })\n${server("res.end('ok')")}` })
  const swapped = await gracer.swap(path, '--until', 'flip')
  expect([swapped.code, swapped.stderr]).toEqual([0, expect.anything()])
  const { pid: leader } = (await gracer.status()).services[0]?.releases.find((one) => one.state === 'live') ?? {}
  const members = (): number[] => processesOf(gracer).filter((one) => one.role === 'backend' && one.pid !== old).map((one) => one.pid)
  expect(members()).toHaveLength(2)
  expect(members()).toContain(leader)
  expect(members().map(score)).toEqual([Math.min(1_000, own + 500), Math.min(1_000, own + 500)])
  expect(score(old)).toBe(own)
  // The bake ends sooner by a rollback or a confirmation; here the same build is deployed with a short one.
  gracer.writeConfig({ settle: '100ms', bake: '200ms' })
  const confirmed = await gracer.swap(path)
  expect(confirmed.outcome).toMatchObject({ outcome: 'confirmed' })
  await until('only the confirmed one to run', () => processesOf(gracer).filter((one) => one.role === 'backend').length === 2)
  expect(members().map(score)).toEqual([own, own])
})
