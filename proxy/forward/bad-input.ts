import type { FrontReply } from './refusal.ts'

interface ParserError extends Error {
  readonly code?: string
  readonly rawPacket?: Buffer
}

const malformed: FrontReply = { status: 400, code: 'malformed', reason: 'The request is not well-formed HTTP.' }
const tooLong: FrontReply = { status: 414, code: 'target-too-long', reason: 'The request target is too long.' }
const tooLarge: FrontReply = { status: 431, code: 'fields-too-large', reason: 'The header fields are too large.' }
const extensionTooLarge: FrontReply = { status: 413, code: 'chunk-extension', reason: 'A chunk extension is too large.' }
const tooSlow: FrontReply = { status: 408, code: 'head-too-slow', reason: 'The head of the request took too long to arrive.' }

/** The reply to what Node's parser refuses; null where nobody waits for one, because the connection broke. */
export function replyToBadInput(error: ParserError): FrontReply | null {
  switch (error.code) {
    case 'HPE_INVALID_EOF_STATE': return null // FIN in the middle of a message: the client has given up
    case 'HPE_HEADER_OVERFLOW': return endsInTarget(error.rawPacket) ? tooLong : tooLarge
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW': return extensionTooLarge
    case 'ERR_HTTP_REQUEST_TIMEOUT': return tooSlow
    default: return error.code?.startsWith('HPE_') === true ? malformed : null
  }
}

/** Whether the limit was met inside the request line. As far as this packet shows: a 414 is a courtesy, 431 is right as well. */
function endsInTarget(packet: Buffer | undefined): boolean {
  if (packet === undefined) return false
  const start = packet.toString('latin1', 0, 16_384)
  return /^[A-Z-]+ \/[^\r\n ]*$/.test(start)
}
