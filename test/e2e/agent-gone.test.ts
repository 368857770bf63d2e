import { afterAll, beforeAll, expect, it } from 'vitest'
import { until } from '../support/deadline.ts'
import { firstRelease, stageRelease } from '../support/drop.ts'
import { GracerProcess } from '../support/gracer-process.ts'

let gracer: GracerProcess
beforeAll(async () => {
  gracer = await GracerProcess.startWith({ config: { bake: '100ms' } }, (one) => firstRelease(one, 'r0'))
})
afterAll(async () => {
  await gracer.end()
})

it('gracer swap tells the outcome although the agent was killed in the middle of it', async () => {
  const path = await stageRelease(gracer, 'r1', { behaviour: { listenAfterMs: 1_000 } })
  const swapping = gracer.cli('swap', path)
  await until('the release to boot', () => gracer.gracerLog().some((line) => line.event === 'swap.checking' && line['release'] === 'v2'))
  process.kill((await gracer.status()).agent.pid, 'SIGKILL')
  const { code, stdout, stderr } = await swapping
  expect(stderr).toContain('the agent went away; waiting for what its successor makes of it')
  expect({ code, first: stdout.split('\n')[0] }).toEqual({ code: 0, first: expect.stringContaining('v2 is live now') })
}, 30_000)
