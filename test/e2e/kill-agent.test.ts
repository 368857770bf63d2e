import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Load } from '../load/load.ts'
import type { Behaviour } from '../load/make-release.ts'
import { until } from '../support/deadline.ts'
import { dropRelease } from '../support/drop.ts'
import type { GracerProcess } from '../support/gracer-process.ts'
import { boots, endAll, Events, loadOn, msBetween, nowNs, pidsOf, receipts, settled, signal, start, wrong } from './kill-support.ts'

/** Boots slowly, so that every phase of its swaps lasts. */
const slowly = { listenAfterMs: 150 }

let gracer: GracerProcess
let load: Load
let live = 'r0'
let number = 0
/** From here on an older release answers again, on purpose. */
let rolledBackAt = 0n

beforeAll(async () => {
  gracer = await start({ bake: '400ms' }, { behaviour: slowly })
  load = await loadOn(gracer, ['keep-alive', 'fresh', 'post', 'stream', 'slow', 'pipeline', 'websocket'])
})

afterAll(endAll)

/** Kills the agent; resolves with how long it took until another one answered. */
async function killAgent(pid: number): Promise<number> {
  const at = nowNs()
  signal(pid, 'SIGKILL')
  await until('another agent', async () => {
    const status = await gracer.status().catch(() => null)
    return status !== null && status.agent.pid !== pid
  })
  return msBetween(at, nowNs())
}

async function expectNothingLost(): Promise<void> {
  const status = await gracer.status()
  expect(load.ledger.filter((entry) => entry.outcome === 'failed').slice(0, 3).map((entry) => [entry.kind, entry.release, entry.failure])).toEqual([])
  expect(status.lost).toBe(0)
  expect(status.violations).toBe(0)
}

async function dropNext(behaviour: Behaviour = slowly): Promise<string> {
  number += 1
  live = `r${number}`
  await dropRelease(gracer, live, { behaviour })
  return live
}

describe('kill -9 of the agent under load', () => {
  test.each(['taking-in', 'booting', 'checking', 'flipping', 'draining', 'drained', 'confirmed', 'stopping'])('in phase %s: the next agent finishes the swap', async (phase) => {
    const events = new Events(gracer)
    const before = pidsOf(gracer, 'backend')
    const { agent } = await gracer.status()
    // The one that is stopped in the last phase does not obey SIGTERM, so that its stop lasts.
    const name = await dropNext(phase === 'confirmed' ? { ...slowly, ignoreSigterm: true } : slowly)
    // What stops is the old release, which has another name.
    await events.next(`swap.${phase}`, phase === 'stopping' ? `r${number - 1}` : name)
    await killAgent(agent.pid)
    const status = await settled(gracer, name)
    expect(before).not.toContain(status.services[0]?.releases.find((one) => one.name === name)?.pid)
    expect(boots(gracer).get(`v${number + 1}`), 'started once').toBe(1)
    await expectNothingLost()
  })

  test('while a worker has not prepared for the flip: undone by the master, done again by the next agent', async () => {
    const events = new Events(gracer)
    const { agent, proxy } = await gracer.status()
    const worker = proxy.workers[0] as number
    const name = await dropNext()
    await events.next('swap.checking', name)
    signal(worker, 'SIGSTOP')
    try {
      await events.next('swap.flipping', name)
      await killAgent(agent.pid)
    } finally {
      signal(worker, 'SIGCONT')
    }
    await settled(gracer, name)
    expect(boots(gracer).get(`v${number + 1}`)).toBe(1)
    await expectNothingLost()
  })

  test('between the commit of the flip and its hearing of it: the next agent finds it done and finishes', async () => {
    const events = new Events(gracer)
    const { agent, proxy } = await gracer.status()
    const worker = proxy.workers[0] as number
    const name = await dropNext()
    await events.next('swap.checking', name)
    signal(worker, 'SIGSTOP')
    try {
      await events.next('swap.flipping', name)
      // The order is out, and can be acknowledged only by a worker that goes on.
      signal(agent.pid, 'SIGSTOP')
    } finally {
      signal(worker, 'SIGCONT')
    }
    await until('the table to be committed', () => readFileSync(join(gracer.folder, '.gracer', 'table.json'), 'utf8').includes(`"live":{"release":"default/v${number + 1}"`))
    await killAgent(agent.pid)
    await settled(gracer, name)
    expect(boots(gracer).get(`v${number + 1}`)).toBe(1)
    await expectNothingLost()
  })

  test('during a rollback: the next agent finishes that too', async () => {
    const events = new Events(gracer)
    const { agent } = await gracer.status()
    const name = await dropNext()
    await events.next('swap.draining', name)
    rolledBackAt = nowNs()
    // The agent that would answer is killed.
    gracer.control('POST', '/v1/services/default/rollback', {}).catch(() => {})
    await events.next('swap.flipping-back', name)
    await killAgent(agent.pid)
    live = `r${number - 1}`
    await settled(gracer, live)
    await until('the receipt', async () => (await receipts(gracer)).find((one) => one.name === name)?.outcome === 'rolled-back')
    await expectNothingLost()
  })

  test('the history has one receipt of each swap, whoever finished it', async () => {
    const names = Array.from({ length: number + 1 }, (_, index) => `r${index}`)
    await until('all receipts', async () => (await receipts(gracer)).length >= names.length)
    const found = (await receipts(gracer)).map((one) => [one.name, one.outcome])
    expect(found).toEqual(names.reverse().map((name) => [name, name === `r${number}` ? 'rolled-back' : 'confirmed']))
  })

  test('the load has lost nothing in all that', async ({ annotate }) => {
    const report = await load.stop()
    await annotate(`${report.requests} requests, ${report.failed} failed, longest gap ${report.longestGapMs} ms, ${new Set(gracer.gracerLog().filter((line) => line.event === 'agent.ready').map((line) => line['pid'])).size} agents`)
    expect(report.failed, JSON.stringify(wrong(report))).toBe(0)
    expect(report.staleAfterFlip({ to: rolledBackAt }).map(({ entry, newer }) => [entry.release, newer.release])).toEqual([])
  })
})
