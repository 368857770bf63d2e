import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import type { Socket } from 'node:net'
import type ProxyServer from 'http-proxy'
import { handOver, handOverAgent, type UpstreamListener } from './hand-over.ts'
import type { Fields } from './request-fields.ts'

/**
 * The only module that knows http-proxy. It is used for one thing: making the http.request and piping the client's body
 * into it, with a socket that is connected already. Everything else about it is guarded here or written elsewhere;
 * test/forward/conformance.test.ts is the list.
 */
const proxy = loadHttpProxy().createProxyServer({
  // Never dialled: the agent hands over a socket.
  target: { protocol: 'http:', host: '127.0.0.1', port: 80 },
  agent: handOverAgent,
  selfHandleResponse: true,
  toProxy: true, // takes req.url as it is; the other way runs it through url.parse
  prependPath: false,
})
// Each request has its own error listener by way of the agent; without one here http-proxy would throw as well.
proxy.on('error', () => {})
dropPass('deleteLength')

/**
 * Sends a client's request over `socket`: `fields` instead of its own, its body piped as it comes, its trailers too.
 * May be called again with another socket for a request without a body.
 */
export function sendRequest(
  req: IncomingMessage, res: ServerResponse, fields: Fields, path: string, socket: Socket, listener: UpstreamListener,
): ClientRequest {
  req.headers = fields as IncomingMessage['headers']
  return handOver.lend(socket, path, listener, () => proxy.web(req, res))
}

/** deleteLength takes the framing off a DELETE with a chunked body: the body then runs as a request of its own. */
function dropPass(name: string): void {
  const passes = proxy as unknown as { webPasses: ((...args: unknown[]) => unknown)[] }
  const kept = passes.webPasses.filter((pass) => pass.name !== name)
  if (kept.length === passes.webPasses.length) throw new Error(`http-proxy has no pass called ${name} any more.`)
  passes.webPasses = kept
}

/**
 * http-proxy keeps a reference to util._extend when it is loaded and calls it for every request: deprecated (DEP0060),
 * with a warning from Node 22 on. It gets Object.assign under that name, only while it loads.
 */
function loadHttpProxy(): typeof ProxyServer {
  const require = createRequire(import.meta.url)
  const util = require('node:util') as { _extend?: unknown }
  const before = Object.getOwnPropertyDescriptor(util, '_extend')
  Object.defineProperty(util, '_extend', { value: Object.assign, configurable: true, writable: true, enumerable: true })
  try {
    return require('http-proxy') as typeof ProxyServer
  } finally {
    if (before === undefined) delete util._extend
    else Object.defineProperty(util, '_extend', before)
  }
}
