import type { IncomingMessage, ServerResponse } from 'node:http'
import type { z } from 'zod'
import { GracerError } from '../../inherit/gracer-error.ts'
import { controlSchema } from './shapes.ts'
import type { ErrorBody } from './shapes.ts'

const largestBody = 64 * 1024

/** A fault of the request itself, with its own HTTP status. */
class RequestError extends GracerError {
  readonly status: number
  constructor(status: number, message: string, code: string, hint: string | undefined) {
    super(message, { code, exitCode: 2, ...(hint === undefined ? {} : { hint }) })
    this.status = status
  }
}

export function requestError(status: number, code: string, message: string, hint?: string): GracerError {
  return new RequestError(status, message, code, hint)
}

export function errorBody(error: GracerError): ErrorBody {
  return { schema: controlSchema, error: { code: error.code, message: error.message, hint: error.hint ?? null, exitCode: error.exitCode } }
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  if (response.headersSent || response.destroyed) return
  const text = `${JSON.stringify(body)}\n`
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text), 'cache-control': 'no-store' })
  response.end(text)
}

export function sendError(response: ServerResponse, error: unknown): void {
  const known = error instanceof GracerError ? error : new GracerError('the agent failed within this order', { code: 'internal', cause: error, hint: 'Its log says more: log/gracer.log in the state folder.' })
  sendJson(response, statusOf(known), errorBody(known))
}

function statusOf(error: GracerError): number {
  if (error instanceof RequestError) return error.status
  if (error.exitCode === 2) return 400
  return error.exitCode === 4 ? 409 : 500
}

/**
 * The body, at most 64 KiB of JSON, checked; an empty one counts as {}.
 * @throws GracerError with status 400 or 413
 */
export async function readBody<T>(request: IncomingMessage, shape: z.ZodType<T>): Promise<T> {
  const text = await readText(request)
  let value: unknown
  try {
    value = text.trim() === '' ? {} : JSON.parse(text)
  } catch {
    throw requestError(400, 'bad-request', 'the body is no JSON')
  }
  const parsed = shape.safeParse(value)
  if (parsed.success) return parsed.data
  const list = parsed.error.issues.map((issue) => `${issue.path.length === 0 ? 'body' : issue.path.join('.')}: ${issue.message}`)
  throw requestError(400, 'bad-request', list.join('; '))
}

/** By events and not by `for await`, which destroys the connection, and the answer with it, when the loop is left early. */
function readText(request: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    if (Number(request.headers['content-length'] ?? 0) > largestBody) return reject(tooLarge())
    const chunks: Buffer[] = []
    let length = 0
    request.on('data', (chunk: Buffer) => {
      length += chunk.length
      if (length <= largestBody) return void chunks.push(chunk)
      request.pause()
      reject(tooLarge())
    })
    request.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')))
    request.on('error', () => reject(requestError(400, 'aborted', 'the client went away before its request was whole')))
  })
}

function tooLarge(): GracerError {
  return requestError(413, 'body-too-large', `a body holds at most ${largestBody} bytes`)
}
