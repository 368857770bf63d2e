import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'

import { GracerError } from '../gracer-error.ts'
import { currentProgram } from './current.ts'
import { upgradeReply } from './upgradable.ts'

/** Below this a token is guessed. */
const shortestToken = 16

export interface UpgradeHandlerOptions {
  /** What a caller must say in `Authorization: Bearer TOKEN`: 16 characters at least, as `openssl rand -hex 32` makes. None at all is refused. */
  readonly token: string | undefined
}

/**
 * A request handler to mount in the program's own routes. POST with the token upgrades this program and answers with
 * JSON: 200 and `{ pid, generation }`, or 409 (busy) or 500 and `{ code, reason, lines, hint }`. To anybody without the
 * token it is a 404 like any other. Throws GracerError 'token-missing'.
 */
export function upgradeHandler(options: UpgradeHandlerOptions): (request: IncomingMessage, response: ServerResponse) => void {
  const { token } = options
  if (typeof token !== 'string' || token.length < shortestToken) {
    throw new GracerError(`upgradeHandler: the token must be a text of at least ${shortestToken} characters`, {
      code: 'token-missing',
      exitCode: 2,
      hint: 'Make one with "openssl rand -hex 32" and hand it to the program in its environment.',
    })
  }
  const expected = digest(token)
  return (request, response) => {
    request.resume()
    response.on('error', () => {})
    if (!timingSafeEqual(digest(tokenOf(request)), expected)) return send(response, 404, { code: 'not-found', reason: 'not found' })
    if (request.method !== 'POST') {
      response.setHeader('Allow', 'POST')
      return send(response, 405, { code: 'method', reason: 'an upgrade is asked for with POST' })
    }
    const program = currentProgram()
    if (program === undefined) return send(response, 503, { code: 'not-serving', reason: 'this program is not run by serve()' })
    void upgradeReply(program).then(({ status, body }) => send(response, status, body))
  }
}

/** Digests have one length: comparing them tells nothing of the token's. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

function tokenOf(request: IncomingMessage): string {
  return /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? ''
}

function send(response: ServerResponse, status: number, body: object): void {
  const text = `${JSON.stringify(body)}\n`
  response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text), 'Cache-Control': 'no-store' }).end(text)
}
