import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { releaseKey } from '../../proxy/release-key.ts'
import { emptyTable, withRoute, type ProposedRoute, type Table, type Target } from '../../proxy/table.ts'
import type { Refusal, Visit } from '../../proxy/visit.ts'
import { Ledger } from '../../proxy/worker/ledger.ts'
import { WaitingPicker } from '../../proxy/worker/picker.ts'
import { WorkerRoutes } from '../../proxy/worker/routes.ts'

beforeEach(() => { vi.useFakeTimers() })
afterEach(() => { vi.useRealTimers() })

const target = (number: string): Target => ({ release: releaseKey('shop', number), host: '127.0.0.1', port: 1, healthy: true })

function start(workers = 1) {
  const routes = new WorkerRoutes()
  const ledger = new Ledger(() => {})
  const picker = new WaitingPicker({ routes, ledger, workers, onFallback: () => {} })
  let table: Table = emptyTable
  const went: string[] = []
  const set = (more: Partial<ProposedRoute>): void => {
    table = withRoute(table, 1, { service: 'shop', state: 'serving', live: target('v1'), fallback: null, reason: null, settings: { holdTimeoutMs: 1_000, holdMax: 40, pace: 100, healthPath: '/up' }, ...more })
    routes.apply({ type: 'table', table })
    picker.wake()
  }
  const pick = (name: string, path: string | null = '/') => {
    const result: { visit?: Visit; refusal?: Refusal } = {}
    const pending = picker.pick({ service: 'shop', arrivedAt: process.hrtime.bigint(), failed: null, path, picked: (visit) => { result.visit = visit; went.push(name) }, refused: (refusal) => { result.refusal = refusal } })
    return { ...pending, result }
  }
  return { routes, ledger, picker, set, pick, went }
}

it('holds what comes, longer than hold.timeout and no more than hold.max, and answers the health path', () => {
  const { set, pick, ledger } = start(2)
  set({ paused: Date.now() + 60_000 })
  const waiting = Array.from({ length: 20 }, (_, index) => pick(String(index)))
  expect(pick('one more').result.refusal).toMatchObject({ status: 503, code: 'hold-full' })
  expect(pick('health', '/up').result.visit).toBeDefined()
  vi.advanceTimersByTime(30_000)
  expect(waiting.every(({ result }) => result.visit === undefined && result.refusal === undefined)).toBe(true)
  expect(ledger.waits('shop')).toMatchObject({ held: 20, holds: 20, parked: 0 })
})

it('lets go in the order of arrival, at a growing pace, new ones behind those that waited', () => {
  const { set, pick, went, ledger } = start()
  set({ paused: Date.now() + 60_000 })
  const names = Array.from({ length: 40 }, (_, index) => String(index))
  const waiting = names.map((name) => pick(name))
  waiting[3]?.cancel()
  set({ paused: null })
  expect(went).toEqual([])
  vi.advanceTimersByTime(100)
  const first = went.length
  expect(first).toBeGreaterThan(5)
  expect(first).toBeLessThan(20)
  pick('new')
  expect(pick('health', '/up').result.visit).toBeDefined()
  vi.advanceTimersByTime(2_000)
  expect(went.filter((name) => name !== 'health')).toEqual([...names.filter((name) => name !== '3'), 'new'])
  expect(ledger.waits('shop').held).toBe(0)
  expect(pick('at once').result.visit).toBeDefined()
})

it('ends at its limit by itself, also for a worker that starts later, and a second pause sets another', () => {
  const { set, pick, went } = start()
  set({ paused: Date.now() + 1_000 })
  pick('a')
  set({ paused: Date.now() + 5_000 })
  vi.advanceTimersByTime(3_000)
  expect(went).toEqual([])
  vi.advanceTimersByTime(2_100)
  expect(went).toEqual(['a'])
  expect(pick('b').result.visit).toBeDefined()
  const late = start()
  late.set({ paused: Date.now() - 1 })
  expect(late.pick('c').result.visit === undefined).toBe(true)
  vi.advanceTimersByTime(100)
  expect(late.went).toEqual(['c'])
})

it('leaves a flip that happens meanwhile to go on: what waited goes to the new release', () => {
  const { routes, set, pick } = start()
  const until = Date.now() + 60_000
  set({ paused: until })
  const waiting = pick('a')
  routes.apply({ type: 'prepare', flip: 1, service: 'shop' })
  const parked = pick('b')
  set({ paused: until, live: target('v2') })
  routes.apply({ type: 'commit', flip: 1, table: routes.table })
  set({ paused: null, live: target('v2') })
  vi.advanceTimersByTime(200)
  expect([waiting, parked].map(({ result }) => result.visit?.release)).toEqual(['shop/v2', 'shop/v2'])
})

it('holds again what was not let go yet when another pause comes', () => {
  const { set, pick, went } = start()
  set({ paused: Date.now() + 60_000 })
  for (let index = 0; index < 30; index += 1) pick(String(index))
  set({ paused: null })
  vi.advanceTimersByTime(60)
  set({ paused: Date.now() + 60_000 })
  const before = went.length
  vi.advanceTimersByTime(5_000)
  expect(went).toHaveLength(before)
  set({ paused: null })
  vi.advanceTimersByTime(5_000)
  expect(went).toHaveLength(30)
})

it('where nothing is live when the pause ends, hold.timeout begins then: nobody waits without a limit', () => {
  const { set, pick } = start()
  set({ paused: Date.now() + 5_000 })
  const waiting = pick('a')
  set({ paused: Date.now() + 5_000, state: 'holding', live: null, reason: 'it is restarting' })
  vi.advanceTimersByTime(5_900)
  expect(waiting.result).toEqual({})
  vi.advanceTimersByTime(200)
  expect(waiting.result.refusal).toMatchObject({ status: 503, code: 'hold-timeout' })
})

it('at the end of gracer lets go what is held; what nothing can answer is told so at once, then and from there on', () => {
  const { set, pick, picker } = start()
  set({ paused: Date.now() + 60_000 })
  const waiting = pick('a')
  picker.gracerEnds()
  vi.advanceTimersByTime(100)
  expect(waiting.result.visit?.release).toBe('shop/v1')
  expect(pick('b').result.visit).toBeDefined()
  const other = start()
  other.set({ state: 'holding', live: null, reason: 'it is restarting' })
  const held = other.pick('c')
  other.picker.gracerEnds()
  expect([held, other.pick('d')].map(({ result }) => result.refusal?.code)).toEqual(['no-release', 'no-release'])
  expect([picker.waiting, other.picker.waiting]).toEqual([0, 0])
})

it('a worker that ends leaves nobody without a reply', () => {
  const { set, pick, picker, ledger } = start()
  set({ paused: Date.now() + 60_000 })
  const waiting = pick('a')
  picker.refuseAll()
  expect(waiting.result.refusal).toMatchObject({ status: 503, code: 'no-release', retryAfterSeconds: 5 })
  expect(ledger.waits('shop').held).toBe(0)
})

it('where something is live again before hold.timeout is over, what waited goes', () => {
  const { set, pick } = start()
  set({ paused: Date.now() + 5_000, state: 'holding', live: null, reason: 'it is restarting' })
  const waiting = pick('a')
  vi.advanceTimersByTime(5_500)
  set({ paused: null })
  vi.advanceTimersByTime(2_000)
  expect(waiting.result.visit?.release).toBe('shop/v1')
  expect(waiting.result.refusal).toBeUndefined()
})
