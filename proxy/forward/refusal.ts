import { STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http'
import type { RenderBody } from '../visit.ts'

/** A reply that the front writes itself. */
export interface FrontReply {
  readonly status: number
  /** Stable and kebab-case: for a program to match on. */
  readonly code: string
  /** One sentence for a person. */
  readonly reason: string
  readonly retryAfterSeconds?: number | null
  readonly render?: RenderBody
}

/**
 * Writes a refusal: plain text, or JSON where the Accept field prefers it; no-store, since it says what is so now.
 * What still comes of the request is thrown away; whether the connection is kept is for the caller to say beforehand.
 */
export function writeRefusal(req: IncomingMessage, res: ServerResponse, reply: FrontReply, requestId: string): void {
  const accept = acceptOf(req)
  const body = reply.render?.(accept, req.method ?? '') ?? refusalBody(reply, requestId, prefersJson(accept))
  const fields = [
    'Content-Type', body.type,
    'Content-Length', String(Buffer.byteLength(body.text)),
    'Cache-Control', 'no-store',
  ]
  if (reply.retryAfterSeconds !== undefined && reply.retryAfterSeconds !== null) fields.push('Retry-After', String(reply.retryAfterSeconds))
  if (reply.status === 405) fields.push('Allow', 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS')
  res.writeHead(reply.status, STATUS_CODES[reply.status] ?? '', fields)
  res.end(body.text)
  req.resume()
}

/** The same reply as bytes for a connection whose input no parser could read: HTTP/1.1, closing. */
export function rawRefusal(reply: FrontReply, requestId: string): string {
  const { type, text } = refusalBody(reply, requestId, false)
  return `HTTP/1.1 ${reply.status} ${STATUS_CODES[reply.status] ?? ''}\r\nContent-Type: ${type}\r\nContent-Length: ${Buffer.byteLength(text)}\r\n`
    + `Cache-Control: no-store\r\n${retryAfter(reply)}Connection: close\r\n\r\n${text}`
}

function retryAfter({ retryAfterSeconds }: FrontReply): string {
  return retryAfterSeconds === undefined || retryAfterSeconds === null ? '' : `Retry-After: ${retryAfterSeconds}\r\n`
}

function refusalBody(reply: FrontReply, requestId: string, json: boolean): { type: string; text: string } {
  if (json) {
    const error = { status: reply.status, code: reply.code, message: reply.reason, requestId }
    return { type: 'application/json', text: `${JSON.stringify({ error })}\n` }
  }
  const title = `${reply.status} ${STATUS_CODES[reply.status] ?? ''}`
  return { type: 'text/plain; charset=utf-8', text: `${title}\n\n${reply.reason}\n\ncode: ${reply.code}\nrequest: ${requestId}\n` }
}

/** By the raw fields: once a request was sent, `req.headers` holds what the upstream got. */
function acceptOf(req: IncomingMessage): string {
  const at = req.rawHeaders.findIndex((name, index) => index % 2 === 0 && name.toLowerCase() === 'accept')
  return at === -1 ? '' : (req.rawHeaders[at + 1] ?? '')
}

/** Does an Accept field name JSON before any text? */
export function prefersJson(accept: string): boolean {
  const json = accept.search(/application\/(?:[a-z0-9.+-]*\+)?json/i)
  const text = accept.search(/text\/(?:html|plain)/i)
  return json !== -1 && (text === -1 || json < text)
}
