import { afterAll, beforeAll, expect, it } from 'vitest'
import { stateOfPid } from '../../proxy/process-identity.ts'
import { firstRelease } from '../support/drop.ts'
import { GracerProcess } from '../support/gracer-process.ts'

let gracer: GracerProcess
beforeAll(async () => {
  gracer = await GracerProcess.startWith({}, (one) => firstRelease(one, 'r0'))
})
afterAll(async () => {
  await gracer.end()
})

it('what a killed master left running is named by every command, and ended by gracer down', async () => {
  const pids = gracer.pids()
  gracer.masterProcess?.kill('SIGKILL')
  await gracer.ended
  const reply = await fetch(`${gracer.url}/healthz`, { headers: { connection: 'close' } })
  expect(reply.status).toBe(200)
  await reply.text()

  const status = await gracer.cli('status')
  expect(status.code).toBe(3)
  expect(status.stderr).toContain(`The gracer of pid ${gracer.pid} was killed; what it started still serves`)

  const down = await gracer.cli('down')
  expect({ code: down.code, stdout: down.stdout }).toEqual({ code: 0, stdout: 'nothing is live now: what was left of gracer has ended; "gracer up" starts it again\n' })
  expect(pids.filter((pid) => stateOfPid(pid, null) !== 'dead')).toEqual([])
  await expect(fetch(gracer.url)).rejects.toThrow()
}, 30_000)
