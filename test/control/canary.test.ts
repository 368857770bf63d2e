import { expect, it } from 'vitest'
import { controlClient } from '../../agent/control/client.ts'
import type { CanaryAnswer, CanaryToken } from '../../agent/control/shapes.ts'
import type { GracerError } from '../../inherit/gracer-error.ts'
import { serve } from './support.ts'

it('takes the orders about a canary, and refuses what is none before anybody sees it', async () => {
  const seen: unknown[] = []
  const { socketPath } = await serve({
    orderCanary: (service, order) => {
      seen.push([service, order])
      return { schema: 1, service, live: 'blue', message: 'done', canary: null }
    },
  })
  const client = controlClient(socketPath)
  const path = '/v1/services/api/canary'
  expect(await client.request<CanaryAnswer>('GET', path)).toMatchObject({ service: 'api', live: 'blue', canary: null })
  const orders = [{ type: 'set', share: 0.05 }, { type: 'set', share: 0 }, { type: 'pause' }, { type: 'resume' }, { type: 'promote' }, { type: 'abort' }]
  for (const order of orders) expect(await client.request<CanaryAnswer>('POST', path, order)).toMatchObject({ message: 'done' })
  expect(seen).toEqual(orders.map((order) => ['api', order]))
  for (const bad of [{}, { type: 'stop' }, { type: 'set' }, { type: 'set', share: 1.01 }, { type: 'set', share: -0.1 }, { type: 'set', share: '5' }, { type: 'pause', share: 1 }]) {
    await expect(client.request('POST', path, bad), JSON.stringify(bad)).rejects.toMatchObject({ code: 'bad-request', exitCode: 2 } satisfies Partial<GracerError>)
  }
  expect(seen).toHaveLength(orders.length)
  for (const share of [1, 1.5, -0.1, '5', 'all']) {
    await expect(client.request('POST', '/v1/services/api/swap', { canary: share }), String(share)).rejects.toMatchObject({ exitCode: 2 })
  }
})

it('signs overrides for what can be a release, and for a while', async () => {
  const { socketPath } = await serve()
  const client = controlClient(socketPath)
  expect(await client.request<CanaryToken>('POST', '/v1/services/api/canary/token', { wish: 'v12', forMs: 60_000 })).toMatchObject({ wish: 'v12' })
  for (const bad of [{ wish: 'a b', forMs: 60_000 }, { wish: 'canary\r\nx: y', forMs: 60_000 }, { wish: 'canary', forMs: 0 }, { wish: 'canary' }]) {
    await expect(client.request('POST', '/v1/services/api/canary/token', bad), JSON.stringify(bad)).rejects.toMatchObject({ exitCode: 2 })
  }
})
