import fc from 'fast-check'
import { expect, it } from 'vitest'
import { addressForLog } from '../../proxy/access/address-for-log.ts'
import { accessLine, isTrouble, type AccessRecord } from '../../proxy/access/access-line.ts'
import { record } from './record.ts'

const at = new Date('2026-11-20T10:00:00.123Z')

it('is one line of JSON with everything in it, and no query unless asked for', () => {
  expect(JSON.parse(accessLine(at, record, 0.1, false))).toEqual({
    time: '2026-11-20T10:00:00.123Z', service: 'shop', release: 'v2', status: 200, end: 'complete', method: 'GET', path: '/a', host: 'example.com', client: '192.0.2.1', requestId: 'id-1',
    bytesIn: 10, bytesOut: 20, waitMs: 0, firstByteMs: 1.235, upstreamMs: 2, totalMs: 2.5, retry: 0, upgraded: false, sample: 0.1,
  })
  expect(JSON.parse(accessLine(at, record, 1, true))).toMatchObject({ path: '/a?token=secret' })
  expect(JSON.parse(accessLine(at, { ...record, release: null, status: null, target: null, host: null, requestId: null, code: 'malformed', forwardedFor: 'a, b' }, 1, false)))
    .toMatchObject({ release: null, status: null, path: null, code: 'malformed', forwardedFor: 'a, b' })
})

it('cannot be left, nor a terminal spoken to, by anything a client sends; and is of bounded length', () => {
  const hostile = fc.string({ unit: fc.oneof(fc.constantFrom('\r', '\n', '\u001b', '\u009b', '\u007f', '\u0000', '"', '\\', '\u2028', '\ufeff', '\ud800'), fc.string({ unit: 'binary', maxLength: 1 })), maxLength: 3_000 })
  fc.assert(fc.property(hostile, hostile, hostile, (target, host, method) => {
    const line = accessLine(at, { ...record, target: `/${target}`, host, method, client: host, forwardedFor: target }, 1, true)
    expect(line.indexOf('\n')).toBe(line.length - 1)
    expect(line.slice(0, -1)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\ufeff]/)
    expect(line.length).toBeLessThan(20_000)
    const read = JSON.parse(line) as { path: string; host: string }
    expect(read.path).toBe(target.length + 1 <= 1_024 ? `/${target}` : `${`/${target}`.slice(0, 1_024)}…`)
    expect(read.host).toBe(host.length <= 255 ? host : `${host.slice(0, 255)}…`)
  }))
})

it('is written for trouble whatever the sample', () => {
  expect([{ status: 500, end: 'complete' }, { status: 200, end: 'lost' }, { status: 200, end: 'cut' }].map((one) => isTrouble(one as AccessRecord))).toEqual([true, true, true])
  expect([{ status: 404, end: 'complete' }, { status: null, end: 'client-gone' }].map((one) => isTrouble(one as AccessRecord))).toEqual([false, false])
})

it('names as the client whom the trusted peer has seen, and never what came from further outside', () => {
  expect(addressForLog('10.0.0.1', null)).toBe('10.0.0.1')
  expect(addressForLog('10.0.0.1', '203.0.113.9, 192.0.2.7')).toBe('192.0.2.7')
  expect(addressForLog('10.0.0.1', '[2001:db8::1]:443')).toBe('2001:db8::1')
  expect(addressForLog('10.0.0.1', '192.0.2.7:4711')).toBe('192.0.2.7')
  expect(addressForLog('10.0.0.1', '192.0.2.7, <script>')).toBe('10.0.0.1')
})
