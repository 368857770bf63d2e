import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Match } from '../../proxy/match.ts'
import { withServices, emptyTable, type Table } from '../../proxy/table.ts'
import { ServiceFinder } from '../../proxy/worker/service-for.ts'

const settings = { holdTimeoutMs: 1, holdMax: 1 }
const tableOf = (places: Record<string, Match>): Table => withServices(emptyTable, 1, Object.entries(places).map(([service, match]) => ({ service, match, settings })))

it('finds by host, then by the longest path, and passes over a host that has none for the path', () => {
  const table = tableOf({
    all: { host: null, path: '/all' }, shop: { host: 'shop.test', path: '/' }, cart: { host: 'shop.test', path: '/cart' },
    wild: { host: '*.shop.test', path: '/' }, deep: { host: '*.eu.shop.test', path: '/deep' },
  })
  const finder = new ServiceFinder()
  const find = (host: string, path: string): string | null => finder.find(table, host, path)
  expect([find('shop.test', '/x'), find('shop.test', '/cart'), find('shop.test', '/carts'), find('shop.test', '/cart/1')]).toEqual(['shop', 'cart', 'shop', 'cart'])
  expect([find('a.shop.test', '/'), find('a.eu.shop.test', '/deep'), find('a.eu.shop.test', '/'), find('eu.shop.test', '/deep')]).toEqual(['wild', 'deep', 'wild', 'wild'])
  expect([find('other.test', '/all/x'), find('other.test', '/allx'), find('other.test', '*'), find('shop.test', '*')]).toEqual(['all', null, null, 'shop'])
})

it('follows the table, and takes everything for the one service that has no place of its own', () => {
  const finder = new ServiceFinder()
  expect(finder.find(tableOf({ only: { host: null, path: '/' } }), 'x', '*')).toBe('only')
  expect(finder.find(tableOf({ other: { host: null, path: '/o' } }), 'x', '/')).toBe(null)
  const before: Table = { ...emptyTable, routes: [{ service: 'default', since: 1, state: 'down', live: null, fallback: null, reason: null, settings }] }
  expect(finder.find(before, 'x', '/anything')).toBe('default')
})

it('gives the longest prefix at a slash, as a plain search through all of them does', () => {
  const segment = fc.constantFrom('a', 'b', 'ab', '%2f', '..', '')
  const path = fc.array(segment, { maxLength: 4 }).map((segments) => `/${segments.join('/')}`)
  const prefix = fc.array(fc.constantFrom('a', 'b', 'ab'), { maxLength: 3 }).map((segments) => `/${segments.join('/')}`)
  fc.assert(fc.property(fc.uniqueArray(prefix, { minLength: 2, maxLength: 6 }), path, (prefixes, asked) => {
    const table = tableOf(Object.fromEntries(prefixes.map((one) => [`s${one}`, { host: null, path: one }])))
    const fits = prefixes.filter((one) => one === '/' || asked === one || asked.startsWith(`${one}/`)).sort((a, b) => b.length - a.length)
    expect(new ServiceFinder().find(table, 'h', asked)).toBe(fits[0] === undefined ? null : `s${fits[0]}`)
  }))
})
