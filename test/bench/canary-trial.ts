import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CanaryAnswer, Outcome, Status } from '../../agent/control/shapes.ts'
import { logEvidence } from '../../agent/canary/e-process.ts'
import { until } from '../support/deadline.ts'
import { GracerProcess } from '../support/gracer-process.ts'
import { CanaryUsers, sentBack, type Asked } from './canary-users.ts'

/** What the app of a release does with its users' requests; its health check is always answered well. */
export interface AppBehaviour {
  /** The share of replies that are a 500. */
  readonly fail?: number
  readonly delayMs?: number
  /** The process ends after so many requests. */
  readonly crashAfter?: number
}

export interface TrialOptions {
  readonly canary: AppBehaviour
  readonly stable?: AppBehaviour
  readonly users: number
  readonly rate: number
  readonly workers?: number
  readonly by?: 'header' | 'cookie'
  /** Of the config; its steps decide how the canary goes. */
  readonly config: Record<string, unknown>
  /** Requests to the old release before the canary begins: what is known of its latency. */
  readonly before?: number
  readonly deadlineMs?: number
  /** Called when the canary is in the table. */
  readonly during?: (gracer: GracerProcess, users: CanaryUsers) => Promise<void>
}

export interface TrialResult {
  readonly outcome: Outcome
  readonly exitCode: number | null
  readonly status: Status
  readonly asked: readonly Asked[]
  readonly release: string
  /** From the first reply of the canary to the last request of it that began. */
  readonly canaryMs: number
  /** Distinct users of both arms from the first reply of the canary to its end, and requests. */
  readonly users: number
  readonly requests: number
  readonly canaryUsers: number
  readonly canaryRequests: number
  /** Replies of the canary that were errors, and requests without a complete reply. */
  readonly harmed: number
  readonly failed: number
  /** From the reply that decided to the last request that began later and still went to the canary; 0: none did. null: nothing was decided by errors. */
  readonly lastRoutedMs: number | null
  readonly sentBack: number
}

/** The app as a text: what a release of a test is made of. */
export function appText({ fail = 0, delayMs = 0, crashAfter = Infinity }: AppBehaviour): string {
  return `import http from 'node:http'
let requests = 0
http.createServer((req, res) => {
  const isProbe = req.url === '/healthz'
  if (!isProbe && (requests += 1) > ${crashAfter}) process.exit(7)
  const bad = !isProbe && Math.random() < ${fail}
  const answer = () => {
    res.writeHead(bad ? 500 : 200, { 'x-release': process.env.GRACER_RELEASE, 'content-length': 3 })
    res.end('ok\\n')
  }
  if (isProbe || ${delayMs} === 0) answer()
  else setTimeout(answer, ${delayMs})
}).listen(Number(process.env.PORT), process.env.HOST)
`
}

export function writeApp(folder: string, name: string, behaviour: AppBehaviour): string {
  const path = join(folder, name)
  mkdirSync(path, { recursive: true })
  writeFileSync(join(path, 'server.mjs'), appText(behaviour))
  return path
}

/** A gracer with a stable release, v1, live; to be ended by the caller. */
export async function startStable(stable: AppBehaviour, options: { workers?: number; canary: Record<string, unknown> }): Promise<GracerProcess> {
  const gracer = await GracerProcess.create({
    workers: options.workers ?? 2,
    config: { releases: null, command: ['node', 'server.mjs'], health: { path: '/healthz' }, bake: '300ms', canary: { key: 'header:x-user', ...options.canary } },
  })
  try {
    writeApp(gracer.folder, '.', stable)
    await gracer.up()
    await gracer.live()
    return gracer
  } catch (error) {
    await gracer.end()
    throw error
  }
}

/** One canary under load, from its swap to its outcome. */
export async function canaryTrial(options: TrialOptions): Promise<TrialResult> {
  const gracer = await startStable(options.stable ?? {}, { ...(options.workers === undefined ? {} : { workers: options.workers }), canary: { ...options.config, ...(options.by === 'cookie' ? { key: null } : {}) } })
  const users = new CanaryUsers({ port: gracer.port, users: options.users, rate: options.rate, ...(options.by === undefined ? {} : { by: options.by }) })
  try {
    users.start()
    await until('the old release to be known', () => users.asked.length >= (options.before ?? 50), 30_000)
    const path = writeApp(join(gracer.folder, 'staging'), 'r1', options.canary)
    const swapped = gracer.swap(path)
    if (options.during !== undefined) {
      await until('the canary to begin', async () => (await gracer.status()).services[0]?.releases.some((one) => one.state === 'canary'), 20_000)
      await options.during(gracer, users)
    }
    const deadlineMs = options.deadlineMs ?? 90_000
    const ended = await within(swapped, deadlineMs)
    if (ended === null) throw new TrialNotOver(deadlineMs, await soFar(gracer))
    const { code, outcome } = ended
    const settled = users.asked.length
    await until('some more requests', () => users.asked.length >= settled + Math.min(50, options.rate * 2), 15_000)
    const status = await gracer.status()
    const asked = await users.stop()
    return measured(asked, outcome, code, status, options.config)
  } finally {
    await users.stop()
    await gracer.end()
  }
}

function measured(asked: readonly Asked[], outcome: Outcome, exitCode: number | null, status: Status, config: Record<string, unknown>): TrialResult {
  const release = outcome.release ?? ''
  const ofCanary = asked.filter((one) => one.release === release)
  const firstMs = Math.min(Infinity, ...ofCanary.map((one) => one.begunMs))
  const lastMs = Math.max(-Infinity, ...ofCanary.map((one) => one.begunMs))
  const within = asked.filter((one) => one.endedMs >= firstMs && one.begunMs <= lastMs)
  const decidedMs = decidedAt(ofCanary, outcome, config)
  return {
    outcome, exitCode, status, asked, release,
    canaryMs: round(lastMs - firstMs),
    users: new Set(within.map((one) => one.user)).size,
    requests: within.length,
    canaryUsers: new Set(ofCanary.map((one) => one.user)).size,
    canaryRequests: ofCanary.length,
    harmed: ofCanary.filter((one) => one.status >= 500).length + asked.filter((one) => one.failure !== null).length,
    failed: asked.filter((one) => one.failure !== null || (one.release === null && one.status >= 500)).length,
    lastRoutedMs: decidedMs === null ? null : round(Math.max(0, ...ofCanary.filter((one) => one.begunMs > decidedMs).map((one) => one.begunMs - decidedMs))),
    sentBack: sentBack(asked, release).length,
  }
}

/** When the reply was there that made the evidence reach its limit: the users who met an error, counted as the verdict does. */
function decidedAt(ofCanary: readonly Asked[], outcome: Outcome, config: Record<string, unknown>): number | null {
  const report = outcome.receipt?.canary
  if (report === undefined || report.verdict.kind !== 'abort' || report.verdict.metric !== 'errors') return null
  const limit = report.verdict.numbers.metrics.find((one) => one.metric === 'errors')?.limit ?? Infinity
  const bad = new Set<number>()
  const share = report.share
  for (const one of [...ofCanary].sort((a, b) => a.endedMs - b.endedMs)) {
    if (one.status < 500) continue
    bad.add(one.user)
    if (logEvidence([{ share, canary: bad.size, stable: 0 }], (config['tolerance'] as number | undefined) ?? 1) / Math.LN10 >= limit) return one.endedMs
  }
  return null
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10
}

/** The canary was neither taken back nor promoted in the time that a trial has. */
export class TrialNotOver extends Error {
  constructor(deadlineMs: number, told: string) {
    super(`the canary was not over after ${deadlineMs / 1_000} s: ${told}`)
  }
}

/** What gracer says of a canary that is not over. */
async function soFar(gracer: GracerProcess): Promise<string> {
  const { canary } = JSON.parse(await gracer.control('GET', '/v1/services/default/canary')) as CanaryAnswer
  return canary === null ? 'there is none any more' : `${canary.mode} at ${canary.share * 100}%, ${canary.text}`
}

/** null: it took longer. */
async function within<T>(promise: Promise<T>, ms: number): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined
  // Once the trial is given up its gracer ends under the command.
  promise.catch(() => {})
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), ms)
  })
  return await Promise.race([promise, late]).finally(() => clearTimeout(timer))
}
