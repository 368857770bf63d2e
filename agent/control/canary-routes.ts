import { z } from 'zod'
import { nameAllowed } from '../drops/name.ts'
import { readBody, sendJson } from './exchange.ts'
import type { Route } from './routes.ts'

const orderBody = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('set'), share: z.number().min(0).max(1) }),
  z.strictObject({ type: z.literal('pause') }),
  z.strictObject({ type: z.literal('resume') }),
  z.strictObject({ type: z.literal('promote') }),
  z.strictObject({ type: z.literal('abort') }),
])

const tokenBody = z.strictObject({
  wish: z.string().refine(nameAllowed, { error: 'expected canary, stable, or a release by its name or number' }),
  forMs: z.int().min(1_000).max(365 * 24 * 3_600_000),
})

/** The orders about a canary; see shapes.ts. */
export const canaryRoutes: readonly Route[] = [
  {
    method: 'GET', path: '/v1/services/NAME/canary', query: [],
    async run(call, handlers) {
      sendJson(call.response, 200, await handlers.canary(call.names.get('NAME') ?? ''))
    },
  },
  {
    method: 'POST', path: '/v1/services/NAME/canary', query: [],
    async run(call, handlers) {
      const order = await readBody(call.request, orderBody)
      sendJson(call.response, 200, await handlers.orderCanary(call.names.get('NAME') ?? '', order))
    },
  },
  {
    method: 'POST', path: '/v1/services/NAME/canary/token', query: [],
    async run(call, handlers) {
      const { wish, forMs } = await readBody(call.request, tokenBody)
      sendJson(call.response, 200, await handlers.canaryToken(call.names.get('NAME') ?? '', wish, forMs))
    },
  },
]
