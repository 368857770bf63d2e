import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { until } from '../support/deadline.ts'
import { dropRelease } from '../support/drop.ts'
import type { GracerProcess } from '../support/gracer-process.ts'
import { boots, endAll, Events, flowing, get, loadOn, msBetween, nowNs, settled, signal, start, wrong } from './kill-support.ts'

let gracer: GracerProcess
afterEach(endAll)

async function pidOfLive(): Promise<number> {
  const status = await gracer.status()
  return status.services[0]?.releases.find((one) => one.state === 'live')?.pid as number
}

describe('kill -9 of the live, confirmed backend under load', () => {
  test('holds requests until the same release is back, and loses only what was in flight on it', async ({ annotate }) => {
    gracer = await start({})
    const load = await loadOn(gracer, ['keep-alive', 'fresh', 'post', 'slow', 'stream', 'pipeline', 'upload'])
    const events = new Events(gracer)
    const before = await pidOfLive()
    await until('long requests to be under way', () => load.counts().inFlight > 12)

    const killedAt = nowNs()
    signal(before, 'SIGKILL')
    const first = await get(gracer)
    await events.next('backend.spawned')
    await flowing(load)
    const after = await settled(gracer, 'r0')
    const report = await load.stop()
    const failed = load.ledger.filter((entry) => entry.outcome === 'failed')
    await annotate(`a new request was answered ${first.ms} ms after the kill; ${failed.length} of ${report.requests} lost by the client's ledger, ${after.lost} by the status; longest gap ${report.longestGapMs} ms`)

    expect(first.status).toBe(200)
    expect(report.refused).toBe(0)
    expect(await pidOfLive()).not.toBe(before)
    expect(boots(gracer).get('v1')).toBe(2)
    // All that failed had been sent before the end of the process was known.
    expect(failed.filter((entry) => entry.sentAt === null || msBetween(killedAt, entry.sentAt) > 100), JSON.stringify(wrong(report))).toEqual([])
    // Slow GETs without a byte of a reply are asked again; what had begun to be answered, or may not be repeated, is lost.
    expect(failed.filter((entry) => entry.kind === 'slow')).toEqual([])
    expect(failed.length).toBeGreaterThan(0)
    expect(after.lost).toBe(failed.length)
    expect(after.violations).toBe(0)
  })

  test('which cannot come back: held, then 503 with Retry-After, status says restarting; a good drop mends it', async ({ annotate }) => {
    gracer = await start({ bake: '200ms', hold: { timeout: '700ms' } })
    await breakBoot('r0')
    const events = new Events(gracer)
    signal(await pidOfLive(), 'SIGKILL')
    await events.next('backend.exited')

    const held = await get(gracer)
    expect(held.status).toBe(503)
    expect(Number(held.headers['retry-after'])).toBeGreaterThan(0)
    expect(held.body).toContain('r0 is restarting')
    expect(held.ms).toBeGreaterThanOrEqual(690)
    const status = await gracer.status()
    expect(status.services[0]?.releases[0]).toMatchObject({ name: 'r0', state: 'restarting' })

    // 0, 1, 2 s: three boots, the time between them growing.
    const times: number[] = []
    for (let attempt = 0; attempt < 3; attempt += 1) times.push(Date.parse((await events.next('backend.spawned')).time))
    const [first = 0, second = 0, third = 0] = times
    await annotate(`503 after ${held.ms} ms; restarts ${second - first} and ${third - second} ms apart`)
    expect(second - first).toBeGreaterThanOrEqual(1_000)
    expect(third - second).toBeGreaterThanOrEqual(2_000)

    await dropRelease(gracer, 'r1')
    await settled(gracer, 'r1')
    expect(await get(gracer)).toMatchObject({ status: 200, body: 'release r1\n' })
  })

  test('which cannot come back: `gracer rollback` boots the release before it, and held requests are answered by that', async () => {
    gracer = await start({ bake: '200ms', hold: { timeout: '10s' } })
    await dropRelease(gracer, 'r1')
    await settled(gracer, 'r1')
    await breakBoot('r1')
    const events = new Events(gracer)
    signal(await pidOfLive(), 'SIGKILL')
    await events.next('backend.exited')
    const held = get(gracer)
    const { code, stderr } = await gracer.cli('rollback')
    expect(code, stderr).toBe(0)
    expect(await held).toMatchObject({ status: 200, body: 'release r0\n' })
    const status = await settled(gracer, 'r0')
    expect(status.violations).toBe(0)
  })
})

async function breakBoot(name: string): Promise<void> {
  writeFileSync(join(gracer.releases, name, 'behaviour.json'), JSON.stringify({ crashAtBoot: true }))
  await settled(gracer, name)
}
