import { readdirSync, readFileSync, statSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import http from 'node:http'
import { join } from 'node:path'
import { until } from '../support/deadline.ts'
import { moveIn } from '../support/drop.ts'
import { GracerProcess } from '../support/gracer-process.ts'

export interface Sample {
  readonly swaps: number
  /** By part: master, worker, agent. */
  readonly descriptors: Readonly<Record<string, number>>
  readonly memoryMb: Readonly<Record<string, number>>
  readonly processes: number
  /** The state folder less the logs below. */
  readonly stateKb: number
  /** gracer's log, the story and the history: each has a cap of its own. */
  readonly logsKb: number
  readonly releaseFolders: number
}

export interface SoakResult {
  readonly swaps: number
  readonly requests: number
  readonly failed: number
  readonly lost: number
  readonly violations: number
  readonly samples: readonly Sample[]
  /** What has grown beyond its allowance; empty when all is flat. */
  readonly problems: readonly string[]
}

const app = `import http from 'node:http'
http.createServer((req, res) => res.end('ok')).listen(process.env.PORT)
`
/** V8 gives memory back late: growth under this is not told from noise. The rest must not grow at all. */
const memoryAllowanceMb = 40
/** Of fifty releases that are remembered: journal, manifests, their logs. */
const stateAllowanceKb = 400
const cappedLogs = ['log/gracer.log', 'log/gracer.log.1', 'services/default/story.jsonl', 'services/default/story.jsonl.1', 'services/default/history.jsonl']
/** keep (3), the one in use, the one just replaced, and the first one's marker. */
const mostReleaseFolders = 6
const logsCapKb = (2 * 4 + 2 * 1 + 4) * 1024

/** Swaps by drop and by command in turn, with a small load beside it, and takes stock every tenth of the way. */
export async function soak(swaps: number, say: (line: string) => void): Promise<SoakResult> {
  const gracer = await GracerProcess.startWith({ config: { bake: '1ms', keep: 3, health: { path: '/' } } }, async (one) => {
    await makeApp(join(one.releases, 's0'))
    await writeFile(join(one.releases, 's0.ready'), '')
  })
  const load = new SmallLoad(gracer.port)
  const samples: Sample[] = []
  try {
    load.start()
    const every = Math.max(1, Math.floor(swaps / 10))
    for (let number = 1; number <= swaps; number += 1) {
      const staged = join(gracer.folder, 'staging', `s${number}`)
      await makeApp(staged)
      if (number % 2 === 0) {
        await moveIn(gracer, staged, `s${number}`)
        await gracer.live(`s${number}`)
      } else await order(gracer, staged)
      if (number % every !== 0 && number !== swaps) continue
      await settled(gracer)
      samples.push(takeStock(gracer, number))
      say(`${number} of ${swaps} swaps: ${JSON.stringify(samples.at(-1))}`)
    }
    const status = await gracer.status()
    return { swaps, requests: load.requests, failed: load.failed, lost: status.lost, violations: status.violations, samples, problems: judge(samples, load.failed + status.lost + status.violations) }
  } finally {
    load.stop()
    await gracer.end()
  }
}

async function makeApp(path: string): Promise<void> {
  await mkdir(path, { recursive: true })
  await writeFile(join(path, 'server.mjs'), app)
}

async function order(gracer: GracerProcess, target: string): Promise<void> {
  const lines = (await gracer.control('POST', '/v1/services/default/swap', { target })).trim().split('\n')
  const last = JSON.parse(lines.at(-1) ?? 'null') as { kind?: string; outcome?: string; message?: string } | null
  if (last?.kind !== 'outcome' || last.outcome !== 'confirmed') throw new Error(`the swap to ${target} ended as ${JSON.stringify(last)}`)
}

/** One backend left: what was replaced has ended. */
async function settled(gracer: GracerProcess): Promise<void> {
  await until('the old release to be gone', () => gracer.pids().length === 4, 10_000)
}

function takeStock(gracer: GracerProcess, swaps: number): Sample {
  const content = JSON.parse(readFileSync(join(gracer.folder, '.gracer', 'processes.json'), 'utf8')) as { master: { pid: number }; agent: { pid: number }; workers: { pid: number }[] }
  const parts = { master: content.master.pid, agent: content.agent.pid, worker: content.workers[0]?.pid ?? 0 }
  const each = <T>(measure: (pid: number) => T): Record<string, T> => Object.fromEntries(Object.entries(parts).map(([name, pid]) => [name, measure(pid)]))
  const state = join(gracer.folder, '.gracer')
  const logs = cappedLogs.reduce((sum, name) => sum + sizeOf(join(state, name)), 0)
  return {
    swaps,
    descriptors: each((pid) => readdirSync(`/proc/${pid}/fd`).length),
    memoryMb: each((pid) => Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024)),
    processes: gracer.pids().length,
    stateKb: Math.round((sizeOf(state) - logs) / 1024),
    logsKb: Math.round(logs / 1024),
    releaseFolders: readdirSync(gracer.releases).length,
  }
}

function sizeOf(path: string): number {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (stats === undefined) return 0
  return stats.isDirectory() ? readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), 0) : stats.size
}

function judge(samples: readonly Sample[], bad: number): string[] {
  const first = samples[Math.min(1, samples.length - 1)]
  const last = samples.at(-1)
  if (first === undefined || last === undefined) return ['nothing was measured']
  const problems: string[] = bad === 0 ? [] : [`${bad} requests failed or were lost, or a promise was broken`]
  for (const part of Object.keys(last.descriptors)) {
    // A connection of the load may be under way at the moment of the count.
    if ((last.descriptors[part] ?? 0) > (first.descriptors[part] ?? 0) + 6) problems.push(`${part}: descriptors grew from ${first.descriptors[part]} to ${last.descriptors[part]}`)
    if ((last.memoryMb[part] ?? 0) > (first.memoryMb[part] ?? 0) + memoryAllowanceMb) problems.push(`${part}: memory grew from ${first.memoryMb[part]} to ${last.memoryMb[part]} MB`)
  }
  if (last.processes !== first.processes) problems.push(`processes: ${first.processes}, then ${last.processes}`)
  if (last.releaseFolders > mostReleaseFolders) problems.push(`${last.releaseFolders} entries in the releases folder, expected ${mostReleaseFolders} at most`)
  if (last.stateKb > first.stateKb + stateAllowanceKb) problems.push(`the state folder grew from ${first.stateKb} to ${last.stateKb} kB`)
  if (last.logsKb > logsCapKb) problems.push(`the logs take ${last.logsKb} kB, over their caps`)
  return problems
}

/** A few keep-alive clients, so that every swap has something to lose. */
class SmallLoad {
  readonly #port: number
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 4 })
  #running = true
  requests = 0
  failed = 0

  constructor(port: number) {
    this.#port = port
  }

  start(): void {
    for (let client = 0; client < 4; client += 1) void this.#client()
  }

  stop(): void {
    this.#running = false
    this.#agent.destroy()
  }

  async #client(): Promise<void> {
    while (this.#running) {
      const ok = await this.#one()
      if (!this.#running) return
      this.requests += 1
      if (!ok) this.failed += 1
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  #one(): Promise<boolean> {
    return new Promise((resolve) => {
      const request = http.get({ host: '127.0.0.1', port: this.#port, agent: this.#agent }, (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
        response.once('close', () => resolve(response.complete && response.statusCode === 200 && text === 'ok'))
      })
      request.on('error', () => resolve(false))
    })
  }
}
