import { lstatSync } from 'node:fs'
import { join } from 'node:path'
import { startLoad, type Report } from '../load/load.ts'
import { until } from '../support/deadline.ts'
import { firstRelease } from '../support/drop.ts'
import { GracerProcess } from '../support/gracer-process.ts'
import { makeInstallation, removeInstallations } from '../support/installation.ts'

export interface UpgradesResult {
  readonly report: Report
  readonly lost: number
  readonly violations: number
  /** Of each upgrade: whether the master's pid stayed, and all workers' and the agent's changed. */
  readonly replaced: readonly { readonly master: boolean; readonly workers: boolean; readonly agent: boolean }[]
  /** How often the control socket's path was looked at, and how often it was not there. */
  readonly looks: number
  readonly missing: number
}

export interface UpgradesScenario {
  readonly upgrades: number
  readonly workers: number
  readonly connections: number
  readonly rate: number
  readonly config: Record<string, unknown>
  readonly say?: (line: string) => void
}

/** Upgrades gracer there and back between two installations, under the strict load, WebSockets among it. */
export async function upgradesUnderLoad(scenario: UpgradesScenario): Promise<UpgradesResult> {
  const say = scenario.say ?? (() => {})
  const versions = [makeInstallation('9.0.0'), makeInstallation('9.0.1')]
  const gracer = await GracerProcess.startWith({ workers: scenario.workers, config: scenario.config }, (one) => firstRelease(one, 'r0'))
  const socket = join(gracer.folder, '.gracer', 'control.sock')
  let looks = 0
  let missing = 0
  const looking = setInterval(() => {
    looks += 1
    if (lstatSync(socket, { throwIfNoEntry: false }) === undefined) missing += 1
  }, 1)
  try {
    const load = startLoad({ host: '127.0.0.1', port: gracer.port, connections: scenario.connections, rate: scenario.rate, durationMs: 3_600_000 })
    await until('the load to run', () => load.counts().requests > scenario.rate)
    const replaced: { master: boolean; workers: boolean; agent: boolean }[] = []
    for (let number = 1; number <= scenario.upgrades; number += 1) {
      const before = await gracer.status()
      const { code, stdout, stderr } = await gracer.cli('upgrade', '--from', versions[number % 2] ?? '')
      if (code !== 0) throw new Error(`upgrade ${number} exited with ${code}: ${stdout}${stderr}`)
      const after = await gracer.status()
      replaced.push({
        master: after.proxy.pid === before.proxy.pid,
        workers: after.proxy.workers.length === scenario.workers && after.proxy.workers.every((pid) => !before.proxy.workers.includes(pid)),
        agent: after.agent.pid !== before.agent.pid,
      })
      const soFar = load.counts().requests
      await until('requests through the new workers', () => load.counts().requests > soFar + scenario.rate / 2)
      say(`upgrade ${number}: ${load.counts().requests} requests, ${load.counts().failed} failed`)
    }
    const report = await load.stop()
    const { lost, violations } = await gracer.status()
    return { report, lost, violations, replaced, looks, missing }
  } finally {
    clearInterval(looking)
    await gracer.end()
    removeInstallations()
  }
}
