import http from 'node:http'
import { join } from 'node:path'
import { utimesSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { until } from '../support/deadline.ts'
import { GracerProcess } from '../support/gracer-process.ts'
import { writeFiles, writeRelease } from './write-release.ts'

// Pages of a release that was live a moment ago go on loading what belongs to it, for as long as it is warm.

/** Serves its page and one asset of its own; everything else is 404. */
const release = (asset: string) => ({ 'server.mjs': `
import http from 'node:http'
http.createServer((req, res) => {
  res.setHeader('x-release', process.env.GRACER_RELEASE)
  if (req.url === '/') return res.setHeader('content-type', 'text/html').end('<script src="${asset}"></script>')
  if (req.url === '${asset}') return res.setHeader('content-type', 'text/javascript').end('x'.repeat(3000))
  res.statusCode = 404
  res.end('no such file')
}).listen(process.env.PORT, process.env.HOST)
` })

const assets = ['/assets/app-3f2a1b4c.js', '/assets/app-BqX3_Z1a.js', '/assets/app-5SRAJ6TH.js'] as const
const config = { settle: '100ms', bake: '1500ms', previousAssets: true, health: { interval: '50ms' } }
const agent = new http.Agent({ keepAlive: true, maxSockets: 16 })
let gracer: GracerProcess

beforeAll(async () => {
  gracer = await GracerProcess.startWith({ config, workers: 2 }, (one) => {
    const past = new Date(Date.now() - 60_000)
    utimesSync(writeFiles(join(one.releases, 'r0'), release(assets[0])), past, past)
    return Promise.resolve()
  })
}, 30_000)

afterAll(async () => {
  agent.destroy()
  await gracer.end()
})

interface Got { readonly path: string; readonly status: number; readonly from: string; readonly begun: number; readonly length: number }

function get(path: string): Promise<Got> {
  const begun = performance.now()
  return new Promise((resolve, reject) => {
    http.get({ host: '127.0.0.1', port: gracer.port, path, agent }, (reply) => {
      let length = 0
      reply.on('data', (chunk: Buffer) => { length += chunk.length })
      reply.on('error', reject)
      reply.on('end', () => resolve({ path, status: reply.statusCode ?? 0, from: String(reply.headers['x-release']), begun, length }))
    }).on('error', reject)
  })
}

test('under load across a swap: assets of the page before are answered by its release to the end of the bake, and no promise is broken', async () => {
  const all: Got[] = []
  let over = false
  const client = async (path: string): Promise<void> => {
    while (!over) all.push(await get(path))
  }
  const clients = [...Array.from({ length: 6 }, () => client(assets[0])), client('/'), client('/')]
  await until('the load to run', () => all.length > 50)
  const swapped = gracer.cli('swap', writeRelease(gracer, 'r1', release(assets[1])))
  const flipped = await until('the page of the new release', () => all.find(({ path, from }) => path === '/' && from === 'v2'))
  const missed = await until('the end of the bake', () => all.find(({ status }) => status === 404))
  expect((await swapped).code).toBe(0)
  over = true
  await Promise.all(clients)
  // No page of the old release after the flip, no asset missed before the end of the bake.
  expect(missed.begun - flipped.begun).toBeGreaterThan(1_300)
  expect(all.filter(({ path, from, begun }) => path === '/' && from === 'v1' && begun > flipped.begun + 100)).toEqual([])
  const late = all.filter(({ path, status, begun }) => path === assets[0] && status === 200 && begun > flipped.begun + 100)
  expect(late.length).toBeGreaterThan(100)
  expect(late.every(({ from, length }) => from === 'v1' && length === 3000)).toBe(true)

  const status = await gracer.status()
  expect(status).toMatchObject({ violations: 0, lost: 0 })
  const [older, newer] = ['v1', 'v2'].map((id) => status.services[0]?.releases.find((one) => one.id === id))
  expect(newer?.traffic.missed).toBeGreaterThanOrEqual(late.length)
  expect(newer?.traffic.statuses['4xx']).toBe(all.filter((one) => one.status === 404).length)
  // Each is counted once, on the release whose reply it got.
  expect((older?.requests ?? 0) + (newer?.requests ?? 0)).toBe(all.length)
})

test('with the key off, at once after a reload, a miss is a miss', async () => {
  gracer.writeConfig({ ...config, bake: '60s', previousAssets: false })
  expect((await gracer.cli('reload')).stdout).toContain('previousAssets changed and is in use')
  expect((await gracer.cli('swap', writeRelease(gracer, 'r2', release(assets[2])), '--until', 'flip')).code).toBe(0)
  expect(await get(assets[1])).toMatchObject({ status: 404, from: 'v3' })
  gracer.writeConfig({ ...config, bake: '60s' })
  expect((await gracer.cli('reload')).code).toBe(0)
  expect(await get(assets[1])).toMatchObject({ status: 200, from: 'v2' })
  expect(await get('/assets/app.js')).toMatchObject({ status: 404, from: 'v3' })
})
