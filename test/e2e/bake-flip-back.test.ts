import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Explanation } from '../../agent/control/shapes.ts'
import type { Entry } from '../load/ledger.ts'
import type { Kind } from '../load/kinds.ts'
import type { Load } from '../load/load.ts'
import { until } from '../support/deadline.ts'
import { dropRelease } from '../support/drop.ts'
import type { GracerProcess } from '../support/gracer-process.ts'
import { addSwitches, databaseDown, dropSwitched, orderTo, takeBack, type Order } from './bake-support.ts'
import { boots, endAll, Events, flowing, loadOn, msBetween, nowNs, receipts, settled, signal, start } from './kill-support.ts'

/** What may be asked again when the release that was asked is gone: nothing of it may be lost. */
const retryable: readonly Kind[] = ['keep-alive', 'fresh']

let gracer: GracerProcess

beforeAll(async () => {
  gracer = await start({ bake: '60s', health: { path: '/healthz' } }, { prepare: (one) => addSwitches(one, join(one.releases, 'r0'), 'r0') })
})

afterAll(endAll)

/** Under load: the release flips, gets the order, and is flipped back. What was answered by it after the order, and failed. */
async function goesBad(name: string, order: Order, kinds = retryable): Promise<{ lastMs: number; failed: Entry[]; load: Load }> {
  const load = await loadOn(gracer, kinds, { connections: 60 })
  const events = new Events(gracer)
  await dropSwitched(gracer, name)
  await events.next('swap.drained', name)
  await until(`replies of ${name}`, () => load.ledger.some((entry) => entry.release === name))
  const at = orderTo(gracer, name, order)
  await events.next('swap.flipping-back', name)
  await settled(gracer, 'r0')
  await flowing(load, 100)
  const report = await load.stop()
  expect(report.refused).toBe(0)
  const last = load.ledger.filter((entry) => entry.release === name && entry.sentAt !== null).map((entry) => entry.sentAt as bigint).reduce((a, b) => (a > b ? a : b))
  return { lastMs: msBetween(at, last), failed: load.ledger.filter((entry) => entry.outcome === 'failed'), load }
}

async function explain(name: string): Promise<Explanation> {
  return JSON.parse(await gracer.control('GET', `/v1/explain?service=default&release=${name}`)) as Explanation
}

describe('a release that goes bad after its flip is taken back', () => {
  test('when it exits: at once, nothing that may be repeated is lost, and history and explain say why', async ({ annotate }) => {
    const { lastMs, failed } = await goesBad('exits', 'exit')
    await annotate(`the last request that it answered was sent ${lastMs} ms after the order to exit; ${failed.length} failed`)
    expect(failed.map((entry) => [entry.kind, entry.failure])).toEqual([])
    expect(lastMs).toBeLessThan(250)
    const [receipt] = await receipts(gracer)
    expect(receipt).toMatchObject({ name: 'exits', outcome: 'flipped-back', reason: 'its process exited with code 7', lost: 0, violations: 0 })
    const told = await explain('exits')
    expect(told).toMatchObject({ state: 'failed', live: 'r0', failure: { stage: 'bake', exit: { code: 7, signal: null } } })
    expect(told.failure?.lastLines.join('\n')).toContain('release exits')
    expect(told.story.map((line) => line.what)).toEqual(expect.arrayContaining(['flipped', 'flipping-back: its process exited with code 7', 'flipped-back: its process exited with code 7']))
    expect((await gracer.cli('history')).stdout).toContain('its process exited with code 7')
  })

  test('when its health check fails: within a health interval', async ({ annotate }) => {
    const { lastMs, failed } = await goesBad('sickens', 'sick')
    await annotate(`the last request that it answered was sent ${lastMs} ms after it went bad`)
    expect(failed).toEqual([])
    // 250 ms, and what the flip takes on a machine that does other things as well.
    expect(lastMs).toBeLessThan(600)
    expect((await receipts(gracer))[0]).toMatchObject({ name: 'sickens', outcome: 'flipped-back', reason: expect.stringContaining('answered 500, expected 200-299') as string, lost: 0 })
    expect((await explain('sickens')).failure).toMatchObject({ stage: 'bake', attempts: 3, lastStatus: 500 })
  })

  test('when its health check lies: once so many users are affected as its rule asks for', async ({ annotate }) => {
    const { lastMs, failed } = await goesBad('lies', 'broken')
    await annotate(`the last request that it answered was sent ${lastMs} ms after it went bad; ${failed.length} replies of 500`)
    expect(failed.every((entry) => entry.status === 500 && entry.release === 'lies')).toBe(true)
    expect(lastMs).toBeLessThan(3_000)
    expect((await receipts(gracer))[0]).toMatchObject({ name: 'lies', outcome: 'flipped-back', reason: expect.stringMatching(/^\d+ of its \d+ users were affected \(the old release in its last ten minutes: 0 of \d+\)/) as string })
  })

  test('and does not come back by itself, neither for another agent nor after another drop; `gracer swap` by name tries it again', async () => {
    const tried = [...boots(gracer).values()].reduce((sum, count) => sum + count, 0)
    const { agent } = await gracer.status()
    signal(agent.pid, 'SIGKILL')
    await until('another agent', async () => (await gracer.status().catch(() => null))?.agent.pid !== agent.pid)
    await settled(gracer, 'r0')
    // This one is seen by a reading of the folder in which all the others were seen as well.
    await dropRelease(gracer, 'good')
    await gracer.live('good', false)
    expect([...boots(gracer).values()].reduce((sum, count) => sum + count, 0)).toBe(tried + 1)
    expect((await gracer.cli('rollback')).code).toBe(0)

    takeBack(gracer, 'exits', 'exit')
    const again = await gracer.swap('exits', '--until', 'drained')
    expect(again.code, again.stderr).toBe(0)
    expect((await gracer.status()).services[0]).toMatchObject({ live: 'exits', confirmed: false })
    expect((await gracer.cli('rollback')).code).toBe(0)
    await settled(gracer, 'r0')
  })

  test('with the agent stopped: the fallback of the workers serves, and the flip-back is final once the agent goes on', async ({ annotate }) => {
    const load = await loadOn(gracer, retryable, { connections: 60 })
    const events = new Events(gracer)
    await dropSwitched(gracer, 'alone')
    await events.next('swap.drained', 'alone')
    await until('replies of it', () => load.ledger.some((entry) => entry.release === 'alone'))
    const { agent } = await gracer.status()
    signal(agent.pid, 'SIGSTOP')
    let at = 0n
    try {
      at = orderTo(gracer, 'alone', 'exit')
      await events.next('backend.exited')
      await events.next('worker.fell-back')
      await flowing(load, 200)
      expect(live()).toBe('alone')
    } finally {
      signal(agent.pid, 'SIGCONT')
    }
    await events.next('swap.flipping-back', 'alone')
    const after = await settled(gracer, 'r0')
    expect(live()).toBe('r0')
    expect(after.agent.pid).toBe(agent.pid)
    const report = await load.stop()
    const byOld = load.ledger.find((entry) => entry.release === 'r0' && entry.sentAt !== null && entry.sentAt > at)
    await annotate(`the first reply by the fallback was complete ${msBetween(at, byOld?.completedAt ?? nowNs())} ms after the order to exit; ${report.requests} requests, ${report.failed} failed`)
    expect(report.failures).toEqual([])
    expect(after.violations).toBe(0)
    expect((await receipts(gracer))[0]).toMatchObject({ name: 'alone', outcome: 'flipped-back', lost: 0, violations: 0 })
  })

  test('but not while the old one is sick too: then it stays, and says so', async () => {
    const events = new Events(gracer)
    await dropSwitched(gracer, 'stays')
    await events.next('swap.drained', 'stays')
    writeFileSync(databaseDown(gracer), '')
    const note = await until('the note that nothing was flipped', async () => {
      const line = await events.next('service.note')
      return String(line['what']).includes('the old release is sick too') ? line : null
    })
    expect(note['what']).toContain('health probes in a row failed')
    expect((await gracer.status()).services[0]).toMatchObject({ live: 'stays', confirmed: false })
    expect((await explain('stays')).story.at(-1)?.what).toContain('the old release is sick too, so nothing was flipped')
  })
})

/** The live release of the committed table, by its name. */
function live(): string | null {
  const table = JSON.parse(readFileSync(join(gracer.folder, '.gracer', 'table.json'), 'utf8')) as { routes: { live: { release: string } | null }[] }
  const journal = JSON.parse(readFileSync(join(gracer.folder, '.gracer', 'services', 'default', 'journal.json'), 'utf8')) as { releases: { id: string; name: string }[] }
  return journal.releases.find((one) => table.routes[0]?.live?.release === `default/${one.id}`)?.name ?? null
}
