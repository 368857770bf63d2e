import { request as httpRequest } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { GracerError } from '../../inherit/gracer-error.ts'
import { fitsSocket } from '../state-folder.ts'
import type { ErrorBody } from './shapes.ts'

export type Method = 'GET' | 'POST' | 'DELETE'

export interface ControlClient {
  /**
   * One order and its answer. @throws GracerError as the agent words it, 'no-agent' (exit 3) where none answers
   * within 2 s, 'agent-gone' (exit 3) where it vanishes in mid-answer.
   */
  request<T>(method: Method, path: string, body?: unknown): Promise<T>
  /** An answer of one JSON document a line. Ending the iteration early closes the connection. Throws as request() does. */
  stream<T>(method: Method, path: string, body?: unknown, signal?: AbortSignal): AsyncGenerator<T, void, void>
}

/** An agent that was killed is back within this; until then a missing socket is no error. */
const patienceMs = 2_000
const retryMs = 50
const longestLine = 8 * 1024 * 1024

/** `whyAway` is asked what to do next when no agent answers; null: it does not know better. */
export function controlClient(socketPath: string, whyAway: () => string | null = () => null): ControlClient {
  async function send(method: Method, path: string, body: unknown, signal?: AbortSignal): Promise<IncomingMessage> {
    const socket = await connectPatiently(socketPath, signal, whyAway)
    return await exchange(socket, method, path, body, signal)
  }
  return {
    async request<T>(method: Method, path: string, body?: unknown) {
      const response = await send(method, path, body)
      return parse(await textOf(response)) as T
    },
    async *stream<T>(method: Method, path: string, body?: unknown, signal?: AbortSignal) {
      const response = await send(method, path, body, signal)
      try {
        for await (const line of linesOf(response)) {
          const value = parse(line)
          if (isErrorBody(value)) throw errorFrom(value)
          yield value as T
        }
      } finally {
        response.destroy()
      }
    },
  }
}

async function connectPatiently(path: string, signal: AbortSignal | undefined, whyAway: () => string | null): Promise<Socket> {
  const deadline = performance.now() + patienceMs
  for (;;) {
    const socket = await tryConnect(path)
    if (typeof socket !== 'string') return socket
    if (socket === 'EACCES' || socket === 'EPERM') {
      throw new GracerError(`the control socket ${path} belongs to another user`, { code: 'no-agent', exitCode: 3, hint: 'Run this as the user who runs gracer up.' })
    }
    if (performance.now() >= deadline) {
      throw new GracerError(`no agent answers on ${path} (${socket})`, { code: 'no-agent', exitCode: 3, hint: whyAway() ?? 'Start one with "gracer up", or name its state folder: --state DIR.' })
    }
    await delay(retryMs, undefined, signal === undefined ? {} : { signal })
  }
}

/** A connected socket, or the error's code. */
function tryConnect(path: string): Promise<Socket | string> {
  // The kernel would be given the first bytes of it, which may name another socket.
  if (!fitsSocket(path)) return Promise.resolve('ENAMETOOLONG')
  return new Promise((resolve) => {
    const socket = connect(path)
    const failed = (error: NodeJS.ErrnoException): void => resolve(error.code ?? 'unknown error')
    socket.on('error', failed)
    socket.once('connect', () => resolve(socket))
  })
}

function exchange(socket: Socket, method: Method, path: string, body: unknown, signal: AbortSignal | undefined): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : JSON.stringify(body)
    const headers = { host: 'gracer', connection: 'close', ...(text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }) }
    const request = httpRequest({ createConnection: () => socket, method, path, headers, ...(signal === undefined ? {} : { signal }) })
    request.on('error', (cause) => reject(signal?.aborted === true ? cause : gone(cause)))
    request.on('response', (response) => {
      if ((response.statusCode ?? 500) < 400) return resolve(response)
      textOf(response).then((answer) => {
        const value = parse(answer)
        reject(isErrorBody(value) ? errorFrom(value) : new GracerError(`the agent answered ${response.statusCode ?? 0}`, { code: 'bad-answer' }))
      }, reject)
    })
    request.end(text)
  })
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk)
  } catch (cause) {
    throw gone(cause)
  }
  return Buffer.concat(chunks).toString('utf8')
}

async function* linesOf(response: IncomingMessage): AsyncGenerator<string, void, void> {
  let rest = ''
  response.setEncoding('utf8')
  try {
    for await (const chunk of response as AsyncIterable<string>) {
      rest += chunk
      const lines = rest.split('\n')
      rest = lines.pop() ?? ''
      if (rest.length > longestLine) throw new GracerError('the agent sent a line without end', { code: 'bad-answer' })
      for (const line of lines) if (line !== '') yield line
    }
  } catch (cause) {
    throw cause instanceof GracerError ? cause : gone(cause)
  }
}

function gone(cause: unknown): GracerError {
  return new GracerError('the agent went away before its answer was whole', { code: 'agent-gone', exitCode: 3, cause, hint: '"gracer status" shows what is live, "gracer explain" what became of the order.' })
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch (cause) {
    throw new GracerError('the agent answered with something that is no JSON', { code: 'bad-answer', cause })
  }
}

function isErrorBody(value: unknown): value is ErrorBody {
  return typeof value === 'object' && value !== null && 'error' in value && typeof value.error === 'object' && value.error !== null && 'exitCode' in value.error
}

function errorFrom({ error }: ErrorBody): GracerError {
  return new GracerError(error.message, { code: error.code, exitCode: error.exitCode, ...(error.hint === null ? {} : { hint: error.hint }) })
}
