import { createHash } from 'node:crypto'
import { request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { handOver, handOverAgent, type UpstreamListener } from './hand-over.ts'
import type { Fields } from './request-fields.ts'
import { switchedFields } from './reply-fields.ts'

const guid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/** Sends a WebSocket handshake over `socket`; http-proxy's ws() is not used, because it pipes and so cannot be ended in order. */
export function sendHandshake(fields: Fields, path: string, socket: Socket, listener: UpstreamListener): ClientRequest {
  return handOver.lend(socket, path, listener, () => {
    const request = httpRequest({ method: 'GET', path: '/', headers: fields, agent: handOverAgent })
    request.on('error', () => {}) // heard by the listener too
    request.end()
  })
}

/** Why a 101 is not the answer to this handshake (RFC 6455 4.1); null: it is. */
export function switchFault(req: IncomingMessage, incoming: IncomingMessage): string | null {
  const { headers } = incoming
  if (incoming.statusCode !== 101) return 'its status is not 101'
  if (headers.upgrade?.toLowerCase() !== 'websocket') return 'it switches to something else than websocket'
  if (!/(?:^|,)\s*upgrade\s*(?:,|$)/i.test(headers.connection ?? '')) return 'its Connection field does not say Upgrade'
  const key = req.headers['sec-websocket-key'] ?? ''
  if (headers['sec-websocket-accept'] !== createHash('sha1').update(key + guid).digest('base64')) return 'its Sec-WebSocket-Accept is wrong'
  const chosen = headers['sec-websocket-protocol']
  if (chosen !== undefined) {
    const offered = String(req.headers['sec-websocket-protocol'] ?? '').split(',').map((one) => one.trim())
    if (!offered.includes(chosen)) return 'its Sec-WebSocket-Protocol was not offered'
  }
  return null
}

/** The 101 for the client, as latin1 text. */
export function switchedHead(incoming: IncomingMessage): string {
  const fields = switchedFields(incoming.rawHeaders)
  let head = `HTTP/1.1 101 ${incoming.statusMessage || 'Switching Protocols'}\r\n`
  for (let at = 0; at < fields.length; at += 2) head += `${fields[at]}: ${fields[at + 1]}\r\n`
  return `${head}\r\n`
}
