import http from 'node:http'
import type { HealthConfig } from '../config/types.ts'
import { formatDuration } from '../config/units.ts'
import { judge } from './judge.ts'

export interface ProbeResult {
  readonly healthy: boolean
  readonly status: number | null
  readonly location: string | null
  /** What went wrong below HTTP: 'connect ECONNREFUSED …', 'no answer within 2s'. */
  readonly error: string | null
  readonly remark: string | null
}

/** One GET of the health path on a fresh connection. Never rejects; an abort counts as a failure. */
export function probe(port: number, health: HealthConfig, signal: AbortSignal): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const failed = (error: string): void => resolve({ healthy: false, status: null, location: null, error, remark: error })
    const request = http.request({
      host: '127.0.0.1',
      port,
      path: health.path ?? '/',
      headers: { host: health.host, connection: 'close', 'user-agent': 'gracer-health', ...Object.fromEntries(health.headers) },
      agent: false,
      signal,
    })
    const timer = setTimeout(() => request.destroy(new Error(`no answer within ${formatDuration(health.timeoutMs)}`)), health.timeoutMs)
    request.on('error', (error) => {
      clearTimeout(timer)
      failed(error.message)
    })
    request.once('response', (response) => {
      clearTimeout(timer)
      const status = response.statusCode ?? 0
      const location = response.headers.location ?? null
      const verdict = judge({ status, location }, health)
      resolve({ ...verdict, status, location, error: null })
      // The head decides; the body may be an endless stream.
      response.destroy()
    })
    request.end()
  })
}
