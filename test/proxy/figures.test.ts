import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FiguresSum, earlier } from '../../proxy/master/figures-sum.ts'
import { Ledger } from '../../proxy/worker/ledger.ts'
import type { ServiceFigures } from '../../proxy/figures.ts'
import { countOf } from '../../proxy/histogram.ts'
import { releaseKey, type ReleaseId } from '../../proxy/release-key.ts'
import type { Target } from '../../proxy/table.ts'
import type { Visit, VisitEnd } from '../../proxy/visit.ts'

const target = (release: ReleaseId): Target => ({ release, host: '127.0.0.1', port: 1, healthy: true })
const pick = { viaFallback: false, since: 1, number: 1 }
const open = (ledger: Ledger, release: ReleaseId = 'shop/v1'): Visit => ledger.open('shop', target(release), pick, 1)

describe('the ledger', () => {
  it('counts replies by class, and what ended without one apart; what is picked again nowhere', () => {
    const ledger = new Ledger(() => {})
    for (const status of [101, 200, 204, 301, 404, 499, 500, 503, 700]) {
      const visit = open(ledger)
      visit.answered(status)
      visit.answered(200)
      visit.end('complete')
    }
    for (const how of ['lost', 'cut', 'client-gone', 'not-sent', 'retried'] as const) open(ledger).end(how)
    const late = open(ledger)
    late.end('client-gone')
    late.answered(200)
    const [v1] = ledger.snapshot().releases
    expect(v1?.statuses).toEqual([4, 1, 2, 1, 2, 3])
    expect(v1?.errors).toBe(4)
  })

  it('takes the time to the first byte of every reply, and the whole time of complete requests only', () => {
    const ledger = new Ledger(() => {})
    const request = open(ledger)
    request.answered(200)
    request.end('complete')
    const stream = open(ledger)
    stream.answered(200)
    stream.becomes('stream', () => {})
    stream.end('complete')
    const left = open(ledger)
    left.answered(200)
    left.end('client-gone')
    open(ledger).end('lost')
    const [v1] = ledger.snapshot().releases
    expect([countOf(v1!.firstByte), countOf(v1!.total)]).toEqual([3, 1])
  })

  it('counts what the release did wrong, the bytes, and what was answered without it', () => {
    const ledger = new Ledger(() => {})
    for (const how of ['dial', 'reset', 'reset', 'bad-reply'] as const) {
      const visit = open(ledger)
      visit.failed(how)
      visit.moved(100, 7)
      visit.end('lost')
    }
    ledger.refused('shop', 'hold-full')
    ledger.refused('', 'malformed')
    ledger.refused('', 'malformed')
    const { releases, waits } = ledger.snapshot()
    expect(releases).toMatchObject([{ dialFailed: 1, reset: 2, badReply: 1, bytesToRelease: 400, bytesFromRelease: 28 }])
    expect(waits).toMatchObject([{ service: 'shop', refused: { 'hold-full': 1 } }, { service: '', refused: { malformed: 2 } }])
  })

  it('gives snapshots that later counting does not change', () => {
    const ledger = new Ledger(() => {})
    const before = ledger.snapshot()
    const visit = open(ledger)
    const first = ledger.snapshot()
    visit.answered(200)
    visit.end('complete')
    ledger.refused('shop', 'x')
    expect(before).toMatchObject({ releases: [], waits: [] })
    expect(first.releases[0]?.statuses).toEqual([0, 0, 0, 0, 0, 0])
    expect(countOf(first.releases[0]!.total)).toBe(0)
  })
})

/** Everything of a sum that must never fall, as one list of numbers by name. */
function growing(figures: readonly ServiceFigures[]): Map<string, number> {
  const numbers = new Map<string, number>()
  const add = (name: string, value: number): void => void numbers.set(name, (numbers.get(name) ?? 0) + value)
  for (const service of figures) {
    add('parks', service.waits.parks)
    add('refused', Object.values(service.waits.refused).reduce((total, one) => total + one, 0))
    for (const one of service.releases) {
      for (const [index, count] of one.statuses.entries()) add(`statuses ${index}`, count)
      for (const field of ['lost', 'retried', 'clientGone', 'bytesFromRelease', 'dialFailed'] as const) add(field, one[field])
      add('first bytes', countOf(one.firstByte))
      add('totals', countOf(one.total))
    }
  }
  return numbers
}

const action = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('request' as const), worker: fc.nat(2), release: fc.nat(4), status: fc.constantFrom(0, 200, 404, 500), how: fc.constantFrom<VisitEnd>('complete', 'lost', 'client-gone', 'retried') }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('open' as const), worker: fc.nat(2), release: fc.nat(4) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('report' as const), worker: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('kill' as const), worker: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('forget' as const), worker: fc.nat(2), release: fc.nat(4) }) },
)

describe('the sum over workers that come and go', () => {
  it('never falls, and counts each reported request exactly once, whatever is killed or forgotten', () => {
    fc.assert(fc.property(fc.array(action, { maxLength: 120 }), (actions) => {
      const sum = new FiguresSum()
      const workers = [0, 1, 2].map(() => ({ ledger: new Ledger(() => {}), id: 0, reported: 0, unreported: 0 }))
      let nextId = 1
      for (const worker of workers) worker.id = nextId++
      let known = 0
      let last = growing(sum.sum())
      for (const one of actions) {
        const worker = workers[one.worker]!
        const { ledger } = worker
        if (one.do === 'request') {
          const visit = open(ledger, `shop/v${one.release}`)
          if (one.status > 0) visit.answered(one.status)
          visit.moved(1, 1)
          visit.end(one.how)
          if (one.status > 0 || one.how !== 'retried') worker.unreported += 1
        } else if (one.do === 'open') open(ledger, `shop/v${one.release}`)
        else if (one.do === 'report') {
          sum.set(worker.id, ledger.snapshot())
          known += worker.unreported
          worker.unreported = 0
        } else if (one.do === 'forget') {
          // As worker.ts does it; what it counts of others is not told by this message.
          sum.set(worker.id, ledger.snapshot())
          known += worker.unreported
          worker.unreported = 0
          const figures = ledger.forget(`shop/v${one.release}`)
          if (figures !== null) sum.forgotten(worker.id, figures)
        } else {
          sum.workerGone(worker.id)
          workers[one.worker] = { ledger: new Ledger(() => {}), id: nextId++, reported: 0, unreported: 0 }
        }
        const now = growing(sum.sum())
        for (const [name, value] of last) expect([name, now.get(name) ?? 0]).toEqual([name, Math.max(value, now.get(name) ?? 0)])
        last = now
        const replies = [0, 1, 2, 3, 4, 5].reduce((total, index) => total + (now.get(`statuses ${index}`) ?? 0), 0)
        expect(replies).toBe(known)
      }
    }), { numRuns: 300 })
  })

  it('keeps the histograms and waits of workers that are gone, and no gauge of theirs', () => {
    const sum = new FiguresSum()
    const ledger = new Ledger(() => {})
    const visit = open(ledger)
    visit.answered(200)
    visit.end('complete')
    open(ledger).becomes('upgraded', () => {})
    Object.assign(ledger.waits('shop'), { parked: 3, held: 2, parks: 9, longestParkUs: 70, holds: 4, holdTimeouts: 1 })
    sum.set(1, ledger.snapshot())
    sum.workerGone(1)
    const other = new Ledger(() => {})
    Object.assign(other.waits('shop'), { parks: 1, longestParkUs: 90 })
    sum.set(2, other.snapshot())
    const [shop] = sum.sum()
    expect(shop?.waits).toEqual({ service: 'shop', accessDropped: 0, parked: 0, held: 0, parks: 10, longestParkUs: 90, holds: 4, holdTimeouts: 1, refused: {}, violations: 0 })
    expect(shop?.releases).toMatchObject([{ inFlight: 0, upgraded: 0, lost: 1 }])
    expect(countOf(shop!.releases[0]!.firstByte)).toBe(1)
  })

  it('folds old releases into one without losing a bucket', () => {
    const sum = new FiguresSum()
    for (let number = 1; number <= 120; number += 1) {
      const ledger = new Ledger(() => {})
      const visit = open(ledger, `shop/v${number}`)
      visit.answered(200)
      visit.end('complete')
      sum.set(1, ledger.snapshot())
      sum.forgotten(1, ledger.forget(`shop/v${number}`)!)
    }
    const [shop] = sum.sum()
    expect(shop?.releases.length).toBeLessThanOrEqual(51)
    expect(shop?.releases.reduce((total, one) => total + countOf(one.total), 0)).toBe(120)
    expect(shop?.releases.find((one) => one.release === releaseKey('shop', earlier))?.statuses[2]).toBeGreaterThan(60)
  })
})
