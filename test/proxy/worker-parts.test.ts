import { createServer } from 'node:http'
import { createServer as createNetServer } from 'node:net'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { countFlipViolations, noFigures } from '../../proxy/figures.ts'
import { FiguresSum, earlier } from '../../proxy/master/figures-sum.ts'
import { Drains } from '../../proxy/worker/drains.ts'
import { Ledger } from '../../proxy/worker/ledger.ts'
import { PublicSocket } from '../../proxy/worker/public-socket.ts'
import { WaitingPicker } from '../../proxy/worker/picker.ts'
import { WorkerRoutes } from '../../proxy/worker/routes.ts'
import { withRoute, emptyTable, type ProposedRoute, type Table, type Target } from '../../proxy/table.ts'
import { releaseKey, type ReleaseId } from '../../proxy/release-key.ts'
import type { Refusal, Visit } from '../../proxy/visit.ts'

const target = (release: ReleaseId, healthy = true): Target => ({ release, host: '127.0.0.1', port: 1000 + Number(release.split('/v')[1]), healthy })

function tableOf(overrides: Partial<ProposedRoute>, before: Table = emptyTable): Table {
  return withRoute(before, 1, { service: 'shop', state: 'serving', live: target('shop/v1'), fallback: null, reason: null, settings: { holdTimeoutMs: 1_000, holdMax: 4 }, ...overrides })
}

function worker(workers = 1) {
  const routes = new WorkerRoutes()
  const idle: string[] = []
  const ledger = new Ledger((release) => idle.push(release))
  const fallbacks: string[] = []
  const picker = new WaitingPicker({ routes, ledger, workers, onFallback: (_service, release) => fallbacks.push(release) })
  const pick = (failed: ReadonlySet<ReleaseId> | null = null) => {
    const result: { visit?: Visit; refusal?: Refusal } = {}
    const pending = picker.pick({ service: 'shop', arrivedAt: process.hrtime.bigint(), failed, picked: (visit) => (result.visit = visit), refused: (refusal) => (result.refusal = refusal) })
    return { ...pending, result }
  }
  return { routes, ledger, picker, pick, idle, fallbacks }
}

afterEach(() => vi.useRealTimers())

describe('the picker', () => {
  it('counts in the same tick in which it picks', () => {
    const { routes, ledger, pick } = worker()
    routes.apply({ type: 'table', table: tableOf({}) })
    expect(pick().result.visit?.release).toBe('shop/v1')
    expect(ledger.inFlight('shop/v1')).toBe(1)
  })

  it('parks between prepare and commit, and lets go to the new release in the order of arrival', () => {
    const { routes, picker, ledger, pick } = worker()
    const before = tableOf({})
    routes.apply({ type: 'table', table: before })
    routes.apply({ type: 'prepare', flip: 7, service: 'shop' })
    const waiting = [pick(), pick()]
    expect(ledger.waits('shop').parked).toBe(2)
    expect(waiting.map(({ result }) => result.visit)).toEqual([undefined, undefined])
    routes.apply({ type: 'commit', flip: 7, table: tableOf({ live: target('shop/v2') }, before) })
    picker.wake()
    expect(waiting.map(({ result }) => result.visit?.release)).toEqual(['shop/v2', 'shop/v2'])
    expect(ledger.waits('shop').parked).toBe(0)
    expect(picker.takeLongestParkMs('shop')).toBeGreaterThan(0)
  })

  it('lets parked requests go to the old release when the flip is undone, and an undo of another flip does nothing', () => {
    const { routes, picker, pick } = worker()
    routes.apply({ type: 'table', table: tableOf({}) })
    routes.apply({ type: 'prepare', flip: 7, service: 'shop' })
    const waiting = pick()
    expect(routes.apply({ type: 'undo', flip: 6 }).wake).toBe(false)
    expect(routes.apply({ type: 'undo', flip: 7 }).wake).toBe(true)
    picker.wake()
    expect(waiting.result.visit?.release).toBe('shop/v1')
  })

  it('does not call back a request that was cancelled while it waited', () => {
    const { routes, picker, ledger, pick } = worker()
    routes.apply({ type: 'table', table: tableOf({}) })
    routes.apply({ type: 'prepare', flip: 7, service: 'shop' })
    const waiting = pick()
    waiting.cancel()
    routes.apply({ type: 'undo', flip: 7 })
    picker.wake()
    expect(waiting.result).toEqual({})
    expect(ledger.waits('shop').parked).toBe(0)
  })

  it('goes to the fallback when the dial to live has failed, and says so', () => {
    const { routes, pick, fallbacks } = worker()
    routes.apply({ type: 'table', table: tableOf({ live: target('shop/v2'), fallback: target('shop/v1') }) })
    const { visit } = pick(new Set(['shop/v2'])).result
    expect(visit).toMatchObject({ release: 'shop/v1', viaFallback: true })
    expect(fallbacks).toEqual(['shop/v1'])
  })

  it('dials again after a moment where there is no fallback', () => {
    vi.useFakeTimers()
    const { routes, pick, ledger } = worker()
    routes.apply({ type: 'table', table: tableOf({}) })
    const waiting = pick(new Set(['shop/v1']))
    expect(ledger.waits('shop').held).toBe(1)
    vi.advanceTimersByTime(100)
    expect(waiting.result.visit?.release).toBe('shop/v1')
  })

  it('holds a request that is dialled again and again only once as long as hold.timeout, counted from its arrival', () => {
    const { routes, picker } = worker()
    routes.apply({ type: 'table', table: tableOf({}) })
    const refusals: Refusal[] = []
    const arrivedAt = process.hrtime.bigint() - 1_500_000_000n
    picker.pick({ service: 'shop', arrivedAt, failed: new Set(['shop/v1']), picked: () => {}, refused: (refusal) => refusals.push(refusal) })
    expect(refusals).toMatchObject([{ status: 503, code: 'hold-timeout' }])
  })

  it('holds while nothing is live, at most its share of hold.max, then answers 503 with Retry-After', () => {
    vi.useFakeTimers()
    const { routes, pick, ledger } = worker(2)
    routes.apply({ type: 'table', table: tableOf({ state: 'holding', live: null, reason: 'release v1 is restarting' }) })
    const held = [pick(), pick()]
    expect(pick().result.refusal).toMatchObject({ status: 503, code: 'hold-full' })
    vi.advanceTimersByTime(1_000)
    expect(held[0]?.result.refusal).toMatchObject({ status: 503, code: 'hold-timeout', retryAfterSeconds: 5, reason: 'No release could answer in time: release v1 is restarting.' })
    expect(ledger.waits('shop').held).toBe(0)
  })

  it('says why it could not answer as the newest table says it, whatever it was held for at first', () => {
    vi.useFakeTimers()
    const { routes, picker } = worker()
    routes.apply({ type: 'table', table: tableOf({}) })
    const refusals: Refusal[] = []
    picker.pick({ service: 'shop', arrivedAt: process.hrtime.bigint(), failed: new Set(['shop/v1']), picked: () => {}, refused: (refusal) => refusals.push(refusal) })
    routes.apply({ type: 'table', table: { ...tableOf({ state: 'holding', live: null, reason: 'release v1 is restarting' }), number: 99 } })
    picker.wake()
    vi.advanceTimersByTime(1_000)
    expect(refusals).toMatchObject([{ code: 'hold-timeout', reason: 'No release could answer in time: release v1 is restarting.' }])
  })

  it('refuses at once where nothing is coming', () => {
    const { routes, pick } = worker()
    routes.apply({ type: 'table', table: tableOf({ state: 'down', live: null, reason: 'No release is live: v1 failed' }) })
    expect(pick().result.refusal).toMatchObject({ status: 503, code: 'no-release', reason: 'No release is live: v1 failed' })
  })
})

describe('the routes of a worker', () => {
  it('never go back to an older table', () => {
    const routes = new WorkerRoutes()
    const first = tableOf({})
    const second = tableOf({ live: target('shop/v2') }, first)
    routes.apply({ type: 'table', table: second })
    routes.apply({ type: 'table', table: first })
    expect(routes.table).toBe(second)
  })

  it('decide a prepared flip by the table file when the master has vanished', () => {
    const before = tableOf({})
    const after = tableOf({ live: target('shop/v2') }, before)
    for (const [written, expected] of [[after, 'shop/v2'], [before, 'shop/v1'], [null, 'shop/v1']] as const) {
      const routes = new WorkerRoutes()
      routes.apply({ type: 'table', table: before })
      routes.apply({ type: 'prepare', flip: 1, service: 'shop' })
      routes.masterVanished(written)
      expect(routes.decide('shop', null)).toMatchObject({ kind: 'go', target: { release: expected } })
    }
  })
})

describe('the ledger', () => {
  it('ends each visit once, and counts by how it ended', () => {
    const { routes, ledger, pick, idle } = worker()
    routes.apply({ type: 'table', table: tableOf({}) })
    for (const how of ['complete', 'client-gone', 'lost', 'cut', 'not-sent', 'retried'] as const) {
      const { visit } = pick().result
      visit?.end(how)
      visit?.end('lost')
    }
    const stream = pick().result.visit
    stream?.becomes('stream', () => {})
    stream?.end('graceful')
    expect(ledger.snapshot().releases).toMatchObject([{ inFlight: 0, streams: 0, requests: 5, lost: 2, cut: 1, clientGone: 1, retried: 1, streamsEnded: 1, errors: 1 }])
    expect(idle).toHaveLength(7)
    expect(ledger.waits('shop').violations).toBe(0)
  })

  it('sees a pick of a release that was never healthy, and of one that was said to be quiet', () => {
    const { ledger } = worker()
    const pick = { viaFallback: false, since: 1, number: 1 }
    ledger.open('shop', target('shop/v1', false), pick, 1)
    expect(ledger.waits('shop').violations).toBe(1)
    ledger.open('shop', target('shop/v2'), pick, 1).end('complete')
    ledger.setQuiet('shop/v2', true)
    ledger.open('shop', target('shop/v2'), pick, 1)
    expect(ledger.waits('shop').violations).toBe(2)
  })

  it('forgets a release only when nothing of it is in flight', () => {
    const { routes, ledger, pick } = worker()
    routes.apply({ type: 'table', table: tableOf({}) })
    const { visit } = pick().result
    expect(ledger.forget('shop/v1')).toBeNull()
    visit?.end('complete')
    expect(ledger.forget('shop/v1')).toMatchObject({ requests: 1 })
    expect(ledger.releases()).toEqual([])
  })
})

describe('flip times', () => {
  it('are a violation when a request that began after a full reply of the new release went to the old one', () => {
    const flip = (since: number, lastBegin: number, firstReply: number | null) => ({ service: 'shop', since, lastBegin, firstReply })
    expect(countFlipViolations([flip(1, 100, 5), flip(2, 200, 101)])).toBe(0)
    expect(countFlipViolations([flip(1, 102, 5), flip(2, 200, 101)])).toBe(1)
    // The old release was picked by one worker, the new one answered on another.
    expect(countFlipViolations([flip(1, 50, 5), flip(2, 60, null), flip(1, 90, 7), flip(2, 95, 80)])).toBe(1)
    expect(countFlipViolations([flip(1, 50, 5), { ...flip(2, 60, 10), service: 'other' }])).toBe(0)
  })
})

describe('a drain', () => {
  it('says quiet at once where nothing is in flight, and else when the last visit has ended', () => {
    const quiet: string[] = []
    const retired: string[] = []
    const ledger = new Ledger((release) => drains.check(release))
    const drains: Drains = new Drains({ ledger, retire: (release) => retired.push(release), onQuiet: (release) => quiet.push(release) })
    const visit = ledger.open('shop', target('shop/v1'), { viaFallback: false, since: 1, number: 1 }, 1)
    drains.start('shop/v1', '1.1', { timeoutMs: 60_000, streamsMs: 60_000, upgradedMs: 60_000, spreadMs: 0 })
    expect({ quiet, retired }).toEqual({ quiet: [], retired: ['shop/v1'] })
    visit.end('complete')
    expect(quiet).toEqual(['shop/v1'])
    expect(ledger.snapshot().releases[0]?.drained).toBe(1)
  })

  it('ends each kind at its own deadline, WebSockets spread, and cuts the rest', () => {
    vi.useFakeTimers()
    const events: string[] = []
    const ledger = new Ledger((release) => drains.check(release))
    const drains: Drains = new Drains({ ledger, retire: () => {}, onQuiet: () => events.push('quiet') })
    const open = () => ledger.open('shop', target('shop/v1'), { viaFallback: false, since: 1, number: 1 }, 1)
    const request = open()
    request.onCut(() => events.push('request cut'))
    const stream = open()
    stream.becomes('stream', () => {
      events.push('stream grace')
      stream.end('graceful')
    })
    const sockets = [open(), open()]
    for (const [index, socket] of sockets.entries()) {
      socket.becomes('upgraded', () => events.push(`socket ${index} grace`))
      socket.onCut(() => events.push(`socket ${index} cut`))
    }
    drains.start('shop/v1', '1.1', { timeoutMs: 100, streamsMs: 200, upgradedMs: 300, spreadMs: 100 })
    vi.advanceTimersByTime(250)
    expect(events).toEqual(['request cut', 'stream grace'])
    vi.advanceTimersByTime(60)
    expect(events.slice(2)).toEqual(['socket 0 grace'])
    vi.advanceTimersByTime(60)
    expect(events.slice(3)).toEqual(['socket 1 grace'])
    vi.advanceTimersByTime(5_000)
    expect(events.slice(4)).toEqual(['socket 0 cut', 'socket 1 cut', 'quiet'])
    expect(ledger.snapshot().releases[0]).toMatchObject({ cut: 3, lost: 3, streamsEnded: 1 })
  })

  it('answers the newest order, and after it was quiet its deadlines begin anew', () => {
    vi.useFakeTimers()
    const said: string[] = []
    const ledger = new Ledger((release) => drains.check(release))
    const drains: Drains = new Drains({ ledger, retire: () => {}, onQuiet: (_release, order) => said.push(order) })
    const deadlines = { timeoutMs: 100, streamsMs: 100, upgradedMs: 100, spreadMs: 0 }
    const open = () => ledger.open('shop', target('shop/v1'), { viaFallback: true, since: 1, number: 1 }, 1)
    const first = open()
    drains.start('shop/v1', '1.1', deadlines)
    drains.start('shop/v1', '2.1', deadlines)
    first.end('complete')
    expect(said).toEqual(['2.1'])
    open()
    drains.start('shop/v1', '2.2', deadlines)
    vi.advanceTimersByTime(10_000)
    expect(said).toEqual(['2.1', '2.2'])
    expect(ledger.snapshot().releases[0]).toMatchObject({ cut: 1 })
  })

  it('ends nothing any more when the release is live again', () => {
    vi.useFakeTimers()
    const ledger = new Ledger(() => {})
    const drains = new Drains({ ledger, retire: () => {}, onQuiet: () => {} })
    ledger.open('shop', target('shop/v1'), { viaFallback: false, since: 1, number: 1 }, 1)
    drains.start('shop/v1', '1.1', { timeoutMs: 100, streamsMs: 100, upgradedMs: 100, spreadMs: 0 })
    drains.cancel('shop/v1')
    vi.advanceTimersByTime(10_000)
    expect(ledger.inFlight('shop/v1')).toBe(1)
  })
})

describe('the sum of the ledgers', () => {
  const figures = (release: ReleaseId, requests: number, inFlight = 0) => ({ ...new Ledger(() => {}).snapshot(), releases: [{ ...noFigures('shop', release), inFlight, requests }] })

  it('keeps what a worker that died had counted, and counts what it had in flight as lost', () => {
    const sum = new FiguresSum()
    sum.set(1, figures('shop/v1', 5, 2))
    sum.set(2, figures('shop/v1', 7))
    sum.workerGone(1)
    expect(sum.sum()).toMatchObject([{ lost: 2, releases: [{ release: 'shop/v1', requests: 12, inFlight: 0 }] }])
  })

  it('counts nothing of one service in another, though their releases have the same numbers', () => {
    const ledgers = [1, 2].map((worker) => {
      const routes = new WorkerRoutes()
      const ledger = new Ledger(() => {})
      const picker = new WaitingPicker({ routes, ledger, workers: 2, onFallback: () => {} })
      for (const [index, service] of ['shop', 'blog'].entries()) {
        const pick = { viaFallback: false, since: worker, number: worker }
        for (let request = 0; request <= index; request += 1) ledger.open(service, target(releaseKey(service, 'v1')), pick, worker).end(service === 'blog' ? 'lost' : 'complete')
        ledger.open(service, target(releaseKey(service, 'v1'), service === 'shop'), pick, worker)
      }
      routes.apply({ type: 'table', table: tableOf({}) })
      routes.apply({ type: 'prepare', flip: 1, service: 'shop' })
      picker.pick({ service: 'shop', arrivedAt: process.hrtime.bigint(), failed: null, picked: () => {}, refused: () => {} })
      return ledger.snapshot()
    })
    const sum = new FiguresSum()
    for (const [index, ledger] of ledgers.entries()) sum.set(index, ledger)
    sum.workerGone(0)
    sum.forgotten(1, { ...ledgers[1]?.releases.find((one) => one.service === 'blog') } as never)
    const by = (service: string) => sum.sum().find((one) => one.service === service)
    expect(sum.sum()).toHaveLength(2)
    expect(by('shop')).toMatchObject({ violations: 0, lost: 1, waits: { parked: 1, held: 0 }, releases: [{ service: 'shop', release: 'shop/v1', requests: 4 }] })
    expect(by('blog')).toMatchObject({ violations: 2, lost: 5, waits: { parked: 0, held: 0 }, releases: [{ service: 'blog', release: 'blog/v1', requests: 6 }] })
  })

  it('keeps the flip times of a service, however often another flips', () => {
    const ledger = new Ledger(() => {})
    ledger.open('shop', target('shop/v1'), { viaFallback: false, since: 1, number: 1 }, 5)
    for (let since = 2; since < 100; since += 1) ledger.open('blog', target('blog/v1'), { viaFallback: false, since, number: since }, since).end('complete')
    expect(ledger.snapshot().flips.filter((flip) => flip.service === 'shop')).toMatchObject([{ since: 1, lastBegin: 5 }])
  })

  it('says the longest wait for the service that flips, not for another that is held', () => {
    const { routes, picker, ledger, pick } = worker()
    routes.apply({ type: 'table', table: tableOf({ service: 'blog', state: 'holding', live: null }, tableOf({})) })
    picker.pick({ service: 'blog', arrivedAt: process.hrtime.bigint(), failed: null, picked: () => {}, refused: () => {} })
    expect(routes.apply({ type: 'prepare', flip: 1, service: 'shop' }).service).toBe('shop')
    pick()
    expect([ledger.waits('blog').held, ledger.waits('shop').parked]).toEqual([1, 1])
    const table = tableOf({ live: target('shop/v2') }, tableOf({ service: 'blog', live: target('blog/v1') }, routes.table))
    expect(routes.apply({ type: 'commit', flip: 1, table }).service).toBe('shop')
    picker.wake()
    expect(picker.takeLongestParkMs('shop')).toBeGreaterThan(0)
    expect(picker.takeLongestParkMs('shop')).toBe(0)
    expect(picker.takeLongestParkMs('blog')).toBeGreaterThan(0)
  })

  it('stays bounded over any number of releases, and loses no count', () => {
    const sum = new FiguresSum()
    for (let number = 1; number <= 500; number += 1) {
      const ledger = figures(`shop/v${number}`, 1)
      sum.set(1, ledger)
      sum.forgotten(1, { ...ledger.releases[0], service: 'shop', release: `shop/v${number}` } as never)
    }
    const [shop] = sum.sum()
    expect(shop?.releases.length).toBeLessThanOrEqual(51)
    expect(shop?.releases.reduce((total, one) => total + one.requests, 0)).toBe(500)
    expect(shop?.releases.some((one) => one.release === releaseKey('shop', earlier))).toBe(true)
  })
})

describe('the public socket', () => {
  it('is given up where it cannot be listened on, and kept where one connection cannot be accepted', async () => {
    const [server, failures, troubles] = [createServer(), [] as string[], [] as string[]]
    const holder = createNetServer()
    await new Promise<void>((resolve) => { holder.listen(0, '127.0.0.1', resolve) })
    await new Promise<void>((resolve) => {
      const socket = new PublicSocket(null, { server, listening: resolve, failed: (code) => failures.push(code), troubled: (message) => troubles.push(message) })
      socket.listen()
      socket.given(holder)
    })
    for (const code of ['EMFILE', 'ENFILE']) server.emit('error', Object.assign(new Error(`accept ${code}`), { code }))
    expect([failures, troubles]).toEqual([[], ['accept EMFILE']])
    server.close()
    holder.close()
    new PublicSocket('missing', { server: createServer(), listening: () => {}, failed: (code) => failures.push(code), troubled: () => {} }).listen()
    expect(failures).toEqual(['no-socket'])
  })
})

describe('assets of the release before', () => {
  const settings = { holdTimeoutMs: 1_000, holdMax: 4, previousAssets: true }
  const baking = (before = tableOf({})): Table => tableOf({ live: target('shop/v2'), fallback: target('shop/v1'), settings }, before)

  it('are asked of it while it is the way back, of the live one for a canary, and of nobody otherwise', () => {
    const routes = new WorkerRoutes()
    const previous = (table: Table, missed: ReleaseId): string | undefined => {
      routes.table = table
      return routes.previousOf('shop', missed)?.release
    }
    expect(previous(baking(), 'shop/v2')).toBe('shop/v1')
    expect(previous(baking(), 'shop/v1')).toBeUndefined()
    expect(previous(tableOf({ live: target('shop/v2'), fallback: target('shop/v1') }), 'shop/v2')).toBeUndefined()
    expect(previous(tableOf({ live: target('shop/v2'), settings }), 'shop/v2')).toBeUndefined()
    expect(previous(tableOf({ canary: { target: target('shop/v2') } as never, settings }), 'shop/v2')).toBe('shop/v1')
  })

  it('break no promise, are counted once, and neither hold up a drain nor are ended by it while it may be asked', () => {
    vi.useFakeTimers()
    const { routes, ledger, picker, pick } = worker()
    const said: string[] = []
    const drains = new Drains({ ledger, retire: () => {}, servesAssets: (release) => routes.mayPick(release), onQuiet: (release, order) => said.push(`${release} ${order}`) })
    routes.apply({ type: 'table', table: tableOf({ settings }) })
    const old = pick().result.visit
    routes.apply({ type: 'table', table: baking(routes.table) })
    const deadlines = { timeoutMs: 100, streamsMs: 100, upgradedMs: 100, spreadMs: 0 }
    drains.start('shop/v1', 'first', deadlines)
    const full = pick().result.visit
    full?.answered(200)
    full?.end('complete')
    const missing = pick().result.visit as Visit
    const asset = picker.previous(missing) as Visit
    missing.end('missed')
    expect(said).toEqual([])
    old?.end('complete')
    drains.check('shop/v1')
    expect(said).toEqual(['shop/v1 first'])
    vi.advanceTimersByTime(10_000)
    asset.answered(200)
    asset.end('complete')
    const last = picker.previous(pick().result.visit as Visit)
    routes.apply({ type: 'table', table: tableOf({ live: target('shop/v2'), fallback: null, settings }, routes.table) })
    drains.start('shop/v1', 'second', deadlines)
    expect(said).toHaveLength(1)
    vi.advanceTimersByTime(150)
    drains.check('shop/v1')
    expect(said).toEqual(['shop/v1 first', 'shop/v1 second'])
    last?.end('complete')
    const { releases, flips, waits } = ledger.snapshot()
    expect(countFlipViolations(flips)).toBe(0)
    expect(waits.every(({ violations }) => violations === 0)).toBe(true)
    expect(releases.find(({ release }) => release === 'shop/v1')).toMatchObject({ requests: 3, missed: 0, drained: 1, cut: 1, statuses: [2, 0, 1, 0, 0, 0], inFlight: 0 })
    expect(releases.find(({ release }) => release === 'shop/v2')).toMatchObject({ requests: 2, missed: 1, statuses: [0, 0, 1, 0, 0, 0] })
    vi.useRealTimers()
  })
})
