import { cpus, loadavg } from 'node:os'
import type { AppBehaviour, TrialOptions, TrialResult } from './canary-trial.ts'
import { canaryTrial, TrialNotOver } from './canary-trial.ts'

// npm run prove -- canary [fail|slow|crash|healthy|climb|trickle|gap]…: each at full size, with real sockets. Without a name: all.

const say = (line: string): void => void process.stdout.write(`${line}\n`)
let failures = 0

/** null: it was not over in time, and that is told. */
async function trial(name: string, options: TrialOptions): Promise<TrialResult | null> {
  try {
    return await canaryTrial(options)
  } catch (error) {
    if (!(error instanceof TrialNotOver)) throw error
    failures += 1
    say(name)
    say(`    WRONG: ${error.message}`)
    return null
  }
}

/** One trial with its numbers, and what of them is not as it must be. */
async function prove(name: string, options: TrialOptions, wrongOf: (result: TrialResult) => Record<string, boolean>): Promise<TrialResult | null> {
  const result = await trial(name, options)
  if (result === null) return null
  const wrong = wrongOf(result)
  const { outcome, status, users, requests, canaryUsers, canaryRequests, canaryMs, harmed, failed, lastRoutedMs } = result
  const bad = Object.entries({ 'a request without a complete reply': failed > 0, 'lost requests': status.lost > 0, violations: status.violations > 0, ...wrong }).filter(([, is]) => is).map(([what]) => what)
  failures += bad.length
  say(`${name}: ${outcome.outcome}; ${users} users and ${requests} requests of both arms, ${canaryUsers} users and ${canaryRequests} requests of the canary, within ${canaryMs} ms; `
    + `${harmed} harmed, ${failed} without a reply, lost ${status.lost}, violations ${status.violations}${lastRoutedMs === null ? '' : `; last request routed there ${lastRoutedMs} ms after the deciding reply`}`)
  say(`    ${outcome.message}`)
  for (const what of bad) say(`    WRONG: ${what}`)
  return result
}

const failing = (fail: number, steps: readonly string[]): TrialOptions => ({ canary: { fail }, users: 1_000, rate: 400, workers: 2, config: { steps } })
const takenBack = (result: TrialResult): Record<string, boolean> => ({ 'not taken back': result.outcome.outcome !== 'failed' || result.exitCode !== 1 })

/** A canary slower by half; each user asks so often a second. */
async function slower(requestsPerUser: number): Promise<void> {
  // Long enough that what a busy machine adds is little beside it: the limit is the time that 95% of stable's replies keep.
  const stable: AppBehaviour = { delayMs: 160 }
  // 50 requests a user in about the time of the step; one, by having so many users that none comes twice.
  const users = requestsPerUser === 1 ? 4_000 : 240
  const name = `slower by half, ${requestsPerUser === 1 ? 'one request a user' : 'few users with many requests each'}`
  await prove(name, { stable, canary: { delayMs: 240 }, users, rate: 150, before: 400, config: { steps: ['25% 90s'], latency: { warmUp: '0s' } } }, takenBack)
}

const proofs: Readonly<Record<string, () => Promise<void>>> = {
  async fail() {
    for (const [fail, name] of [[1, 'all'], [0.1, '10%'], [0.02, '2%']] as const) {
      await prove(`fails ${name} of its requests, at 5%`, failing(fail, ['5% 90s']), takenBack)
    }
  },
  async gap() {
    const gaps: number[] = []
    for (let run = 0; run < 8; run += 1) gaps.push((await trial(`fails all, run ${run + 1}`, failing(1, ['25% 60s'])))?.lastRoutedMs ?? Infinity)
    gaps.sort((a, b) => a - b)
    const longest = gaps.at(-1) as number
    const load = (loadavg()[0] as number).toFixed(1)
    say(`from the deciding reply to the last request that was routed to the canary, 8 runs at 400 requests a second on two workers: median ${gaps[4]} ms, longest ${longest} ms (load average ${load} on ${cpus().length} cores)`)
    if (longest < 10) return
    failures += 1
    say(`    WRONG: ${gaps.filter((one) => one >= 10).length} of 8 took 10 ms or more`)
  },
  async slow() {
    await slower(1)
    await slower(50)
  },
  async crash() {
    await prove('crashes at its 31st request', { canary: { crashAfter: 30 }, users: 1_000, rate: 400, workers: 2, config: { steps: ['5% 60s'] } }, takenBack)
  },
  async healthy() {
    const config = { steps: ['5% 10s', '25% 10s'], latency: { warmUp: '0s' }, onInconclusive: 'promote', maxTime: '15s' }
    await prove('is as good as the old one (both fail 1%)', { canary: { fail: 0.01 }, stable: { fail: 0.01 }, users: 1_000, rate: 300, workers: 2, before: 400, config },
      ({ outcome }) => ({ 'not promoted': outcome.outcome !== 'confirmed' }))
  },
  async climb() {
    for (const by of ['header', 'cookie'] as const) {
      const config = { steps: ['1% 3s', '5% 3s', '25% 3s', '50% 3s'], minUnits: 0, withinShare: '100%' }
      const result = await prove(`1,000 users by ${by} over 1, 5, 25, 50 and 100%, three workers`, { canary: {}, users: 1_000, rate: 400, workers: 3, by, config },
        ({ sentBack, outcome }) => ({ 'users who were sent back': sentBack > 0, 'not promoted': outcome.outcome !== 'confirmed' }))
      if (result !== null) say(`    ${result.asked.length} requests in all; users sent back: ${result.sentBack}`)
    }
  },
  async trickle() {
    for (const onInconclusive of ['promote', 'abort'] as const) {
      const result = await prove(`one request a second, onInconclusive ${onInconclusive}`, { canary: {}, users: 30, rate: 1, before: 3, config: { steps: ['20% 5s-20s'], onInconclusive } },
        ({ outcome }) => ({ 'not as it says': outcome.outcome !== (onInconclusive === 'promote' ? 'confirmed' : 'failed') }))
      if (result !== null) say(`    ${result.outcome.receipt?.canary?.text ?? 'no report'}`)
    }
  },
}

const asked = process.argv.slice(3)
for (const name of asked.length > 0 ? asked : Object.keys(proofs)) {
  const proof = proofs[name]
  if (proof === undefined) {
    process.stderr.write(`prove canary: expected ${Object.keys(proofs).join(' or ')}, got ${JSON.stringify(name)}\n`)
    process.exit(2)
  }
  await proof()
}
process.exitCode = failures === 0 ? 0 : 1
