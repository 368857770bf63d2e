import { afterEach, describe, expect, it } from 'vitest'
import type { CanaryAnswer, CanaryToken, Explanation, Receipt } from '../../agent/control/shapes.ts'
import { canaryTrial, startStable, TrialNotOver, writeApp } from '../bench/canary-trial.ts'
import { CanaryUsers, sentBack } from '../bench/canary-users.ts'
import { join } from 'node:path'
import { until } from '../support/deadline.ts'
import type { GracerProcess } from '../support/gracer-process.ts'
import { get, pidsOf, signal } from './kill-support.ts'

// Short forms of `npm run prove -- canary`, which has more users, more rates and each process killed in each step.

let started: GracerProcess | null = null

afterEach(async () => {
  await started?.end()
  started = null
})

async function start(canary: Record<string, unknown> = {}): Promise<GracerProcess> {
  started = await startStable({}, { workers: 2, canary })
  return started
}

const build = (gracer: GracerProcess, name: string, behaviour = {}): string => writeApp(join(gracer.folder, 'staging'), name, behaviour)

async function canaryNow(gracer: GracerProcess): Promise<CanaryAnswer> {
  return JSON.parse(await gracer.control('GET', '/v1/services/default/canary')) as CanaryAnswer
}

/** A swap that stays at its canary; resolves when the table has it. */
async function atCanary(gracer: GracerProcess, path: string, ...args: string[]): Promise<{ over: ReturnType<GracerProcess['swap']> }> {
  const over = gracer.swap(path, ...args)
  await until('the canary to be in the table', async () => (await gracer.status()).services[0]?.releases.some((one) => one.state === 'canary'), 20_000)
  return { over }
}

describe('a canary under load', () => {
  it('that fails is taken back by itself, harms few, and loses nothing by that', { timeout: 60_000 }, async () => {
    // One metric: with latency judged as well, which takes a slow boot with many requests before it, the limit would be 200.
    const result = await canaryTrial({ canary: { fail: 1 }, users: 300, rate: 150, config: { steps: ['10% 60s'], metrics: ['errors'] } })
    expect(result.exitCode).toBe(1)
    expect(result.outcome).toMatchObject({ outcome: 'failed', live: 'v1', failure: { stage: 'canary' } })
    expect(result.outcome.message).toMatch(/^it is worse in errors: evidence .* of 100; \d+ users affected on the canary, 0 on stable$/)
    expect(result.outcome.receipt?.canary?.verdict.kind).toBe('abort')
    expect(result.outcome.receipt?.phasesMs.canary).toBeGreaterThan(0)
    expect(result.failed).toBe(0)
    expect(result.status).toMatchObject({ lost: 0, violations: 0 })
    // Three are enough evidence at 10%; those that were under way by then are the rest.
    expect(result.canaryUsers).toBeGreaterThanOrEqual(3)
    expect(result.canaryUsers).toBeLessThan(30)
  })

  it('that crashes is taken back without statistics, and its visitors are answered by the old release', { timeout: 60_000 }, async () => {
    const result = await canaryTrial({ canary: { crashAfter: 10 }, users: 100, rate: 100, config: { steps: ['20% 60s'] } })
    expect(result.outcome).toMatchObject({ outcome: 'failed', live: 'v1', message: 'its process exited with code 7' })
    expect(result.outcome.receipt?.canary?.mode).toBe('aborted')
    expect(result.failed).toBe(0)
    expect(result.status.violations).toBe(0)
  })

  it('that is slower by half is taken back for that alone', { timeout: 90_000 }, async () => {
    // Long enough that what a busy machine adds is little beside it: of 40 and 60 ms it can make one.
    const result = await canaryTrial({
      stable: { delayMs: 160 }, canary: { delayMs: 240 }, users: 300, rate: 120, before: 260, config: { steps: ['50% 60s'], latency: { warmUp: '0s' }, alpha: 0.05 }, deadlineMs: 70_000,
    })
    expect(result.outcome.message).toContain('worse in latency')
    expect(result.failed).toBe(0)
  })

  it('that is as good climbs by itself, and nobody who has seen it sees the old release again; 0 lost, on two workers', { timeout: 90_000 }, async () => {
    const result = await canaryTrial({
      canary: {}, users: 200, rate: 250, by: 'cookie',
      config: { steps: ['1% 200ms', '5% 200ms', '25% 200ms', '50% 200ms', '99% 200ms'], minUnits: 0, withinShare: '100%' },
    })
    expect(result.outcome).toMatchObject({ outcome: 'confirmed', exitCode: 0, live: 'v2' })
    expect(result.outcome.receipt?.canary?.mode).toBe('promoted')
    expect(result.sentBack).toBe(0)
    expect(result.failed).toBe(0)
    expect(result.status).toMatchObject({ lost: 0, violations: 0 })
    expect(result.asked.some((one) => one.release === 'v1' && one.begunMs > Math.min(...result.asked.filter((other) => other.release === 'v2').map((other) => other.begunMs)))).toBe(true)
  })

  it('without enough visitors holds or goes on as onInconclusive says, and says what it cannot exclude', { timeout: 90_000 }, async () => {
    const trickle = { canary: {}, users: 10, rate: 20, before: 5 }
    const promoted = await canaryTrial({ ...trickle, config: { steps: ['20% 200ms-1s'], onInconclusive: 'promote' } })
    expect(promoted.outcome).toMatchObject({ outcome: 'confirmed', live: 'v2' })
    expect(promoted.outcome.receipt?.canary?.text).toMatch(/^inconclusive: \d+ canary users?, cannot exclude /)
    let held: CanaryAnswer | null = null
    const aborted = await canaryTrial({
      ...trickle, config: { steps: ['20% 200ms-1s'], onInconclusive: 'hold' },
      during: async (gracer) => {
        held = await until('the canary to be held', async () => {
          const answer = await canaryNow(gracer)
          return answer.canary?.mode === 'held' ? answer : null
        })
        await gracer.cli('canary', 'abort')
      },
    })
    expect((held as CanaryAnswer | null)?.canary?.text).toMatch(/^inconclusive: /)
    expect(aborted.outcome).toMatchObject({ outcome: 'aborted', live: 'v1' })
  })

  it('that is not over in the time of a trial is said to be that, and how it stands', { timeout: 60_000 }, async () => {
    const trial = canaryTrial({ canary: {}, users: 10, rate: 50, before: 5, config: { steps: ['5% 1h'] }, deadlineMs: 2_500 })
    await expect(trial).rejects.toThrow(TrialNotOver)
    await expect(trial).rejects.toThrow(/^the canary was not over after 2.5 s: running at 5%, inconclusive: /)
  })
})

describe('the verbs of a canary', () => {
  it('set, pause, resume and promote; a swap beside it is busy; history and explain tell of it', { timeout: 60_000 }, async () => {
    const gracer = await start({ steps: ['10% 1h', '50% 1h'] })
    const { over } = await atCanary(gracer, build(gracer, 'r1'))
    expect((await canaryNow(gracer)).canary).toMatchObject({ release: 'v2', mode: 'running', share: 0.1, step: { at: 1, of: 2 } })
    const busy = await gracer.swap(build(gracer, 'r2'))
    expect([busy.code, busy.outcome.message]).toEqual([4, 'v2 is a canary at 10%; one swap at a time'])
    expect((await gracer.cli('canary', 'set', '7')).stderr).toContain('v2 gets 7% of the visitors')
    expect((await gracer.cli('canary', 'set', '30')).code).toBe(0)
    await until('30% in the table', async () => (await canaryNow(gracer)).canary?.share === 0.3)
    expect((await canaryNow(gracer)).canary?.mode).toBe('paused')
    expect((await gracer.cli('canary', 'resume')).code).toBe(0)
    const again = await gracer.cli('canary', 'resume')
    expect([again.code, again.stderr]).toEqual([1, expect.stringContaining('the canary is not paused')])
    expect((await gracer.cli('canary', 'pause')).code).toBe(0)
    const shown = await gracer.cli('canary', 'status')
    expect(shown.stdout).toMatch(/v1 is live; v2 is a canary at 30%, set by hand, paused/)
    expect(shown.stdout).toMatch(/CANARY +STABLE/)
    expect(shown.stdout).toMatch(/errors +evidence/)
    expect((await gracer.cli('canary', 'promote')).code).toBe(0)
    const { code, outcome } = await over
    expect([code, outcome.outcome, outcome.live]).toEqual([0, 'confirmed', 'v2'])
    const { receipts } = JSON.parse(await gracer.control('GET', '/v1/history')) as { receipts: Receipt[] }
    expect(receipts[0]?.canary).toMatchObject({ mode: 'promoted', share: 0.3 })
    expect(receipts[0]?.phasesMs.canary).toBeGreaterThan(0)
    const story = (JSON.parse(await gracer.control('GET', '/v1/explain?release=v2')) as Explanation).story.map(({ what }) => what)
    expect(story.some((what) => what.includes('canary: promoted by command'))).toBe(true)
  })

  it('change nothing where they make no sense, and say so', { timeout: 60_000 }, async () => {
    const gracer = await start()
    for (const verb of [['promote'], ['abort'], ['pause'], ['set', '5']]) {
      const result = await gracer.cli('canary', ...verb)
      expect([verb, result.code, result.stderr]).toEqual([verb, 2, expect.stringContaining('there is no canary')])
    }
    const own = await gracer.swap('v1', '--canary', '5')
    expect([own.code, own.stderr]).toEqual([2, expect.stringContaining('v1 is live: it cannot be its own canary')])
    expect((await gracer.cli('canary', 'set', '100')).code).toBe(2)
    expect((await gracer.status()).services[0]?.releases.filter((one) => one.pid !== null).map((one) => one.id)).toEqual(['v1'])
  })

  it('give testers a release at 0%, signed and not otherwise, outside all figures and unseen by the app', { timeout: 60_000 }, async () => {
    const gracer = await start()
    await atCanary(gracer, build(gracer, 'r1'), '--canary', '0', '--no-wait')
    const token = JSON.parse((await gracer.cli('canary', 'token', 'canary', '--json')).stdout) as CanaryToken
    const ask = (headers: Record<string, string>): Promise<Response> => fetch(`${gracer.url}/page`, { headers })
    const [name = '', value = ''] = token.header.split(': ')
    expect((await ask({ [name]: value })).headers.get('x-release')).toBe('v2')
    expect((await ask({ cookie: token.cookie })).headers.get('x-release')).toBe('v2')
    expect((await ask({ [name]: 'canary' })).headers.get('x-release')).toBe('v1')
    const forged = await ask({ [name]: value.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')) })
    expect([forged.status, await forged.text()]).toEqual([400, expect.stringContaining('The signature in gracer-release is not valid.')])
    const status = await gracer.status()
    expect(status.services[0]?.releases.find((one) => one.id === 'v2')).toMatchObject({ state: 'canary', requests: 0 })
    // Whoever came without a signature is a visitor like any other, on stable at 0%.
    expect((await canaryNow(gracer)).canary?.verdict.numbers.phase.units.canary).toBe(0)
  })

  it('a rollback goes before it', { timeout: 60_000 }, async () => {
    const gracer = await start({ steps: ['10% 1h'] })
    const { over } = await atCanary(gracer, build(gracer, 'r1'))
    await gracer.cli('rollback')
    expect((await over).outcome).toMatchObject({ outcome: 'aborted', live: 'v1' })
    await until('only the old one to run', async () => (await gracer.status()).services[0]?.releases.every((one) => one.pid === null || one.id === 'v1'))
    expect((await get(gracer, '/page')).headers['x-release']).toBe('v1')
  })
})

describe('kill -9 during a canary', () => {
  it('of the agent: stable at once, and the same step goes on with the next one; of a worker: nothing changes', { timeout: 90_000 }, async () => {
    const gracer = await start({ steps: ['10% 1h', '50% 1h'] })
    const { over } = await atCanary(gracer, build(gracer, 'r1'))
    over.catch(() => {})
    await gracer.cli('canary', 'set', '40')
    const users = new CanaryUsers({ port: gracer.port, users: 60, rate: 150 })
    users.start()
    await until('visitors on both', () => users.asked.length > 200 && new Set(users.asked.map((one) => one.release)).size === 2)
    const { agent } = await gracer.status()
    const counted = (await canaryNow(gracer)).canary?.arms.stable.requests ?? 0
    signal(agent.pid, 'SIGKILL')
    await until('another agent with the canary', async () => {
      const answer = await canaryNow(gracer).catch(() => null)
      return answer?.canary?.share === 0.4 && (await gracer.status()).agent.pid !== agent.pid
    }, 20_000)
    expect((await canaryNow(gracer)).canary?.arms.stable.requests).toBeGreaterThanOrEqual(counted)
    const before = users.asked.length
    await until('visitors on both again', () => new Set(users.asked.slice(before).map((one) => one.release)).size === 2)
    signal(pidsOf(gracer, 'worker')[0] ?? 0, 'SIGKILL')
    await until('both workers', () => pidsOf(gracer, 'worker').length === 2)
    const after = users.asked.length
    await until('visitors on both after that', () => new Set(users.asked.slice(after + 20).map((one) => one.release)).size === 2)
    const asked = await users.stop()
    // What was on the killed worker's connections is lost, and nothing else; nobody goes back but where the agent was gone.
    expect(asked.filter((one) => one.failure !== null).length).toBeLessThan(20)
    expect(sentBack(asked.slice(after + 20), 'v2')).toEqual([])
    expect((await gracer.status()).violations).toBe(0)
    await gracer.cli('canary', 'promote')
    await gracer.live('v2')
  })

  it('of the master: the workers fall to stable by themselves, and the next gracer begins without the canary', { timeout: 90_000 }, async () => {
    const gracer = await start({ steps: ['50% 1h'] })
    const { over } = await atCanary(gracer, build(gracer, 'r1'))
    over.catch(() => {})
    const ask = async (): Promise<unknown> => (await get(gracer, '/page')).headers['x-release']
    signal(gracer.pid, 'SIGKILL')
    await until('only stable', async () => {
      const seen = await Promise.all(Array.from({ length: 20 }, ask))
      return seen.every((release) => release === 'v1')
    })
    await gracer.up()
    await until('the canary to have ended', async () => {
      const [service] = (await gracer.status()).services
      return service?.live === 'v1' && service.canary === null && service.releases.every((one) => one.pid === null || one.id === 'v1')
    }, 20_000)
    const { receipts } = JSON.parse(await gracer.control('GET', '/v1/history')) as { receipts: Receipt[] }
    expect(receipts.find((one) => one.release === 'v2')).toMatchObject({ outcome: 'aborted', reason: 'gracer ended before its flip', canary: { share: 0.5, verdict: { kind: 'open' } } })
  })
})
