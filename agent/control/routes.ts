import type { IncomingMessage, ServerResponse } from 'node:http'
import { z } from 'zod'
import { GracerError } from '../../inherit/gracer-error.ts'
import { expositionType } from '../metrics/exposition.ts'
import { canaryRoutes } from './canary-routes.ts'
import { readBody, requestError, sendJson } from './exchange.ts'
import { EventStream } from './event-stream.ts'
import type { ControlEvent, ControlHandlers } from './handlers.ts'
import { controlSchema } from './shapes.ts'
import type { SwapRequest } from './shapes.ts'

/** One request that found its route. */
export interface Call {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly query: URLSearchParams
  /** What the pattern's names matched, decoded. */
  readonly names: ReadonlyMap<string, string>
}

export interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** As in shapes.ts; a segment in capitals takes any text. */
  readonly path: string
  readonly query: readonly string[]
  run(call: Call, handlers: ControlHandlers): Promise<void> | void
}

const longText = z.string().min(1).max(4096)
const swapBody: z.ZodType<SwapRequest> = z.strictObject({
  target: longText.exactOptional(),
  supersede: z.boolean().exactOptional(),
  timeoutMs: z.int().min(1).max(24 * 3_600_000).exactOptional(),
  dryRun: z.boolean().exactOptional(),
  canary: z.union([z.number().min(0).max(1).refine((share) => share < 1), z.literal('none')]).exactOptional(),
})
const pauseBody = z.strictObject({ forMs: z.int().min(1).max(24 * 3_600_000) })
const rollbackBody = z.strictObject({ release: longText.optional() })
const upgradeBody = z.strictObject({ root: longText })
const emptyBody = z.strictObject({})

const routes: readonly Route[] = [
  ...canaryRoutes,
  {
    method: 'GET', path: '/v1/status', query: [],
    async run(call, handlers) {
      sendJson(call.response, 200, await handlers.status())
    },
  },
  {
    method: 'GET', path: '/v1/history', query: ['service', 'n'],
    async run(call, handlers) {
      const receipts = await handlers.history(serviceOf(call), numberOf(call, 'n', 20))
      sendJson(call.response, 200, { schema: controlSchema, receipts })
    },
  },
  {
    method: 'GET', path: '/v1/explain', query: ['service', 'release'],
    async run(call, handlers) {
      sendJson(call.response, 200, await handlers.explain(serviceOf(call), call.query.get('release')))
    },
  },
  {
    method: 'GET', path: '/v1/logs', query: ['service', 'release', 'since'],
    async run(call, handlers) {
      const place = await handlers.logs(serviceOf(call), call.query.get('release'), timeOf(call))
      sendJson(call.response, 200, { schema: controlSchema, ...place })
    },
  },
  {
    method: 'GET', path: '/v1/events', query: [],
    run(call, handlers) {
      const stream = new EventStream(call.response)
      stream.open()
      stream.onGone(handlers.events((event) => stream.send(event)))
    },
  },
  {
    method: 'POST', path: '/v1/services/NAME/swap', query: [],
    async run(call, handlers) {
      const body = await readBody(call.request, swapBody)
      await streamed(call, (listener) => handlers.swap(named(call, 'NAME'), body, listener))
    },
  },
  {
    method: 'POST', path: '/v1/services/NAME/pause', query: [],
    async run(call, handlers) {
      const { forMs } = await readBody(call.request, pauseBody)
      sendJson(call.response, 200, await handlers.pause(named(call, 'NAME'), forMs))
    },
  },
  {
    method: 'POST', path: '/v1/services/NAME/resume', query: [],
    async run(call, handlers) {
      await readBody(call.request, emptyBody)
      sendJson(call.response, 200, await handlers.resume(named(call, 'NAME')))
    },
  },
  {
    method: 'POST', path: '/v1/services/NAME/rollback', query: [],
    async run(call, handlers) {
      const body = await readBody(call.request, rollbackBody)
      await streamed(call, (listener) => handlers.rollback(named(call, 'NAME'), body.release ?? null, listener))
    },
  },
  {
    method: 'POST', path: '/v1/services/NAME/restart', query: [],
    async run(call, handlers) {
      await readBody(call.request, emptyBody)
      await streamed(call, (listener) => handlers.restart(named(call, 'NAME'), listener))
    },
  },
  {
    method: 'DELETE', path: '/v1/services/NAME/swap/RELEASE', query: [],
    async run(call, handlers) {
      sendJson(call.response, 200, await handlers.undo(named(call, 'NAME'), named(call, 'RELEASE')))
    },
  },
  {
    method: 'POST', path: '/v1/down', query: [],
    async run(call, handlers) {
      await readBody(call.request, emptyBody)
      await handlers.down()
      sendJson(call.response, 200, { schema: controlSchema, ok: true })
    },
  },
  {
    method: 'POST', path: '/v1/reload', query: [],
    async run(call, handlers) {
      await readBody(call.request, emptyBody)
      sendJson(call.response, 200, { schema: controlSchema, change: await handlers.reload() })
    },
  },
  {
    method: 'GET', path: '/v1/upgrade', query: [],
    run(call, handlers) {
      sendJson(call.response, 200, { schema: controlSchema, report: handlers.upgradeReport() })
    },
  },
  {
    method: 'POST', path: '/v1/upgrade', query: [],
    async run(call, handlers) {
      const { root } = await readBody(call.request, upgradeBody)
      sendJson(call.response, 202, { schema: controlSchema, report: await handlers.upgrade(root) })
    },
  },
  {
    method: 'GET', path: '/metrics', query: [],
    async run(call, handlers) {
      const text = await handlers.metrics()
      call.response.writeHead(200, { 'content-type': expositionType, 'content-length': Buffer.byteLength(text) })
      call.response.end(text)
    },
  },
]

/** Finds the route of a request and runs it. @throws GracerError, for sendError */
export async function route(request: IncomingMessage, response: ServerResponse, handlers: ControlHandlers): Promise<void> {
  const target = request.url ?? ''
  const cut = target.indexOf('?')
  const path = cut === -1 ? target : target.slice(0, cut)
  const query = new URLSearchParams(cut === -1 ? '' : target.slice(cut + 1))
  const onPath = routes.flatMap((candidate) => {
    const names = match(candidate.path, path)
    return names === null ? [] : [{ candidate, names }]
  })
  if (onPath.length === 0) {
    throw requestError(404, 'no-such-path', `there is no ${path.slice(0, 200)}`, `There is: ${routes.map(({ method, path: known }) => `${method} ${known}`).join(', ')}`)
  }
  const found = onPath.find(({ candidate }) => candidate.method === request.method)
  if (found === undefined) {
    const allowed = onPath.map(({ candidate }) => candidate.method).join(', ')
    response.setHeader('allow', allowed)
    throw requestError(405, 'wrong-method', `${path} takes ${allowed}, got ${request.method ?? 'nothing'}`)
  }
  const unknown = [...query.keys()].find((key) => !found.candidate.query.includes(key))
  if (unknown !== undefined) throw requestError(400, 'bad-request', `${path} takes no parameter ${JSON.stringify(unknown.slice(0, 100))}`)
  await found.candidate.run({ request, response, query, names: found.names }, handlers)
}

function match(pattern: string, path: string): ReadonlyMap<string, string> | null {
  const wanted = pattern.split('/')
  const given = path.split('/')
  if (wanted.length !== given.length) return null
  const names = new Map<string, string>()
  for (const [index, segment] of wanted.entries()) {
    const text = given[index] ?? ''
    if (!/^[A-Z]+$/.test(segment)) {
      if (segment !== text) return null
      continue
    }
    try {
      names.set(segment, decodeURIComponent(text))
    } catch {
      return null
    }
    if (text === '') return null
  }
  return names
}

function named(call: Call, name: string): string {
  return call.names.get(name) ?? ''
}

function serviceOf(call: Call): string {
  return call.query.get('service') ?? 'default'
}

/** `since`, ms since 1970; null where it is not asked for. */
function timeOf(call: Call): number | null {
  const text = call.query.get('since')
  if (text === null) return null
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw requestError(400, 'bad-request', `since: expected milliseconds since 1970, got ${JSON.stringify(text.slice(0, 60))}`)
}

function numberOf(call: Call, key: string, fallback: number): number {
  const text = call.query.get(key)
  if (text === null) return fallback
  if (/^[1-9]\d{0,4}$/.test(text)) return Number(text)
  throw requestError(400, 'bad-request', `${key}: expected a whole number from 1 to 99999, got ${JSON.stringify(text.slice(0, 60))}`)
}

/** Runs an order whose answer is a stream: its head goes out with the first event, so that a refusal can still be a status. */
async function streamed(call: Call, order: (listener: (event: ControlEvent) => void) => void | Promise<void>): Promise<void> {
  const stream = new EventStream(call.response)
  try {
    await order((event) => {
      stream.open()
      stream.send(event)
      if (event.kind === 'outcome') stream.end()
    })
  } catch (error) {
    if (!stream.opened) throw error
    stream.fail(error instanceof GracerError ? error : new GracerError('the agent failed within this order', { code: 'internal', cause: error }))
    if (!(error instanceof GracerError)) throw error
  }
}
