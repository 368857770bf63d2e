import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { isIP } from 'node:net'
import { expositionType } from './exposition.ts'

export interface MetricsListenerOptions {
  /** A loopback address: the config refuses any other. */
  readonly listen: { readonly host: string; readonly port: number }
  readonly text: () => Promise<string>
  readonly log: (level: 'info' | 'warn', event: string, fields: Record<string, unknown>) => void
}

export interface MetricsListener {
  /** Where it listens; null: the port is taken, and it is tried again. */
  readonly address: { readonly host: string; readonly port: number } | null
  /** Why not, where it does not listen. */
  readonly problem: string | null
  close(): Promise<void>
}

const limits = { connections: 16, receiveMs: 5_000, headerBytes: 8 * 1024, idleMs: 30_000 } as const
/** The port may still belong to the last agent, or to a gracer that is just ending. */
const againMs = 2_000

/**
 * Serves GET /metrics, and nothing else, to programs on this machine. A page in a browser on this machine is none of them:
 * a Host field that is no loopback name means that a foreign name was made to point here (DNS rebinding).
 */
export async function listenForMetrics(options: MetricsListenerOptions): Promise<MetricsListener> {
  const { listen, text, log } = options
  let current: Promise<string> | null = null
  /** Scrapes at the same time share one report. */
  const shared = (): Promise<string> => (current ??= text().finally(() => { current = null }))
  const server = createServer(
    { headersTimeout: limits.receiveMs, requestTimeout: limits.receiveMs, keepAliveTimeout: limits.idleMs, maxHeaderSize: limits.headerBytes, connectionsCheckingInterval: 1_000 },
    (request, response) => void answer(request, response, shared),
  )
  server.maxConnections = limits.connections
  server.on('clientError', (_error, socket) => socket.destroy())
  let retry: NodeJS.Timeout | null = null
  let closed = false
  let told = false
  let problem: string | null = null
  const begin = async (): Promise<void> => {
    const failure = await listenOn(server, listen)
    problem = failure === null ? null : failure.message
    if (failure === null) {
      const at = server.address()
      log('info', 'metrics.listening', { host: listen.host, port: typeof at === 'object' ? at?.port : listen.port })
      return
    }
    if (!told) log('warn', 'metrics.not-listening', { ...listen, error: failure.message, message: 'The figures cannot be served there; it is tried again. They are on the control socket all the same.' })
    told = true
    if (!closed) retry = setTimeout(() => void begin(), againMs)
  }
  await begin()
  return {
    get address() {
      const at = server.address()
      return typeof at === 'object' && at !== null ? { host: at.address, port: at.port } : null
    },
    get problem() {
      return problem
    },
    async close() {
      closed = true
      if (retry !== null) clearTimeout(retry)
      await new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
    },
  }
}

async function answer(request: IncomingMessage, response: ServerResponse, text: () => Promise<string>): Promise<void> {
  response.on('error', () => response.destroy())
  const plain = (status: number, words: string, fields: Record<string, string> = {}): void => {
    if (!request.complete) response.setHeader('connection', 'close')
    response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff', ...fields })
    response.end(request.method === 'HEAD' ? undefined : `${words}\n`)
  }
  if (!isLoopbackName(request.headers.host ?? '')) return plain(403, 'The Host field must name this machine: 127.0.0.1, [::1] or localhost.')
  if ((request.url ?? '').split('?', 1)[0] !== '/metrics') return plain(404, 'There is only /metrics.')
  if (request.method !== 'GET' && request.method !== 'HEAD') return plain(405, 'GET or HEAD.', { allow: 'GET, HEAD' })
  try {
    const body = await text()
    response.writeHead(200, { 'content-type': expositionType, 'content-length': Buffer.byteLength(body), 'cache-control': 'no-store' })
    response.end(request.method === 'HEAD' ? undefined : body)
  } catch {
    // Figures that are not there are not 0: no answer is better than one from which a counter seems to have begun again.
    plain(503, 'The master does not answer; try again.', { 'retry-after': '5' })
  }
}

/** `host` as in the Host field, with or without a port. */
export function isLoopbackName(host: string): boolean {
  const name = /^(\[[0-9a-fA-F:.]+\]|[^:]*)(?::\d{1,5})?$/.exec(host)?.[1]?.toLowerCase()
  return name !== undefined && (name === 'localhost' || isLoopbackAddress(name.replace(/^\[|\]$/g, '')))
}

/** 127.0.0.0/8 and ::1. */
export function isLoopbackAddress(address: string): boolean {
  return (isIP(address) === 4 && address.startsWith('127.')) || address === '::1'
}

function listenOn(server: Server, listen: { host: string; port: number }): Promise<Error | null> {
  return new Promise((resolve) => {
    const failed = (error: Error): void => resolve(error)
    server.once('error', failed)
    server.listen(listen.port, listen.host, () => {
      server.off('error', failed)
      server.on('error', () => {})
      resolve(null)
    })
  })
}
