import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import type { CanaryAnswer } from '../../agent/control/shapes.ts'
import { startStable, writeApp } from '../bench/canary-trial.ts'
import { CanaryUsers } from '../bench/canary-users.ts'
import { until } from '../support/deadline.ts'
import type { GracerProcess } from '../support/gracer-process.ts'
import { signal } from './kill-support.ts'

let gracer: GracerProcess | null = null

afterAll(() => gracer?.end())

it('a new release gets copies before its first visitor: its failures and its silence are told of and touch no reply', { timeout: 90_000 }, async () => {
  const made = await startStable({}, { workers: 2, canary: { shadow: '100% 1h', steps: ['20% 1h'], metrics: ['errors'] } })
  gracer = made
  const canaryNow = async (): Promise<CanaryAnswer['canary']> => (JSON.parse(await made.control('GET', '/v1/services/default/canary')) as CanaryAnswer).canary
  const path = writeApp(join(made.folder, 'staging'), 'r1', {})
  // A third of what it is asked it answers well, a third with an error, and a third never.
  writeFileSync(join(path, 'server.mjs'), `
import { createServer } from 'node:http'
let count = 0
createServer((req, res) => {
  if (req.url === '/healthz') return res.end()
  if (req.method !== 'GET') process.exit(9)
  count += 1
  if (count % 3 === 0) return
  res.writeHead(count % 3 === 1 ? 200 : 500, { 'x-release': 'v2' })
  res.end()
}).listen(Number(process.env.PORT), process.env.HOST)
`)
  const users = new CanaryUsers({ port: made.port, users: 50, rate: 100 })
  users.start()
  try {
    const over = made.swap(path)
    over.catch(() => {})
    await until('copies to be compared', async () => {
      const figures = (await canaryNow())?.shadow
      return figures !== undefined && figures.same >= 10 && figures.worse >= 10
    }, 30_000)
    // Not to be copied: it would end the process.
    expect(await (await fetch(made.url, { method: 'POST', body: 'x' })).text()).toBe('ok\n')
    expect(users.asked.every((one) => one.release === 'v1' && one.status === 200 && one.failure === null)).toBe(true)
    const shown = await made.cli('canary', 'status')
    expect(shown.stdout).toMatch(/v2 is a canary without visitors yet, and gets copies of 100% of the GETs/)
    expect(shown.stdout).toMatch(/shadow +\d+ copies, \d+ with the same status, \d+ worse; the copies p50 [\d.]+ ms, p99 [\d.]+ ms, the old release p50/)
    expect((await canaryNow())?.verdict.numbers.phase.units.canary).toBe(0)

    // Its time goes on with another agent; a person may end it at once.
    const { agent } = await made.status()
    signal(agent.pid, 'SIGKILL')
    await until('another agent with the copies', async () => {
      const canary = await canaryNow().catch(() => null)
      return (canary?.shadow?.leftMs ?? 0) > 0 && (await made.status()).agent.pid !== agent.pid
    }, 20_000)
    expect((await made.cli('canary', 'resume')).code).toBe(0)
    await until('the first visitor', () => users.asked.some((one) => one.release === 'v2'), 20_000)
    expect((await canaryNow())?.share ?? 0.2).toBe(0.2)
  } finally {
    await users.stop()
  }
  const status = await made.status()
  expect([status.lost, status.violations]).toEqual([0, 0])
})

it('its visitors come by themselves once the time of the copies is over', { timeout: 60_000 }, async () => {
  const made = gracer as GracerProcess
  await made.cli('canary', 'abort')
  await until('the canary to have ended', async () => (await made.status()).services[0]?.canary === null)
  made.writeConfig({ releases: null, command: ['node', 'server.mjs'], health: { path: '/healthz' }, canary: { key: 'header:x-user', shadow: '100% 1s', steps: ['99% 1h'] } })
  const over = made.swap(writeApp(join(made.folder, 'staging'), 'r2', {}))
  over.catch(() => {})
  const visitor = async (): Promise<string | null> => (await fetch(made.url, { headers: { 'x-user': 'ann' } })).headers.get('x-release')
  await until('the first visitor', async () => (await visitor()) === 'v3', 20_000)
  const { canary } = JSON.parse(await made.control('GET', '/v1/services/default/canary')) as CanaryAnswer
  expect(canary).toMatchObject({ mode: 'running', share: 0.99, step: { at: 1, of: 1 }, shadow: { leftMs: null, worse: 0 } })
})
