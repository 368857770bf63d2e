import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, readSync } from 'node:fs'
import http from 'node:http'
import { join } from 'node:path'
import type { Receipt, Status } from '../../agent/control/shapes.ts'
import type { Kind } from '../load/kinds.ts'
import type { Entry } from '../load/ledger.ts'
import { startLoad, type Load, type Report } from '../load/load.ts'
import type { Behaviour } from '../load/make-release.ts'
import { until } from '../support/deadline.ts'
import { firstRelease } from '../support/drop.ts'
import { GracerProcess } from '../support/gracer-process.ts'

/** Short drains and a short bake, named in the config, so that a swap lasts a second or two. */
export const quickDrain = { timeout: '5s', streams: '300ms', upgraded: '200ms', spread: '50ms', stop: '1s' }

const started = new Set<GracerProcess>()

/** A gracer with its first release, 'r0', live. It is ended by endAll(), however the start and the test went. */
export async function start(config: Record<string, unknown>, options: { workers?: number; behaviour?: Behaviour; prepare?: (gracer: GracerProcess) => void } = {}): Promise<GracerProcess> {
  const gracer = await GracerProcess.create({ workers: options.workers ?? 1, config: { settle: '200ms', drain: quickDrain, keep: 50, ...config } })
  started.add(gracer)
  await firstRelease(gracer, 'r0', options.behaviour === undefined ? {} : { behaviour: options.behaviour })
  options.prepare?.(gracer)
  await gracer.up()
  await gracer.live()
  return gracer
}

/** For afterEach and afterAll, which run after a test that was given up as well. */
export async function endAll(): Promise<void> {
  for (const gracer of started) await gracer.end()
  started.clear()
}

export type Role = 'master' | 'agent' | 'worker' | 'console' | 'command' | 'backend'

export interface Found {
  readonly pid: number
  readonly role: Role
}

/** Every living process whose working folder is this gracer's, by what it calls itself: from /proc, not from gracer. */
export function processesOf(gracer: GracerProcess): Found[] {
  return readdirSync('/proc').map(Number).filter((pid) => Number.isInteger(pid) && pid !== process.pid).flatMap((pid) => {
    try {
      if (!readlinkSync(`/proc/${pid}/cwd`).startsWith(gracer.folder)) return []
      const command = readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').trim()
      // A zombie has no command left.
      return command === '' ? [] : [{ pid, role: roleOf(command) }]
    } catch {
      return []
    }
  })
}

function roleOf(command: string): Role {
  if (command === 'gracer') return 'master'
  if (command.startsWith('gracer agent')) return 'agent'
  if (command.startsWith('gracer worker')) return 'worker'
  if (command.includes('console-main.js')) return 'console'
  return command.includes('cli/main.js') ? 'command' : 'backend'
}

export function pidsOf(gracer: GracerProcess, role: Role): number[] {
  return processesOf(gracer).filter((one) => one.role === role).map((one) => one.pid).sort((a, b) => a - b)
}

export function runs(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1') !== ''
  } catch {
    return false
  }
}

/** Sends a signal to one process that a test's gracer started; one that has ended gets none. */
export function signal(pid: number, name: NodeJS.Signals): void {
  if (!Number.isInteger(pid) || pid <= 1) throw new Error(`${pid} is not to be signalled`)
  try {
    process.kill(pid, name)
  } catch {
    // It has ended meanwhile.
  }
}

/**
 * Waits until nothing is under way any more: this release live and confirmed, its backend the only one, one agent, and
 * as many workers as there should be. What /proc says must be what gracer says.
 */
export async function settled(gracer: GracerProcess, live: string, workers = 1, deadlineMs = 20_000): Promise<Status> {
  let last = ''
  try {
    return await until(`${live} to be all that runs`, async () => {
      const status = await gracer.status().catch(() => null)
      const service = status?.services[0]
      if (status === null || service === undefined) return null
      const running = service.releases.filter((one) => one.pid !== null)
      const found = processesOf(gracer)
      last = JSON.stringify({ live: service.live, confirmed: service.confirmed, waiting: service.waiting, releases: service.releases.map((one) => [one.id, one.name, one.state, one.pid]), agent: status.agent.pid, workers: status.proxy.workers, found })
      const only = (role: Role, pids: readonly number[]): boolean => same(found.filter((one) => one.role === role).map((one) => one.pid), pids)
      const calm = service.live === live && service.confirmed && service.waiting === null && running.length === 1 && running[0]?.state === 'live'
      const clean = only('backend', running.map((one) => one.pid as number)) && only('agent', [status.agent.pid]) && only('master', [status.proxy.pid])
        && only('worker', status.proxy.workers) && status.proxy.workers.length === workers
      return calm && clean ? status : null
    }, deadlineMs)
  } catch (error) {
    throw new Error(`${(error as Error).message}\nlast seen: ${last}\n${gracer.gracerLog().slice(-25).map((line) => JSON.stringify(line)).join('\n')}`)
  }
}

function same(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && [...a].sort((x, y) => x - y).join() === [...b].sort((x, y) => x - y).join()
}

/** Kills every process of a gracer by its pid, the master first so that it starts nothing again; resolves when all are gone. */
export async function killAll(gracer: GracerProcess): Promise<void> {
  signal(gracer.pid, 'SIGKILL')
  await until('everything to be gone', () => {
    // Looked for again each time: one that is only just starting may look like something else.
    const found = processesOf(gracer)
    for (const { pid } of found) signal(pid, 'SIGKILL')
    return found.length === 0
  }, 10_000)
}

export interface LogLine {
  readonly event: string
  readonly time: string
  readonly release?: string
  readonly name?: string | null
  readonly [field: string]: unknown
}

/** Follows gracer's log from where it stands now. Looked at every millisecond: what a test does at an event, it does at once. */
export class Events {
  readonly #file: string
  readonly seen: LogLine[] = []
  #at: number
  #rest = ''

  constructor(gracer: GracerProcess) {
    this.#file = join(gracer.folder, '.gracer', 'log', 'gracer.log')
    this.#at = this.#read(0).length
  }

  /** Waits for the next line of this event (and, where given, of this release's name) that was not waited for before. */
  async next(event: string, name?: string, deadlineMs = 15_000): Promise<LogLine> {
    return until(`the event ${event}${name === undefined ? '' : ` of ${name}`}`, () => {
      this.#take()
      const at = this.seen.findIndex((line) => line.event === event && (name === undefined || line.name === name))
      return at === -1 ? null : this.seen.splice(at, 1)[0]
    }, deadlineMs, 1)
  }

  #take(): void {
    const bytes = this.#read(this.#at)
    this.#at += bytes.length
    const lines = (this.#rest + bytes.toString('utf8')).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) if (line.startsWith('{')) this.seen.push(JSON.parse(line) as LogLine)
  }

  #read(from: number): Buffer {
    let fd: number
    try {
      fd = openSync(this.#file, 'r')
    } catch {
      return Buffer.alloc(0)
    }
    try {
      const chunk = Buffer.alloc(1 << 20)
      return chunk.subarray(0, readSync(fd, chunk, 0, chunk.length, from))
    } finally {
      closeSync(fd)
    }
  }
}

/** The strict load on this gracer, running. */
export async function loadOn(gracer: GracerProcess, kinds: readonly Kind[], options: { connections?: number; rate?: number } = {}): Promise<Load> {
  const load = startLoad({ host: '127.0.0.1', port: gracer.port, connections: options.connections ?? 80, rate: options.rate ?? 300, kinds, stopTimeoutMs: 8_000, requestTimeoutMs: 15_000 })
  await flowing(load)
  return load
}

/** Waits until so many more requests have come to a good end. */
export async function flowing(load: Load, more = 60, deadlineMs = 10_000): Promise<void> {
  const { ok } = load.counts()
  await until(`${more} more good replies`, () => load.counts().ok >= ok + more, deadlineMs)
}

/** What a report says went wrong, for the message of a failed expectation. */
export function wrong(report: Report): unknown {
  return report.failures.map(({ code, count, examples }) => ({ code, count, examples: examples.slice(0, 3) }))
}

/**
 * What failed behind the door: all but connections that were refused, and those that stood in the kernel's queue, never
 * accepted, when the last process closed the socket. The latter are reset in one moment, a few at most.
 */
export function lostBehindTheDoor(entries: readonly Entry[]): Entry[] {
  const used = new Set(entries.filter((entry) => entry.outcome === 'ok').map((entry) => entry.connection))
  const failed = entries.filter((entry) => entry.outcome === 'failed' && entry.failure?.code !== 'refused')
  const queued = failed.filter((entry) => ['reset', 'connect'].includes(entry.failure?.code ?? '') && entry.headAt === null && !used.has(entry.connection))
  const [first, last] = [queued[0]?.completedAt ?? 0n, queued.at(-1)?.completedAt ?? 0n]
  const oneMoment = queued.length <= 20 && msBetween(first, last) < 50
  return oneMoment ? failed.filter((entry) => !queued.includes(entry)) : failed
}

/** Nanoseconds of the monotonic clock, that of the load's ledger. */
export function nowNs(): bigint {
  return process.hrtime.bigint()
}

export function msBetween(from: bigint, to: bigint): number {
  return Math.round(Number(to - from) / 1e5) / 10
}

export interface Reply {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
  readonly ms: number
}

/** One GET on a connection of its own; rejects where there is no reply. */
export function get(gracer: GracerProcess, path = '/', timeoutMs = 15_000): Promise<Reply> {
  const begun = nowNs()
  return new Promise((resolve, reject) => {
    const request = http.get({ host: '127.0.0.1', port: gracer.port, path, agent: false }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk)).on('error', reject)
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body, ms: msBetween(begun, nowNs()) }))
    })
    request.setTimeout(timeoutMs, () => request.destroy(new Error(`no reply to GET ${path} within ${timeoutMs} ms`)))
    request.on('error', reject)
  })
}

export async function receipts(gracer: GracerProcess): Promise<readonly Receipt[]> {
  return (JSON.parse(await gracer.control('GET', '/v1/history?service=default&n=200')) as { receipts: Receipt[] }).receipts
}

/** How often a process was started for each release (by its number), from the log of the master. */
export function boots(gracer: GracerProcess): Map<string, number> {
  const count = new Map<string, number>()
  for (const line of gracer.gracerLog()) {
    if (line.event === 'backend.spawned') count.set(String(line['release']), (count.get(String(line['release'])) ?? 0) + 1)
  }
  return count
}
