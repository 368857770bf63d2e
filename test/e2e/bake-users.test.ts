import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { writeApp } from '../bench/canary-trial.ts'
import { until } from '../support/deadline.ts'
import { GracerProcess } from '../support/gracer-process.ts'
import { signal } from './kill-support.ts'

// The bake goes by users, not by requests. Two workers, so that one user is seen by both.

const config = { releases: null, command: ['node', 'server.mjs'], health: { path: '/healthz' }, canary: { key: 'header:x-user' }, bakeRule: { users: 3 } }
let gracer: GracerProcess

beforeAll(async () => {
  gracer = await GracerProcess.create({ workers: 2, config: { ...config, bake: '1500ms' } })
  writeApp(gracer.folder, '.', {})
  await gracer.up()
  await gracer.live()
})

afterAll(() => gracer.end())

/** A build that fails for whoever asks for that. */
function build(name: string): string {
  const path = writeApp(join(gracer.folder, 'staging'), name, {})
  writeFileSync(join(path, 'server.mjs'), `
import { createServer } from 'node:http'
createServer((req, res) => {
  res.writeHead(req.headers['x-fail'] === undefined ? 200 : 500, { 'x-release': process.env.GRACER_RELEASE, 'content-length': 0 })
  res.end()
}).listen(Number(process.env.PORT), process.env.HOST)
`)
  return path
}

/** On a connection of its own, so that either worker may have it. */
async function ask(user: string, fails = false): Promise<string | null> {
  const reply = await fetch(gracer.url, { headers: { 'x-user': user, connection: 'close', ...(fails ? { 'x-fail': 'yes' } : {}) } })
  await reply.arrayBuffer()
  return reply.headers.get('x-release')
}

const everybody = Array.from({ length: 12 }, (_, index) => `user ${index}`)

test('a user with many errors does not take a release back, be they nearly all of its replies', { timeout: 60_000 }, async () => {
  for (const user of everybody) expect(await ask(user)).toBe('v1')
  const over = gracer.swap(build('r2'))
  await until('the flip', async () => (await ask('heavy')) === 'v2')
  for (let at = 0; at < 200; at += 1) expect(await ask('heavy', true)).toBe('v2')
  for (const user of everybody) expect(await ask(user)).toBe('v2')
  const { code, outcome } = await over
  expect([code, outcome.outcome]).toEqual([0, 'confirmed'])
})

test('several users do, with those counted who were affected before the agent was killed', { timeout: 60_000 }, async () => {
  gracer.writeConfig({ ...config, bake: '10m' })
  const swapped = await gracer.swap(build('r3'), '--until', 'drained')
  expect(swapped.code).toBe(0)
  for (const user of everybody) expect(await ask(user)).toBe('v3')
  for (const user of ['ann', 'bob', 'ann', 'bob']) expect(await ask(user, true)).toBe('v3')
  const { agent } = await gracer.status()
  signal(agent.pid, 'SIGKILL')
  await until('another agent', async () => (await gracer.status().catch(() => null))?.agent.pid !== agent.pid)
  for (const user of ['ann', 'cid', 'dan']) expect(await ask(user, true)).toBe('v3')
  await until('the old release to answer again', async () => (await ask('user 1')) === 'v2')
  const told = JSON.parse(await gracer.control('GET', '/v1/explain?release=v3')) as { failure: { message: string } }
  // Three of 15 would be less than three times the share of the old release, whose heavy user counts as one of its own.
  expect(told.failure.message).toMatch(/^4 of its 16 users were affected \(the old release in its last ten minutes: 1 of 13\)/)
  expect((await gracer.status()).violations).toBe(0)
})
