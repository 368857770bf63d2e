import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { until } from '../support/deadline.ts'
import { dropRelease } from '../support/drop.ts'
import type { GracerProcess } from '../support/gracer-process.ts'
import { endAll, Events, get, killAll, receipts, settled, start } from './kill-support.ts'

let gracer: GracerProcess
let events: Events

beforeAll(async () => {
  gracer = await start({ bake: '60s' })
  events = new Events(gracer)
})

afterAll(endAll)

/** Kills every process of gracer, and starts it again; what is booted first then. */
async function killAndStart(between = (): void => {}): Promise<string> {
  await killAll(gracer)
  between()
  events = new Events(gracer)
  await gracer.up()
  return String((await events.next('backend.spawned'))['release'])
}

async function rollback(): Promise<void> {
  await gracer.control('POST', '/v1/services/default/rollback', {})
  await settled(gracer, 'r0')
}

describe('kill -9 of everything at once', () => {
  test('at rest: the confirmed release boots again', async () => {
    expect(await killAndStart()).toBe('v1')
    const status = await settled(gracer, 'r0')
    expect(await get(gracer)).toMatchObject({ status: 200, body: 'release r0\n' })
    expect([status.lost, status.violations]).toEqual([0, 0])
  })

  test('before a flip: the confirmed release boots, and the drop, which was never judged, is tried again', async () => {
    await dropRelease(gracer, 'early', { behaviour: { listenAfterMs: 400 } })
    const { release } = await events.next('swap.checking', 'early')
    expect(await killAndStart()).toBe('v1')
    await gracer.live('early', false)
    expect((await receipts(gracer)).find((one) => one.release === release)).toMatchObject({ outcome: 'aborted', reason: 'gracer ended before its flip' })
    await rollback()
  })

  test('while a flip is on its way: the confirmed release boots first, whether it was committed or not', async () => {
    await dropRelease(gracer, 'between')
    const { release } = await events.next('swap.flipping', 'between')
    expect(await killAndStart()).toBe('v1')
    const receipt = await until('its receipt', async () => (await receipts(gracer)).find((one) => one.release === release))
    // Not committed, it was never judged and is tried again; committed, it was tentative and had its chance.
    expect(['aborted', 'flipped-back']).toContain(receipt.outcome)
    if (receipt.outcome === 'flipped-back') return void (await settled(gracer, 'r0'))
    await gracer.live('between', false)
    await rollback()
  })

  test.for(['flipped', 'drained'])('in phase %s of a swap: the confirmed release boots, and the tentative one never again', async (phase) => {
    await dropRelease(gracer, phase)
    await events.next(`swap.${phase}`, phase)
    expect(await killAndStart()).toBe('v1')
    await settled(gracer, 'r0')
    expect(await get(gracer)).toMatchObject({ status: 200, body: 'release r0\n' })
    await until('its receipt', async () => (await receipts(gracer)).find((one) => one.name === phase)?.outcome === 'flipped-back')
  })

  test.for([
    ['torn', '{"schema":1,"service":"default","nextNu'],
    ['of no length', ''],
    ['garbage', '\u0000\u0001\u0002 not a journal'],
    ['somebody else\'s JSON', '{"name":"left-pad"}'],
  ] as const)('with a journal that is %s: the copy before it is used, said loudly, and it serves', async ([, text]) => {
    const folder = join(gracer.folder, '.gracer', 'services', 'default')
    const bad = (): number => readdirSync(folder).filter((name) => name.startsWith('journal.json.bad-')).length
    const before = bad()
    // The same release under the same number: nothing was forgotten.
    expect(await killAndStart(() => writeFileSync(join(folder, 'journal.json'), text))).toBe('v1')
    expect(events.seen).toEqual(expect.arrayContaining([
      expect.objectContaining({ event: 'journal.unreadable', level: 'error' }), expect.objectContaining({ event: 'journal.previous-used', level: 'error' }),
    ]))
    await settled(gracer, 'r0')
    expect(await get(gracer)).toMatchObject({ status: 200, body: 'release r0\n' })
    // What could not be read was put aside.
    expect(bad()).toBe(before + 1)
  })
})
