import { connect } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { dropRelease } from '../support/drop.ts'
import type { GracerProcess } from '../support/gracer-process.ts'
import { endAll, Events, flowing, get, loadOn, lostBehindTheDoor, msBetween, nowNs, pidsOf, receipts, runs, settled, signal, start, wrong } from './kill-support.ts'
import { until } from '../support/deadline.ts'

/** Idle connections of the old worker end soon, so that it leaves soon. */
const config = { bake: '400ms', limits: { idle: '1s' } }

let gracer: GracerProcess
afterEach(endAll)

describe('kill -9 of the master under load', { timeout: 60_000 }, () => {
  test('with a confirmed release: traffic goes on, and the next `gracer up` adopts the backend and takes the port over from all workers', async ({ annotate }) => {
    const workers = 3
    gracer = await start(config, { workers })
    const before = await gracer.status()
    const backend = before.services[0]?.releases[0]?.pid as number
    const load = await loadOn(gracer, ['keep-alive', 'fresh', 'post', 'slow', 'upload', 'stream', 'pipeline'])

    signal(gracer.pid, 'SIGKILL')
    await gracer.ended
    await until('the agent to leave with its master', () => !runs(before.agent.pid))
    await flowing(load, 150)
    expect(load.counts().failed).toBe(0)
    expect(pidsOf(gracer, 'worker')).toEqual([...before.proxy.workers].sort((a, b) => a - b))
    const orphaned = await gracer.cli('status')
    expect(orphaned.code, orphaned.stderr).toBe(3)
    expect(orphaned.stderr).toContain('gracer up')

    const gap = watchRefusals(gracer.port)
    const events = new Events(gracer)
    const [atTheTakeOver] = await Promise.all([events.next('takeover.worker').then(() => pidsOf(gracer, 'worker')), gracer.up()])
    // The new ones have booted before the old ones are told to let go of the port; these have requests to finish.
    expect(atTheTakeOver).toHaveLength(2 * workers)
    await flowing(load, 150)
    const after = await settled(gracer, 'r0', workers, 25_000)
    const gapMs = gap.end()
    const report = await load.stop()
    await annotate(`refused for ${gapMs} ms; of ${report.requests} requests ${report.refused} were refused, ${report.failed - report.refused} reset in the queue`)

    expect(gapMs).toBeLessThan(1_000)
    expect(after.services[0]?.releases[0]?.pid).toBe(backend)
    expect(after.proxy.workers.filter((pid) => before.proxy.workers.includes(pid))).toEqual([])
    expect(lostBehindTheDoor(load.ledger), JSON.stringify(wrong(report))).toEqual([])
    expect([after.lost, after.violations]).toEqual([0, 0])
    // It is a gracer like any other from here on.
    await dropRelease(gracer, 'r1')
    await settled(gracer, 'r1', workers)
  })

  test('while a tentative release is live: the confirmed one is live afterwards', async ({ annotate }) => {
    gracer = await start({ ...config, bake: '60s' })
    const load = await loadOn(gracer, ['keep-alive', 'fresh', 'post', 'stream'], { connections: 40 })
    const before = await gracer.status()
    await dropRelease(gracer, 'r1')
    await gracer.live('r1', false)
    await flowing(load)
    signal(gracer.pid, 'SIGKILL')
    await gracer.ended
    await flowing(load)
    expect(await get(gracer)).toMatchObject({ body: 'release r1\n' })
    const gap = watchRefusals(gracer.port)
    await gracer.up()
    const after = await settled(gracer, 'r0')
    await flowing(load)
    const gapMs = gap.end()
    const report = await load.stop()
    await annotate(`refused for ${gapMs} ms; of ${report.requests} requests ${report.refused} were refused, ${report.failed - report.refused} reset in the queue`)

    expect(after.services[0]?.releases.find((one) => one.name === 'r0')?.pid).toBe(before.services[0]?.releases[0]?.pid)
    expect((await receipts(gracer))[0]).toMatchObject({ name: 'r1', outcome: 'flipped-back', reason: expect.stringContaining('gracer ended during its bake') as string })
    expect(lostBehindTheDoor(load.ledger), JSON.stringify(wrong(report))).toEqual([])
    expect(after.violations).toBe(0)
  })
})

test('a second `gracer up` on the same state folder exits 4 and names the pid of the first, which serves on', async () => {
  gracer = await start(config)
  const before = await gracer.status()
  const second = await gracer.cli('up')
  expect(second.code).toBe(4)
  expect(second.stderr).toContain(`pid ${gracer.pid}`)
  expect(await get(gracer)).toMatchObject({ status: 200 })
  expect(await gracer.status()).toMatchObject({ agent: before.agent, proxy: before.proxy })
})

/** Connects every millisecond; the time between the first and the last refusal, with a millisecond either side. */
function watchRefusals(port: number): { end(): number } {
  let first: bigint | null = null
  let last: bigint | null = null
  const timer = setInterval(() => {
    const at = nowNs()
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {
      first ??= at
      last = nowNs()
    })
    socket.once('connect', () => socket.destroy())
  }, 1)
  return {
    end() {
      clearInterval(timer)
      return first === null || last === null ? 0 : msBetween(first, last)
    },
  }
}
