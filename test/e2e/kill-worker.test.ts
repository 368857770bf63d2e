import { afterEach, describe, expect, test } from 'vitest'
import type { Entry } from '../load/ledger.ts'
import type { Kind } from '../load/kinds.ts'
import { until } from '../support/deadline.ts'
import { endAll, Events, flowing, get, loadOn, msBetween, nowNs, settled, signal, start, wrong } from './kill-support.ts'

/** Long ones among them, so that something is in flight at every moment. */
const kinds: readonly Kind[] = ['keep-alive', 'fresh', 'post', 'upload', 'slow', 'stream', 'pipeline']
/** A worker sends its ledger every 100 ms; on a busy machine that takes its time. */
const ledgerAgeMs = 400

afterEach(endAll)

describe.each([1, 4])('kill -9 of a worker under load, of %i', (workers) => {
  test('refuses no connection, loses only what was in flight on it, and counts that', async ({ annotate }) => {
    const gracer = await start({}, { workers })
    const events = new Events(gracer)
    const load = await loadOn(gracer, kinds)
    const before = await gracer.status()
    expect(before.proxy.workers).toHaveLength(workers)
    const victim = before.proxy.workers[0] as number
    // So long that some requests are older than a ledger.
    await flowing(load, 200)
    await until('long requests to be under way', () => load.counts().inFlight > 12)

    const killedAt = nowNs()
    signal(victim, 'SIGKILL')
    const first = await get(gracer)
    await events.next('worker.listening')
    const backMs = msBetween(killedAt, nowNs())
    await flowing(load)
    const after = await settled(gracer, 'r0', workers)
    expect(after.proxy.workers).not.toContain(victim)
    const report = await load.stop()
    const failed = load.ledger.filter((entry) => entry.outcome === 'failed')
    const { least, most } = bounds(load.ledger, killedAt)
    await annotate(
      `${workers} worker(s): a new request was answered ${first.ms} ms after the kill, the successor listened after ${backMs} ms; ` +
      `lost by the client's ledger ${failed.length}, by the status ${after.lost}, bounds ${least} to ${most}; longest gap ${report.longestGapMs} ms`,
    )

    expect(report.refused).toBe(0)
    expect(first.status).toBe(200)
    expect(first.ms).toBeLessThan(2_000)
    // What was sent in the few milliseconds in which the kernel took the process down was in flight on it as well.
    const tooLate = failed.filter((entry) => entry.sentAt === null || msBetween(killedAt, entry.sentAt) > 100)
    expect(tooLate, JSON.stringify(wrong(report))).toEqual([])
    expect(failed.filter((entry) => !['reset', 'truncated', 'no-reply'].includes(entry.failure?.code ?? ''))).toEqual([])
    expect(failed.length).toBeGreaterThan(0)
    // The status counts what stood on the last ledger that the worker had sent: all that was in flight on it from then
    // to its end, and nothing that was not in flight at any moment of that time.
    expect(after.lost).toBeGreaterThanOrEqual(least)
    expect(after.lost).toBeLessThanOrEqual(most)
    expect(after.violations).toBe(0)
  })
})

/** What failed and was under way for longer than a ledger's age; and that, all that failed, and all that ended just before. */
function bounds(entries: readonly Entry[], killedAt: bigint): { least: number; most: number } {
  const from = killedAt - BigInt(ledgerAgeMs) * 1_000_000n
  const failed = entries.filter((entry) => entry.outcome === 'failed')
  const endedBefore = entries.filter((entry) => entry.outcome === 'ok' && entry.completedAt > from && entry.sentAt !== null && entry.sentAt < killedAt)
  return { least: failed.filter((entry) => entry.sentAt !== null && entry.sentAt < from).length, most: failed.length + endedBefore.length }
}
