import { afterEach, describe, expect, it, vi } from 'vitest'
import type { CanaryRoute } from '../../proxy/canary/route.ts'
import type { UnitEvent } from '../../proxy/canary/unit-event.ts'
import { newMemo, Visitor } from '../../proxy/canary/visitor.ts'
import { countFlipViolations } from '../../proxy/figures.ts'
import type { ReleaseId } from '../../proxy/release-key.ts'
import { emptyTable, withRoute, type ProposedRoute, type Table, type Target } from '../../proxy/table.ts'
import type { Refusal, Visit } from '../../proxy/visit.ts'
import { Evidence, type EvidenceBatch } from '../../proxy/worker/evidence.ts'
import { Ledger } from '../../proxy/worker/ledger.ts'
import { WaitingPicker } from '../../proxy/worker/picker.ts'
import { WorkerRoutes } from '../../proxy/worker/routes.ts'

const target = (number: string): Target => ({ release: `shop/${number}`, host: '127.0.0.1', port: 1000 + Number(number.slice(1)), healthy: true })
const canaryRoute = (overrides: Partial<CanaryRoute> = {}): CanaryRoute => ({
  target: target('v2'), share: 1, phase: 1, salt: 's', secret: '0'.repeat(64), key: { from: 'header', name: 'x-user' }, sticky: 'none',
  names: { canary: ['v2'], stable: ['v1'] }, allow: ['203.0.113.0/24'], slowMs: null, timedFromMs: 0, ...overrides,
})

function tableOf(canary: CanaryRoute | null, overrides: Partial<ProposedRoute> = {}, before: Table = emptyTable): Table {
  return withRoute(before, 1, { service: 'shop', state: 'serving', live: target('v1'), fallback: null, canary, reason: null, settings: { holdTimeoutMs: 1_000, holdMax: 4 }, ...overrides })
}

function worker(canary: CanaryRoute | null) {
  const routes = new WorkerRoutes()
  const ledger = new Ledger(() => {})
  const batches: EvidenceBatch[] = []
  let nowMs = 0
  const evidence = new Evidence({ send: (batch) => batches.push(batch), nowMs: () => nowMs })
  const picker = new WaitingPicker({ routes, ledger, evidence, workers: 1, onFallback: () => {} })
  routes.apply({ type: 'table', table: tableOf(canary) })
  const ask = (user: string, options: { headers?: readonly string[]; address?: string } = {}) => {
    const visitor = new Visitor({ rawHeaders: ['x-user', user, ...(options.headers ?? [])], clientAddress: options.address ?? '198.51.100.1', isTelling: true, memo: newMemo(), isPlain: true })
    const pick = (failed: ReadonlySet<ReleaseId> | null = null) => {
      const result: { visit?: Visit; refusal?: Refusal } = {}
      picker.pick({ service: 'shop', arrivedAt: process.hrtime.bigint(), failed, asker: { visitor: () => visitor }, picked: (visit) => (result.visit = visit), refused: (refusal) => (result.refusal = refusal) })
      return result
    }
    return pick
  }
  const events = (): UnitEvent[] => {
    evidence.flush()
    return batches.flatMap((batch) => batch.events)
  }
  return { routes, ledger, picker, evidence, batches, ask, events, pass: (ms: number) => { nowMs += ms } }
}

afterEach(() => vi.useRealTimers())

describe('a worker with a canary', () => {
  it('chooses and counts in one step, and tells a visitor once a phase', () => {
    const { ask, ledger, events } = worker(canaryRoute())
    const { visit } = ask('ann')()
    expect(visit?.release).toBe('shop/v2')
    expect(ledger.inFlight('shop/v2')).toBe(1)
    visit?.answered(200)
    visit?.end('complete')
    const again = ask('ann')().visit
    again?.answered(200)
    again?.end('complete')
    expect(events()).toEqual([expect.objectContaining({ arm: 'canary', share: 1, phase: 1, bad: [], good: [], address: '198.51.100.1' })])
  })

  it('tells what went bad in the same turn of the loop, and lets the rest wait', async () => {
    const { ask, batches } = worker(canaryRoute())
    ask('ann')().visit?.answered(500)
    await new Promise((resolve) => setImmediate(resolve))
    expect(batches).toHaveLength(1)
    expect(batches[0]?.events).toMatchObject([{ bad: ['errors'] }])
    ask('bob')().visit?.answered(200)
    await new Promise((resolve) => setImmediate(resolve))
    expect(batches).toHaveLength(1)
  })

  it('answers a draw whose dial failed from stable, and it is a bad event of the canary', () => {
    const { ask, events } = worker(canaryRoute())
    const pick = ask('ann')
    pick().visit?.end('not-sent')
    const { visit } = pick(new Set<ReleaseId>(['shop/v2']))
    expect(visit?.release).toBe('shop/v1')
    visit?.answered(200)
    visit?.end('complete')
    expect(events()).toMatchObject([{ arm: 'canary', bad: ['errors'] }])
  })

  it('counts a failed dial against stable the same way', () => {
    vi.useFakeTimers()
    const { ask, events } = worker(canaryRoute({ share: 0.000001 }))
    const pick = ask('ann')
    pick().visit?.end('not-sent')
    const result = pick(new Set<ReleaseId>(['shop/v1']))
    vi.advanceTimersByTime(100)
    expect(result.visit?.release).toBe('shop/v1')
    result.visit?.answered(200)
    expect(events()).toMatchObject([{ arm: 'stable', bad: ['errors'] }])
  })

  it('says nothing bad of a client that left or a deadline of gracer\'s own, and all of a reply that broke off', () => {
    const { ask, events } = worker(canaryRoute())
    ask('ann')().visit?.end('client-gone')
    ask('bob')().visit?.end('cut')
    const broken = ask('eve')().visit
    broken?.answered(200)
    broken?.end('lost')
    expect(events().filter(({ bad }) => bad.length > 0)).toHaveLength(1)
  })

  it('counts what the app reports as failed, at the head of its reply or by how it closes a WebSocket, once each', () => {
    const { ask, events, ledger } = worker(canaryRoute({ slowMs: 50 }))
    const reported = ask('ann')().visit
    reported?.answered(200, true)
    reported?.wentBad()
    reported?.end('complete')
    const socket = ask('bob')().visit
    socket?.answered(101)
    socket?.becomes('upgraded', () => {})
    socket?.wentBad()
    socket?.end('lost')
    socket?.wentBad()
    expect(events().filter(({ bad }) => bad.length > 0).map(({ bad }) => bad)).toEqual([['errors'], ['errors']])
    expect(ledger.snapshot().releases).toMatchObject([{ errors: 2 }])
  })

  it('judges the time of a visitor\'s first request of the phase alone, once the warm-up is over', () => {
    const { ask, events, pass } = worker(canaryRoute({ slowMs: 50, timedFromMs: 10 }))
    ask('cold')().visit?.answered(200)
    pass(20)
    const slow = ask('ann')().visit
    pass(51)
    slow?.answered(200)
    const second = ask('ann')().visit
    pass(500)
    second?.answered(200)
    ask('bob')().visit?.answered(200)
    expect(events().map(({ bad, good }) => [bad, good])).toEqual([[[], []], [['latency'], []], [[], ['latency']]])
  })

  it('does not wait for a reply that never comes', () => {
    vi.useFakeTimers()
    const { ask, events, pass } = worker(canaryRoute({ slowMs: 50 }))
    ask('ann')()
    pass(60)
    vi.advanceTimersByTime(100)
    expect(events()).toMatchObject([{ bad: ['latency'] }])
  })

  it('keeps testers out of the figures and the evidence, and in the count of what must drain', () => {
    const { ask, ledger, events } = worker(canaryRoute({ share: 0 }))
    const { visit } = ask('ann', { headers: ['gracer-release', 'canary'], address: '203.0.113.9' })()
    expect(visit?.release).toBe('shop/v2')
    expect(ledger.inFlight('shop/v2')).toBe(1)
    visit?.answered(500)
    visit?.end('complete')
    const figures = ledger.forget('shop/v2')
    expect(figures).toMatchObject({ requests: 0, errors: 0, inFlight: 0, statuses: [0, 0, 0, 0, 0, 0] })
    expect(events()).toEqual([])
  })

  it('refuses a header whose signature is false', () => {
    const { ask } = worker(canaryRoute())
    expect(ask('ann', { headers: ['gracer-release', `canary.99999999999.${'x'.repeat(22)}`] })().refusal).toMatchObject({ status: 400, code: 'override' })
  })

  it('is no violation of the atomic flip, and the flip after it is checked as ever', () => {
    const { ask, ledger, routes } = worker(canaryRoute({ share: 0.5 }))
    const before = routes.table
    const users = Array.from({ length: 20 }, (_, index) => `u${index}`)
    for (const user of [...users, ...users]) {
      const { visit } = ask(user)()
      visit?.answered(200)
      visit?.end('complete')
    }
    expect(ledger.snapshot().flips.length).toBeGreaterThan(0)
    expect(countFlipViolations(ledger.snapshot().flips)).toBe(0)
    routes.apply({ type: 'table', table: tableOf(null, { live: target('v2') }, before) })
    const { visit } = ask('ann')()
    visit?.end('complete')
    expect(countFlipViolations(ledger.snapshot().flips)).toBe(0)
  })

  it('drops its canaries when its master is gone', () => {
    const { ask, routes } = worker(canaryRoute())
    routes.masterVanished(null)
    expect(ask('ann')().visit?.release).toBe('shop/v1')
  })

  it('remembers so many visitors of a phase and no more, and says so', () => {
    const { ask, evidence, batches } = worker(canaryRoute())
    for (let user = 0; user < 100_010; user += 1) {
      const visit = ask(`u${user}`)().visit
      visit?.answered(200)
      visit?.end('complete')
      if (user % 10_000 === 0) evidence.flush()
    }
    evidence.flush()
    expect(batches.reduce((sum, batch) => sum + batch.events.length, 0)).toBe(100_000)
    // What goes bad is told all the same.
    ask('u100009')().visit?.answered(500)
    evidence.flush()
    expect(batches.at(-1)).toMatchObject({ dropped: 10, events: [{ bad: ['errors'] }] })
  })
})
