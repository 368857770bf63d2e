import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { seededRandom } from '../load/bytes.ts'
import { until } from '../support/deadline.ts'
import { dropRelease } from '../support/drop.ts'
import { boots, endAll, loadOn, settled, signal, start, wrong } from './kill-support.ts'

const rounds = 10
/** From the drop to the end of a swap, about. */
const longestMs = 1_100

afterEach(endAll)

test('kill -9 of the agent at any moment around a swap loses nothing, boots nothing twice and ends settled', { timeout: 120_000 }, async ({ annotate }) => {
  const seed = Date.now() % 1_000_000
  const random = seededRandom(seed)
  const gracer = await start({ bake: '300ms' }, { behaviour: { listenAfterMs: 100 } })
  const load = await loadOn(gracer, ['keep-alive', 'fresh', 'post', 'pipeline', 'websocket'])
  const moments: number[] = []
  for (let round = 1; round <= rounds; round += 1) {
    const { agent } = await gracer.status()
    const before = await settled(gracer, `r${round - 1}`)
    expect(before.agent.pid).toBe(agent.pid)
    await dropRelease(gracer, `r${round}`, { behaviour: { listenAfterMs: 100 } })
    // The moment itself is what is tried here: nothing is waited for.
    const moment = random.between(0, longestMs)
    await pause(moment)
    signal(agent.pid, 'SIGKILL')
    moments.push(moment)
    await until('another agent', async () => (await gracer.status().catch(() => null))?.agent.pid !== agent.pid)
    const status = await settled(gracer, `r${round}`)
    expect([status.lost, status.violations], `round ${round}, ${moment} ms after the drop`).toEqual([0, 0])
    expect(boots(gracer).get(`v${round + 1}`), `round ${round}, ${moment} ms after the drop`).toBe(1)
  }
  const report = await load.stop()
  await annotate(`seed ${seed}: killed ${moments.join(', ')} ms after the drop; ${report.requests} requests, ${report.failed} failed, longest gap ${report.longestGapMs} ms`)
  expect(report.failed, JSON.stringify(wrong(report))).toBe(0)
  expect(report.staleAfterFlip()).toEqual([])
})
