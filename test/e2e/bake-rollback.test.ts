import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Outcome } from '../../agent/control/shapes.ts'
import type { Load } from '../load/load.ts'
import { dropRelease } from '../support/drop.ts'
import type { GracerProcess } from '../support/gracer-process.ts'
import { boots, endAll, Events, loadOn, msBetween, nowNs, processesOf, quickDrain, receipts, settled, start, wrong } from './kill-support.ts'

let gracer: GracerProcess
let load: Load

beforeAll(async () => {
  gracer = await start({ bake: '60s' })
  load = await loadOn(gracer, ['keep-alive', 'fresh', 'post', 'stream', 'websocket'], { connections: 40, rate: 200 })
})

afterAll(endAll)

/** Over the control socket: what the agent takes for it, without the start of a command. */
async function rollback(): Promise<{ outcome: Outcome; ms: number }> {
  const begun = nowNs()
  const lines = (await gracer.control('POST', '/v1/services/default/rollback', {})).trim().split('\n')
  return { outcome: JSON.parse(lines.at(-1) ?? 'null') as Outcome, ms: msBetween(begun, nowNs()) }
}

async function pidOf(name: string): Promise<number | null> {
  return (await gracer.status()).services[0]?.releases.find((one) => one.name === name)?.pid ?? null
}

describe('rollback under load', () => {
  test('during bake is a pointer move: the old process never ended', async ({ annotate }) => {
    const old = await pidOf('r0')
    const events = new Events(gracer)
    await dropRelease(gracer, 'r1', { behaviour: { listenAfterMs: 1_000 } })
    await events.next('swap.drained', 'r1')
    const { outcome, ms } = await rollback()
    await annotate(`a rollback during bake took ${ms} ms`)
    expect(outcome).toMatchObject({ outcome: 'rolled-back', exitCode: 0, name: 'r1', live: 'r0' })
    // A boot would take a second.
    expect(ms).toBeLessThan(500)
    await settled(gracer, 'r0')
    expect(await pidOf('r0')).toBe(old)
    expect(boots(gracer).get('v1')).toBe(1)
  })

  test('after confirmation boots the release before it again', async ({ annotate }) => {
    gracer.writeConfig({ settle: '200ms', drain: quickDrain, bake: '100ms' })
    await dropRelease(gracer, 'r2')
    await settled(gracer, 'r2')
    expect(await pidOf('r0')).toBeNull()
    const { outcome, ms } = await rollback()
    await annotate(`a rollback after confirmation took ${ms} ms, with a boot`)
    expect(outcome).toMatchObject({ outcome: 'confirmed', exitCode: 0, name: 'r0', live: 'r0' })
    await settled(gracer, 'r0')
    expect(boots(gracer).get('v1')).toBe(2)
  })

  test('during a boot undoes it before its flip: it never had a request', async () => {
    const events = new Events(gracer)
    await dropRelease(gracer, 'r3', { behaviour: { listenAfterMs: 5_000 } })
    await events.next('swap.checking', 'r3')
    const { code, stdout } = await gracer.cli('rollback', '--json')
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ live: 'r0', message: expect.stringContaining('undone') as string })
    await settled(gracer, 'r0')
    expect((await receipts(gracer))[0]).toMatchObject({ name: 'r3', outcome: 'aborted', phasesMs: { flip: null } })
    expect(load.counts().releasesSeen).not.toContain('r3')
    expect(processesOf(gracer).filter((one) => one.role === 'backend')).toHaveLength(1)
  })

  test('has lost nothing', async () => {
    const report = await load.stop()
    const status = await gracer.status()
    expect(report.failed, JSON.stringify(wrong(report))).toBe(0)
    expect([status.lost, status.violations]).toEqual([0, 0])
  })
})
