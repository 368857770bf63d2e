import { afterEach, describe, expect, test } from 'vitest'
import type { Kind } from '../load/kinds.ts'
import { until } from '../support/deadline.ts'
import { dropRelease } from '../support/drop.ts'
import type { GracerProcess } from '../support/gracer-process.ts'
import { endAll, Events, get, loadOn, lostBehindTheDoor, msBetween, nowNs, processesOf, signal, start, wrong } from './kill-support.ts'

const kinds: readonly Kind[] = ['keep-alive', 'fresh', 'post', 'upload', 'slow', 'stream', 'pipeline', 'websocket']

let gracer: GracerProcess
afterEach(endAll)

const config = { bake: '60s' }

describe('an end in order, under load', () => {
  test.for([
    ['SIGTERM', 1, (): void => signal(gracer.pid, 'SIGTERM')],
    // What a terminal does: the whole foreground group of gracer gets it.
    ['Ctrl-C', 3, (): void => { process.kill(-gracer.pid, 'SIGINT') }],
    ['gracer down', 1, (): void => { void gracer.cli('down') }],
  ] as const)('by %s: exit 0, nothing in flight is lost, no process is left', async ([, workers, end], { annotate }) => {
    gracer = await start(config, { workers })
    const load = await loadOn(gracer, kinds)
    await until('long requests to be under way', () => load.counts().inFlight > 12)
    const at = nowNs()
    end()
    expect(await gracer.ended).toBe(0)
    const tookMs = msBetween(at, nowNs())
    await until('the console to have said its last', () => processesOf(gracer).filter((one) => one.role !== 'command').length === 0)
    const report = await load.stop()
    const answered = load.ledger.filter((entry) => entry.outcome === 'ok' && entry.completedAt > at).length
    await annotate(`took ${tookMs} ms; ${answered} requests answered meanwhile`)
    // From the moment in which nobody listens any more, connections are refused; nothing else goes wrong.
    expect(lostBehindTheDoor(load.ledger), JSON.stringify(wrong(report))).toEqual([])
    expect(load.ledger.filter((entry) => entry.kind === 'slow' && entry.outcome === 'ok' && entry.completedAt > at).length).toBeGreaterThan(0)
  })

  test('during a bake and during a boot: both processes are stopped, and the confirmed release comes back at the next start', async () => {
    gracer = await start(config)
    const events = new Events(gracer)
    await dropRelease(gracer, 'r1')
    await events.next('swap.drained', 'r1')
    await dropRelease(gracer, 'r2', { behaviour: { listenAfterMs: 5_000 } })
    await events.next('swap.checking', 'r2')
    signal(gracer.pid, 'SIGTERM')
    expect(await gracer.ended).toBe(0)
    await until('everything to be gone', () => processesOf(gracer).length === 0)
    await gracer.up()
    const order = await until('a boot', () => gracer.gracerLog().filter((line) => line.event === 'backend.spawned').map((line) => line['release'])[3])
    expect(order).toBe('v1')
  })

  test('a second SIGTERM is immediate', async ({ annotate }) => {
    gracer = await start(config)
    const events = new Events(gracer)
    const slow = get(gracer, '/slow?ms=4000').then(() => 'answered', () => 'cut')
    await until('it to be in flight', async () => (await gracer.status()).services[0]?.releases[0]?.inFlight === 1)
    signal(gracer.pid, 'SIGTERM')
    await events.next('gracer.stopping')
    const at = nowNs()
    signal(gracer.pid, 'SIGTERM')
    expect(await gracer.ended).toBe(130)
    const tookMs = msBetween(at, nowNs())
    await annotate(`the second SIGTERM took ${tookMs} ms`)
    expect(tookMs).toBeLessThan(1_500)
    expect(await slow).toBe('cut')
    await until('everything to be gone', () => processesOf(gracer).length === 0)
  })
})
