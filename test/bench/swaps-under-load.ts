import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { startLoad, type Report } from '../load/load.ts'
import type { StaleReply } from '../load/stale.ts'
import type { Receipt } from '../../agent/control/shapes.ts'
import { cpuMs } from '../support/cpu.ts'
import { until } from '../support/deadline.ts'
import { dropRelease, firstRelease, stageRelease } from '../support/drop.ts'
import { GracerProcess, root } from '../support/gracer-process.ts'

/** Blocks the first worker for 50 ms at each prepare and each commit. */
export const stallFirstWorker: Record<string, string> = { NODE_OPTIONS: `--import ${pathToFileURL(join(root, 'test', 'apps', 'stall-worker.mjs')).href}` }

export interface Scenario {
  readonly workers: number
  readonly drops: number
  readonly swaps: number
  readonly connections: number
  readonly rate: number
  /** Over the shipped defaults. */
  readonly config: Record<string, unknown>
  readonly env?: Record<string, string>
  readonly say?: (line: string) => void
}

export interface Result {
  readonly report: Report
  readonly stale: readonly StaleReply[]
  readonly receipts: readonly Receipt[]
  readonly violations: number
  readonly lost: number
  /** Milliseconds of CPU that each worker has used while the load ran: none of them was idle. */
  readonly workerCpuMs: readonly number[]
}

/** Swaps one release after the other by drop and by command, under the strict load, each until it is confirmed. */
export async function swapsUnderLoad(scenario: Scenario): Promise<Result> {
  const say = scenario.say ?? (() => {})
  const gracer = await GracerProcess.startWith(
    { workers: scenario.workers, config: scenario.config, env: scenario.env ?? {} },
    (one) => firstRelease(one, 'r0'),
  )
  try {
    const load = startLoad({ host: '127.0.0.1', port: gracer.port, connections: scenario.connections, rate: scenario.rate, durationMs: 2 * 3_600_000 })
    await until('the load to run', () => load.counts().requests > scenario.rate)
    const workers = (await gracer.status()).proxy.workers
    const before = workers.map(cpuMs)
    let number = 0
    for (let index = 0; index < scenario.drops; index += 1) {
      number += 1
      await dropRelease(gracer, `r${number}`)
      await gracer.live(`r${number}`, true, 90_000)
      say(`drop ${number} confirmed; ${load.counts().requests} requests, ${load.counts().failed} failed`)
    }
    for (let index = 0; index < scenario.swaps; index += 1) {
      number += 1
      const path = await stageRelease(gracer, `r${number}`)
      const { code, stderr } = await gracer.swap(path)
      if (code !== 0) throw new Error(`gracer swap r${number} exited with ${code}: ${stderr}`)
      say(`swap ${number} confirmed; ${load.counts().requests} requests, ${load.counts().failed} failed`)
    }
    const workerCpuMs = workers.map((pid, index) => cpuMs(pid) - (before[index] ?? 0))
    const report = await load.stop()
    if (report.endedBy !== 'stop') throw new Error(`the load ended by its ${report.endedBy}, before the last swap`)
    const after = await gracer.status()
    const history = JSON.parse(await gracer.control('GET', '/v1/history?service=default&n=200')) as { receipts: Receipt[] }
    return {
      report, stale: report.staleAfterFlip(), receipts: history.receipts.filter((receipt) => receipt.name !== 'r0'),
      violations: after.violations, lost: after.lost, workerCpuMs,
    }
  } finally {
    await gracer.end()
  }
}
