import type { AccessRecord } from '../../proxy/access/access-line.ts'

export const record: AccessRecord = {
  service: 'shop', release: 'v2', status: 200, end: 'complete', method: 'GET', target: '/a?token=secret', host: 'example.com', client: '192.0.2.1', forwardedFor: null,
  requestId: 'id-1', bytesIn: 10, bytesOut: 20, waitMs: 0, firstByteMs: 1.23456, upstreamMs: 2, totalMs: 2.5, retry: 0, upgraded: false, code: null,
}
