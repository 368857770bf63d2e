import fc from 'fast-check'
import { expect, it } from 'vitest'
import { formatDuration, formatListen, parseDuration, parseExpect, parseListen } from '../../agent/config/units.ts'

it('reads durations with their unit, and nothing without one', () => {
  const table: [string, number | undefined][] = [
    ['250ms', 250], ['30s', 30_000], ['2m', 120_000], ['1h', 3_600_000], ['1.5s', 1_500], ['0s', 0],
    ['30', undefined], ['', undefined], ['s', undefined], ['-1s', undefined], ['1 s', undefined], ['1S', undefined], ['1d', undefined], ['1e3s', undefined], ['1s ', undefined], ['٣s', undefined],
  ]
  for (const [text, ms] of table) expect([text, parseDuration(text)]).toEqual([text, ms])
})

it('writes every duration so that it reads the same again', () => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 86_400_000 }), (ms) => parseDuration(formatDuration(ms)) === ms))
})

it('reads addresses with IPv4, IPv6, localhost, and a port alone', () => {
  expect(parseListen('127.0.0.1:8080')).toEqual({ host: '127.0.0.1', port: 8080 })
  expect(parseListen('[::1]:80')).toEqual({ host: '::1', port: 80 })
  expect(parseListen('[::]:0')).toEqual({ host: '::', port: 0 })
  expect(parseListen('localhost:81')).toEqual({ host: '127.0.0.1', port: 81 })
})

it('takes a port alone for loopback, and a port behind a colon for every IPv4 address', () => {
  expect(parseListen('8080')).toEqual({ host: '127.0.0.1', port: 8080 })
  expect(parseListen(':8080')).toEqual({ host: '0.0.0.0', port: 8080 })
  expect(parseListen('*:8080')).toEqual({ host: '0.0.0.0', port: 8080 })
})

it('takes no name, no half an address and no port above 65535', () => {
  for (const text of ['', ':', '127.0.0.1', '127.0.0.1:', '127.0.0.1:65536', 'example.com:80', '::1:80', '[::1]', '[::1:80', '[127.0.0.1]:80', '1.2.3:80', '127.0.0.1:8o', ' 80', '-1', '999999', 'unix:/x']) {
    expect([text, parseListen(text)]).toEqual([text, undefined])
  }
})

it('writes every address so that it reads the same again', () => {
  for (const text of ['127.0.0.1:8080', '[::1]:80', '0.0.0.0:1']) expect(formatListen(parseListen(text) ?? { host: '', port: 0 })).toBe(text)
})

it('reads status codes and ranges of them, and refuses what is none', () => {
  expect(parseExpect('200-299')).toEqual([{ from: 200, to: 299 }])
  expect(parseExpect('200, 204,300-399')).toEqual([{ from: 200, to: 200 }, { from: 204, to: 204 }, { from: 300, to: 399 }])
  for (const text of ['', '2xx', '299-200', '100-199', '200-600', '200,', '200-299-300', '0x200']) expect([text, parseExpect(text)]).toEqual([text, undefined])
})
