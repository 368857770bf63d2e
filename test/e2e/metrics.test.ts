import http from 'node:http'
import { join } from 'node:path'
import { readFileSync, utimesSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { freePort } from '../../inherit/ephemeral-socket.ts'
import { parseExposition, valueOf, type Family } from '../support/exposition-parser.ts'
import { until } from '../support/deadline.ts'
import { GracerProcess } from '../support/gracer-process.ts'
import { writeFiles } from './write-release.ts'

// The figures of a real gracer, as `status` and as Prometheus' text, over a swap and the deaths of workers and agent.

const program = `
import http from 'node:http'
http.createServer((req, res) => {
  if (req.url === '/healthz') return res.end('ok')
  if (req.url === '/break') return req.socket.destroy()
  if (req.url === '/hang') return
  res.statusCode = Number(req.url.slice(1)) || 200
  req.resume().on('end', () => res.end('x'.repeat(1000)))
}).listen(process.env.PORT, process.env.HOST)
`

let gracer: GracerProcess
let metricsPort = 0
const agent = new http.Agent({ keepAlive: true, maxSockets: 8 })

beforeAll(async () => {
  metricsPort = await freePort()
  gracer = await GracerProcess.startWith({ workers: 2, config: { log: { access: true }, metrics: { listen: `127.0.0.1:${metricsPort}` }, settle: '100ms', bake: '200ms', health: { path: '/healthz' } } }, async (one) => {
    const past = new Date(Date.now() - 60_000)
    utimesSync(writeFiles(join(one.releases, 'first'), { 'server.mjs': program }), past, past)
    await Promise.resolve()
  })
}, 30_000)

afterAll(async () => {
  agent.destroy()
  await gracer.end()
})

function send(method: string, path: string, body = ''): Promise<number | null> {
  return new Promise((resolve) => {
    const request = http.request({ port: gracer.port, host: '127.0.0.1', method, path, agent, headers: body === '' ? {} : { 'content-length': body.length } }, (response) => {
      response.resume()
      response.once('close', () => resolve(response.complete ? (response.statusCode ?? 0) : null))
    })
    request.on('error', () => resolve(null))
    request.end(body)
  })
}

async function scrape(): Promise<Map<string, Family>> {
  return parseExposition(await gracer.control('GET', '/metrics'))
}

/** No counter, bucket or sum of an earlier scrape is larger than in a later one. */
function expectGrown(before: Map<string, Family>, after: Map<string, Family>): void {
  for (const family of before.values()) {
    if (family.type === 'gauge') continue
    for (const { name, labels, value } of family.samples) {
      const now = valueOf(after, name, labels)
      if (now !== undefined) expect([name, labels, now >= value]).toEqual([name, labels, true])
    }
  }
}

test('counts every reply by class, what went wrong, bytes and latencies, once, and the same in status and metrics', async () => {
  for (let round = 0; round < 10; round += 1) {
    for (const path of ['/200', '/204', '/301', '/404', '/500']) await send('GET', path)
    await send('POST', '/200', 'y'.repeat(500))
  }
  expect(await send('POST', '/break', 'y')).toBe(502)
  expect(await send('GET', '/200%zz')).toBe(200)
  const families = await scrape()
  const of = (name: string): number | undefined => valueOf(families, 'gracer_requests_total', { service: 'default', release: 'v1', class: name })
  expect(['none', '1xx', '2xx', '3xx', '4xx', '5xx'].map(of)).toEqual([1, 0, 31, 10, 10, 10])
  expect(valueOf(families, 'gracer_upstream_failures_total', { release: 'v1', reason: 'reset' })).toBe(1)
  expect(valueOf(families, 'gracer_request_duration_seconds_count', { release: 'v1' })).toBe(61)
  expect(valueOf(families, 'gracer_first_byte_seconds_count', { release: 'v1' })).toBe(61)
  expect(valueOf(families, 'gracer_lost_total', { service: 'default' })).toBe(1)
  expect(valueOf(families, 'gracer_bytes_total', { direction: 'from-release' })).toBeGreaterThan(50_000)
  expect(valueOf(families, 'gracer_swaps_total', { outcome: 'confirmed' })).toBe(1)
  expect(valueOf(families, 'gracer_workers')).toBe(2)
  const release = (await gracer.status()).services[0]?.releases[0]
  expect(release).toMatchObject({ requests: 62, errors: 11, traffic: { statuses: { none: 1, '2xx': 31, '5xx': 10 }, lost: 1, failures: { reset: 1 } } })
  expect(release?.traffic.errorRate).toBeCloseTo(11 / 62, 10)
  expect(release?.traffic.latencyMs?.count).toBe(61)
  expect(release?.traffic.latencyMs?.p99).toBeGreaterThanOrEqual(release?.traffic.latencyMs?.p50 ?? Infinity)
})

test('the access log has a line for each of them, and the same figures are on the port that the config names', async () => {
  const lines = await until('62 lines', () => {
    const text = readFileSync(join(gracer.folder, '.gracer', 'log', 'access.log'), 'utf8')
    return text.split('\n').length - 1 >= 62 ? text.split('\n').slice(0, -1).map((line) => JSON.parse(line) as Record<string, unknown>) : null
  })
  expect(lines).toHaveLength(62)
  expect(lines.filter(({ end }) => end === 'complete')).toHaveLength(61)
  expect(lines.find(({ path }) => path === '/break')).toMatchObject({ service: 'default', release: 'v1', status: 502, end: 'lost', code: 'upstream-gone', method: 'POST', client: '127.0.0.1' })
  const text = await new Promise<string>((resolve, reject) => {
    http.get({ port: metricsPort, host: '127.0.0.1', path: '/metrics' }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk)).on('end', () => resolve(body))
    }).on('error', reject)
  })
  expect(valueOf(parseExposition(text), 'gracer_requests_total', { release: 'v1', class: '2xx' })).toBe(31)
})

test('refused requests stand by their reason and on no release', async () => {
  await new Promise<void>((resolve) => http.request({ port: gracer.port, host: '127.0.0.1', method: 'TRACE', path: '/' }, (response) => response.resume().on('end', resolve)).end())
  await until('the refusal to be counted', async () => Object.values((await gracer.status()).refused).reduce((total, one) => total + one, 0) === 1)
  expect([...(await scrape()).get('gracer_refused_total')?.samples ?? []].map((sample) => [sample.labels['service'], sample.value])).toEqual([['', 1]])
})

test('nothing falls or is counted twice when workers and the agent are killed and a release is swapped', async () => {
  const scrapes = [await scrape()]
  const counted = (families: Map<string, Family>): number => (families.get('gracer_requests_total')?.samples ?? []).filter((sample) => sample.labels['class'] === '2xx').reduce((total, one) => total + one.value, 0)
  const before = counted(scrapes[0] as Map<string, Family>)
  let sent = 0
  const some = async (): Promise<void> => {
    for (let index = 0; index < 40; index += 1) {
      expect(await send('GET', '/200')).toBe(200)
      sent += 1
    }
    // What a worker has not reported yet dies with it: asked for now, all of it is reported.
    scrapes.push(await scrape())
    expect(counted(scrapes.at(-1) as Map<string, Family>) - before).toBe(sent)
  }
  await some()
  agent.destroy()
  for (const pid of (await gracer.status()).proxy.workers) process.kill(pid, 'SIGKILL')
  await until('two new workers', async () => (await gracer.status()).proxy.workers.length === 2)
  await some()
  const agentPid = (await gracer.status()).agent.pid
  process.kill(agentPid, 'SIGKILL')
  await until('another agent', async () => (await gracer.status().catch(() => null))?.agent.pid !== agentPid && (await gracer.status().catch(() => null)) !== null)
  await gracer.live('first')
  await some()
  expect((await gracer.swap('first')).code).toBe(0)
  await some()
  for (const [index, one] of scrapes.entries()) if (index > 0) expectGrown(scrapes[index - 1] as Map<string, Family>, one)
  const last = scrapes.at(-1) as Map<string, Family>
  expect(valueOf(last, 'gracer_worker_restarts_total')).toBe(2)
  expect(valueOf(last, 'gracer_agent_restarts_total')).toBe(1)
  expect(valueOf(last, 'gracer_swaps_total', { outcome: 'confirmed' })).toBe(2)
  expect(valueOf(last, 'gracer_requests_total', { release: 'v2', class: '2xx' })).toBe(40)
  expect(valueOf(last, 'gracer_violations_total')).toBe(0)
}, 60_000)
