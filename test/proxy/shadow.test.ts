import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, it } from 'vitest'
import type { CanaryRoute } from '../../proxy/canary/route.ts'
import type { ShadowCopy, ShadowNews } from '../../proxy/canary/shadow.ts'
import { Shadow, type Shadowed } from '../../proxy/worker/shadow.ts'
import { until } from '../support/deadline.ts'

const servers: Server[] = []

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
  }
})

/** A release that answers so, and a worker's shadow that copies to it. */
async function shadow(answer: RequestListener, share = 1) {
  const seen: IncomingMessage[] = []
  const server = createServer((req, res) => {
    seen.push(req)
    answer(req, res)
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const target: CanaryRoute['target'] = { release: 'shop/v2', host: '127.0.0.1', port: (server.address() as AddressInfo).port, healthy: true }
  const route: CanaryRoute = { target, share: 0, phase: 1, salt: 's', secret: '', key: null, sticky: 'none', names: { canary: [], stable: [] }, allow: [], slowMs: null, timedFromMs: 0, shadow: share }
  const news: ShadowNews[] = []
  const made = new Shadow({ send: (one) => news.push(one), random: () => 0.5 })
  const copy = (path = '/page?a=b'): Shadowed | null => made.begin(route, () => ({ path, fields: { 'Host': 'shop', 'X-Two': ['a', 'b'] } }))
  const told = (): ShadowCopy[] => news.flatMap((one) => one.copies)
  return { seen, news, copy, told, server }
}

it('sends a copy as the release would have got it, marked as one, and tells status and time of both', async () => {
  const { seen, copy, told, news } = await shadow((_req, res) => res.writeHead(503).end('thrown away'))
  copy()?.answered(200, 3)
  await until('the copy to be told of', () => told().length === 1)
  expect(seen.map((req) => [req.method, req.url, req.headers.host, req.headers['x-two'], req.headers['gracer-shadow']])).toEqual([['GET', '/page?a=b', 'shop', 'a, b', '1']])
  expect(told()).toEqual([{ live: { status: 200, ms: 3 }, copy: { status: 503, ms: expect.any(Number) as number } }])
  expect(news[0]).toMatchObject({ release: 'shop/v2', skipped: 0 })
})

it('tells of a copy that gets no reply, and of none whose own request got none', async () => {
  const { copy, told, server, seen } = await shadow((req) => void req.socket.destroy())
  copy()?.gone()
  await until('the first copy', () => seen.length === 1)
  copy()?.answered(200, 1)
  await until('a copy to be told of', () => told().length === 1)
  server.close()
  // Nobody is there any more.
  copy()?.answered(404, 1)
  await until('another one', () => told().length === 2)
  expect(told().map((one) => [one.live.status, one.copy.status])).toEqual([[200, null], [404, null]])
})

it('copies no more than its share, and no more than so many at once, and says so', async () => {
  const { copy: never } = await shadow(() => {}, 0.5)
  expect(never()).toBeNull()
  const held: (() => void)[] = []
  const { copy, told, news } = await shadow((_req, res) => void held.push(() => res.end()))
  const begun = Array.from({ length: 20 }, () => copy())
  expect(begun.filter((one) => one === null)).toHaveLength(4)
  for (const one of begun) one?.answered(200, 1)
  await until('all to be there', () => held.length === 16)
  for (const release of held) release()
  await until('all to be told of', () => told().length === 16)
  expect(news.reduce((sum, one) => sum + one.skipped, 0)).toBe(4)
  // There is room again.
  expect(copy()).not.toBeNull()
})
