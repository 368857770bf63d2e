import { chmodSync, lstatSync, mkdirSync, renameSync, rmSync, unlinkSync } from 'node:fs'
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { dirname, join } from 'node:path'
import { GracerError } from '../../inherit/gracer-error.ts'
import { fitsSocket } from '../state-folder.ts'
import { errorBody, requestError, sendError } from './exchange.ts'
import type { ControlHandlers, ControlLog } from './handlers.ts'
import { route } from './routes.ts'

export interface ControlServerOptions {
  /** At most 107 bytes; see fitsSocket in state-folder.ts. */
  readonly socketPath: string
  readonly handlers: ControlHandlers
  readonly log: ControlLog
  /** A request must have arrived within this; default 10 s, looked at once a second. */
  readonly receiveMs?: number
}

export interface ControlServer {
  /** Stops listening, unlinks the socket where it is still ours, and cuts what is connected. */
  close(): Promise<void>
}

const limits = { connections: 100, receiveMs: 10_000, headerBytes: 16 * 1024, idleMs: 5_000 } as const

/**
 * Serves the control protocol (shapes.ts) on a unix socket, 0600 in a folder 0700. It is bound under another name and
 * renamed: a stale socket is replaced in one step, and nobody can connect before its mode is set.
 * @throws GracerError 'control-socket' where it cannot be bound.
 */
export async function startControlServer(options: ControlServerOptions): Promise<ControlServer> {
  const { socketPath, handlers, log, receiveMs = limits.receiveMs } = options
  const server = createServer(
    {
      headersTimeout: receiveMs,
      requestTimeout: receiveMs,
      keepAliveTimeout: limits.idleMs,
      maxHeaderSize: limits.headerBytes,
      // Node looks for overdue requests only so often, by default every 30 s.
      connectionsCheckingInterval: 1_000,
    },
    (request, response) => {
      response.on('error', () => response.destroy())
      route(request, response, handlers).catch((error: unknown) => {
        if (!(error instanceof GracerError)) log.error({ event: 'control.failed', path: request.url, err: error }, 'an order on the control socket failed')
        // What is left of a body that was refused is not read.
        if (!request.complete) response.setHeader('connection', 'close')
        sendError(response, error)
      })
    },
  )
  server.maxConnections = limits.connections
  server.on('clientError', refuseGarbage)

  // No longer than the final name, and of this process alone: closing removes the name it was bound under.
  const boundAs = join(dirname(socketPath), `c${process.pid.toString(36)}.tmp`)
  try {
    if (!fitsSocket(socketPath) || !fitsSocket(boundAs)) throw Object.assign(new Error('the path is too long for a socket'), { code: 'ENAMETOOLONG' })
    mkdirSync(dirname(socketPath), { recursive: true, mode: 0o700 })
    rmSync(boundAs, { force: true })
    await listen(server, boundAs)
    chmodSync(boundAs, 0o600)
    renameSync(boundAs, socketPath)
  } catch (cause) {
    server.close()
    throw new GracerError(`the control socket ${socketPath} cannot be bound (${(cause as NodeJS.ErrnoException).code ?? String(cause)})`, { code: 'control-socket', cause })
  }
  server.on('error', (error) => log.error({ event: 'control.error', err: error }, 'the control socket reports an error'))
  const { dev, ino } = lstatSync(socketPath)

  return {
    async close() {
      const now = lstatSync(socketPath, { throwIfNoEntry: false })
      if (now?.dev === dev && now.ino === ino) unlinkSync(socketPath)
      await new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
    },
  }
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/** What is no HTTP, too large a head, or too slow gets an answer in words, then its connection is closed. */
function refuseGarbage(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable) return void socket.destroy()
  const [status, reason, message] = answerTo(error.code)
  const body = `${JSON.stringify(errorBody(requestError(status, 'bad-request', message)))}\n`
  socket.end(`HTTP/1.1 ${status} ${reason}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`, () => socket.destroy())
}

function answerTo(code: string | undefined): readonly [number, string, string] {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return [408, 'Request Timeout', 'the request did not arrive in time']
  if (code === 'HPE_HEADER_OVERFLOW') return [431, 'Request Header Fields Too Large', `the head holds at most ${limits.headerBytes} bytes`]
  return [400, 'Bad Request', 'this is no HTTP request']
}
