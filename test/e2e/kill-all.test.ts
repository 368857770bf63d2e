import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { dropRelease, firstRelease } from '../support/drop.ts'
import { GracerProcess } from '../support/gracer-process.ts'
import { boots, Events, get, killAll, quickDrain, receipts, settled } from './kill-support.ts'

const config = { settle: '200ms', bake: '60s', drain: quickDrain }
/** Lasts long enough before its flip to be killed there. */
const slowly = { listenAfterMs: 400 }

let gracer: GracerProcess
afterEach(async () => {
  await gracer.end()
})

describe('kill -9 of everything at once', () => {
  test('at rest: the confirmed release boots again', async () => {
    gracer = await start()
    await killAll(gracer)
    await gracer.up()
    const status = await settled(gracer, 'r0')
    expect(await get(gracer)).toMatchObject({ status: 200, body: 'release r0\n' })
    expect([status.lost, status.violations]).toEqual([0, 0])
  })

  test('before a flip: the confirmed release boots, and the drop, which was never judged, is tried again', async () => {
    gracer = await start()
    const events = new Events(gracer)
    await dropRelease(gracer, 'r1', { behaviour: slowly })
    await events.next('swap.checking', 'r1')
    await killAll(gracer)
    await gracer.up()
    await gracer.live('r1', false)
    const order = gracer.gracerLog().filter((line) => line.event === 'backend.spawned').map((line) => line['release'])
    expect(order).toEqual(['v1', 'v2', 'v1', 'v3'])
    expect((await receipts(gracer)).find((one) => one.release === 'v2')).toMatchObject({ outcome: 'aborted', reason: 'gracer ended before its flip' })
  })

  test.for(['flipping', 'flipped', 'drained'])('in phase %s of a swap: the confirmed release boots, never the tentative one', async (phase) => {
    gracer = await start()
    const events = new Events(gracer)
    await dropRelease(gracer, 'r1')
    await events.next(`swap.${phase}`, 'r1')
    await killAll(gracer)
    await gracer.up()
    // In 'flipping' nobody can know whether the kill was before or after the commit.
    if (phase === 'flipping') {
      await gracer.live()
      const order = gracer.gracerLog().filter((line) => line.event === 'backend.spawned').map((line) => line['release'])
      expect(order[2]).toBe('v1')
      return
    }
    await settled(gracer, 'r0')
    expect(await get(gracer)).toMatchObject({ status: 200, body: 'release r0\n' })
    expect(boots(gracer).get('v2')).toBe(1)
    expect((await receipts(gracer)).find((one) => one.name === 'r1')?.outcome).toBe('flipped-back')
  })

  test.for([
    ['torn', '{"schema":1,"service":"default","nextNu'],
    ['of no length', ''],
    ['garbage', '\u0000\u0001\u0002 not a journal'],
    ['somebody else\'s JSON', '{"name":"left-pad"}'],
  ] as const)('with a journal that is %s: the copy before it is used, said loudly, and it serves', async ([, text]) => {
    gracer = await start('100ms')
    await dropRelease(gracer, 'r1')
    await settled(gracer, 'r1')
    await killAll(gracer)
    const folder = join(gracer.folder, '.gracer', 'services', 'default')
    writeFileSync(join(folder, 'journal.json'), text)
    const events = new Events(gracer)
    await gracer.up()
    expect(await events.next('journal.unreadable')).toMatchObject({ level: 'error' })
    expect(await events.next('journal.previous-used')).toMatchObject({ level: 'error' })
    await settled(gracer, 'r1')
    expect(await get(gracer)).toMatchObject({ status: 200, body: 'release r1\n' })
    // The same release under the same number: nothing was forgotten. What could not be read was put aside.
    expect([...boots(gracer)]).toEqual([['v1', 1], ['v2', 2]])
    expect(readdirSync(folder).filter((name) => name.startsWith('journal.json.bad-'))).toHaveLength(1)
  })
})

function start(bake = config.bake): Promise<GracerProcess> {
  return GracerProcess.startWith({ config: { ...config, bake } }, (one) => firstRelease(one, 'r0'))
}
