import { mkdirSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import type { ServiceStatus } from '../../agent/control/shapes.ts'
import { seededRandom } from '../load/bytes.ts'
import { startLoad, type Load, type Report } from '../load/load.ts'
import { makeRelease } from '../load/make-release.ts'
import { until } from '../support/deadline.ts'
import { GracerProcess } from '../support/gracer-process.ts'

/** Three services by host: each load has one loopback address for its own, and so that name in its Host header. */
const hosts = { alpha: '127.0.0.1', beta: '127.0.0.2', gamma: '127.0.0.3' } as const
type Name = keyof typeof hosts
const names = Object.keys(hosts) as Name[]

export interface ServicesScenario {
  readonly swaps: number
  readonly workers: number
  /** Of each of the three. */
  readonly connections: number
  readonly rate: number
  readonly seed: number
  readonly say?: (line: string) => void
}

export interface ServicesResult {
  readonly reports: Readonly<Record<Name, Report>>
  readonly stale: number
  readonly services: readonly ServiceStatus[]
  readonly lost: number
  readonly violations: number
  /** Requests that ended well by the client's ledger, for each service. */
  readonly answered: Readonly<Record<Name, number>>
  /** What the removed service answered once it was gone. */
  readonly removedStatus: number
  readonly swapped: Readonly<Record<Name, number>>
}

/** Swaps services at random under load; then changes one by a reload, and removes another, while the rest goes on. */
export async function servicesUnderLoad(scenario: ServicesScenario): Promise<ServicesResult> {
  const say = scenario.say ?? (() => {})
  const random = seededRandom(scenario.seed)
  const service = (name: Name): Record<string, unknown> => ({ host: hosts[name], bake: '100ms', drain: { upgraded: '500ms', streams: '500ms', spread: '100ms', stop: '1s' } })
  const config = (services: Record<string, unknown>): Record<string, unknown> => ({ listen: `0.0.0.0:${gracer.port}`, releases: undefined, services })
  const gracer = await GracerProcess.create({ workers: scenario.workers })
  const all = Object.fromEntries(names.map((name) => [name, service(name)]))
  gracer.writeConfig(config(all))
  try {
    const past = new Date(Date.now() - 60_000)
    for (const name of names) {
      mkdirSync(join(gracer.releases, name))
      const made = await makeRelease(join(gracer.releases, name), `${name}-0`)
      utimesSync(made.path, past, past)
    }
    await gracer.up()
    await until('all three to be live', async () => (await gracer.status()).services.every((one) => one.live !== null && one.confirmed), 30_000)
    const loads = Object.fromEntries(names.map((name) => [name, startLoad({
      host: hosts[name], port: gracer.port, connections: scenario.connections, rate: scenario.rate, durationMs: 1_800_000,
      kinds: ['keep-alive', 'fresh', 'post', 'upload', 'slow', 'stream', 'pipeline'],
    })])) as Record<Name, Load>
    const flow = async (): Promise<void> => {
      const before = names.map((name) => loads[name].counts().requests)
      await until('requests to each', () => names.every((name, index) => loads[name].counts().requests > (before[index] ?? 0) + scenario.rate / 2), 30_000)
    }
    await flow()
    const swapped: Record<Name, number> = { alpha: 0, beta: 0, gamma: 0 }
    for (let left = scenario.swaps; left > 0; left -= 1) {
      // Now and then two at the same moment: one flip at a time is a promise for each service, not for all.
      const chosen = random.between(0, 2) === 0 ? names.slice(random.between(0, 1)) : [names[random.between(0, 2)] as Name]
      await Promise.all(chosen.map(async (name) => {
        swapped[name] += 1
        const made = await makeRelease(join(gracer.folder, 'staging'), `${name}-${swapped[name]}`)
        const { code, stderr } = await gracer.cli('swap', made.path, '--service', name)
        if (code !== 0) throw new Error(`swap of ${name} exited with ${code}: ${stderr}`)
      }))
      say(`swapped ${chosen.join(' and ')}`)
    }
    gracer.writeConfig(config({ ...all, beta: { ...service('beta'), path: '/', hold: { timeout: '20s' }, bake: '150ms' } }))
    const reloaded = await gracer.cli('reload')
    if (reloaded.code !== 0 || !reloaded.stdout.includes('beta: hold.timeout changed') || !reloaded.stdout.includes('gracer restart --service beta')) throw new Error(`reload: ${reloaded.stdout}${reloaded.stderr}`)
    await flow()
    // Its clients go first: what nobody asks for any more is taken away.
    const gone = await loads.gamma.stop()
    gracer.writeConfig(config({ alpha: all['alpha'], beta: { ...service('beta'), hold: { timeout: '20s' } } }))
    const removed = await gracer.cli('reload')
    if (removed.code !== 0) throw new Error(`reload: ${removed.stderr}`)
    const removedStatus = (await fetch(`http://${hosts.gamma}:${gracer.port}/`)).status
    const soFar = (['alpha', 'beta'] as const).map((name) => loads[name].counts().requests)
    await until('requests to the others', () => (['alpha', 'beta'] as const).every((name, index) => loads[name].counts().requests > (soFar[index] ?? 0) + scenario.rate / 2), 30_000)
    const reports = { alpha: await loads.alpha.stop(), beta: await loads.beta.stop(), gamma: gone }
    const status = await gracer.status()
    return {
      reports, services: status.services, lost: status.lost, violations: status.violations, removedStatus, swapped,
      stale: names.reduce((sum, name) => sum + reports[name].staleAfterFlip().length, 0),
      answered: Object.fromEntries(names.map((name) => [name, loads[name].ledger.filter((entry) => entry.outcome === 'ok').length])) as Record<Name, number>,
    }
  } finally {
    await gracer.end()
  }
}
