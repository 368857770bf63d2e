import fc from 'fast-check'
import { expect, test } from 'vitest'
import { seededBytes } from './bytes.ts'
import { fakeServer, reply } from './fake-server.ts'
import type { Entry } from './ledger.ts'
import { startLoad } from './load.ts'
import { staleAfterFlip } from './stale.ts'

const none = { connection: 1, status: 200, bytes: 0, failure: null, aborted: false, outcome: 'ok' as const, kind: 'keep-alive' as const }

function entry(release: string, sent: number, completed: number, more: Partial<Entry> = {}): Entry {
  return { ...none, number: 0, startedAt: BigInt(sent), sentAt: BigInt(sent), headAt: BigInt(completed), completedAt: BigInt(completed), release, ...more }
}

test('a request sent after a full reply of the new release and answered by the old one is a violation', () => {
  const late = entry('a', 21, 30)
  expect(staleAfterFlip([entry('a', 0, 5), entry('b', 10, 20), late])).toEqual([{ entry: late, newer: entry('b', 10, 20) }])
})

test('a request sent before that reply was complete may be answered by either', () => {
  expect(staleAfterFlip([entry('a', 0, 5), entry('b', 10, 20), entry('a', 19, 40), entry('a', 20, 40)])).toEqual([])
})

test('a reply of the new release that was not completed proves nothing', () => {
  const broken = entry('b', 10, 20, { outcome: 'failed', failure: { code: 'reset', detail: '' } })
  expect(staleAfterFlip([entry('a', 0, 5), broken, entry('a', 25, 30)])).toEqual([])
})

test('a reply cut off is stale all the same: its head named the release', () => {
  const broken = entry('a', 25, 30, { outcome: 'failed', failure: { code: 'truncated', detail: '' } })
  expect(staleAfterFlip([entry('a', 0, 5), entry('b', 10, 20), broken])).toHaveLength(1)
})

test('the messages of a WebSocket stay with their release, its handshake does not', () => {
  const both = [entry('a', 25, 30, { kind: 'websocket-message' }), entry('a', 25, 30, { kind: 'websocket' })]
  expect(staleAfterFlip([entry('a', 0, 5), entry('b', 10, 20), ...both])).toHaveLength(1)
})

test('over a sequence of releases each is stale once a later one has answered', () => {
  const entries = [entry('a', 0, 1), entry('b', 2, 3), entry('c', 4, 5), entry('b', 6, 7), entry('a', 8, 9)]
  expect(staleAfterFlip(entries).map(({ entry, newer }) => [entry.release, newer.release])).toEqual([['b', 'c'], ['a', 'c']])
})

test('exempt intervals, a beginning and a given order make room for a rollback', () => {
  const entries = [entry('a', 0, 1), entry('b', 2, 3), entry('a', 10, 11), entry('b', 20, 21)]
  expect(staleAfterFlip(entries)).toHaveLength(1)
  expect(staleAfterFlip(entries, { exempt: [{ from: 9n, to: 12n }] })).toEqual([])
  expect(staleAfterFlip(entries, { from: 2n, to: 11n })).toEqual([])
  expect(staleAfterFlip(entries, { from: 2n, to: 11n, order: ['a', 'b'] })).toHaveLength(1)
})

test('a history with one instant of change has no violation, however the requests overlap', () => {
  const requests = fc.array(fc.record({ sent: fc.nat(1000), picked: fc.nat(50), took: fc.nat(200) }), { minLength: 1, maxLength: 60 })
  fc.assert(fc.property(requests, fc.array(fc.nat(1000), { maxLength: 4 }), (history, flips) => {
    const entries = history.map(({ sent, picked, took }) => {
      const release = flips.filter((flip) => flip <= sent + picked).length
      return entry(`r${release}`, sent, sent + picked + took)
    })
    expect(staleAfterFlip(entries, { order: flips.concat(0).map((_, index) => `r${index}`) })).toEqual([])
  }))
})

test('the live client sees a stale reply of a server that goes back to its old release', async () => {
  const releases = ['a', 'a', 'b', 'b', 'a', 'b']
  const server = await fakeServer((request, socket) => {
    socket.write(reply(seededBytes(request.query('seed'), request.query('n')), releases[request.index]))
  })
  const report = await startLoad({ port: server.port, connections: 1, kinds: ['keep-alive'], rate: 100, maxRequests: 6 }).finished
  await server.close()
  expect(report).toMatchObject({ ok: 6, releasesSeen: ['a', 'b'] })
  expect(report.staleAfterFlip().map(({ entry, newer }) => [entry.release, newer.release])).toEqual([['a', 'b']])
})
