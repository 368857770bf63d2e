import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { until } from '../support/deadline.ts'
import { DevProcess } from '../support/dev-process.ts'
import { root } from '../support/gracer-process.ts'
import { pollSaves, staleReplies } from '../support/save-poll.ts'
import { throwAwayInstall } from '../support/throw-away-install.ts'

const saves = 5
const deadlineMs = 60_000

async function startDev(files: Record<string, string>, args: readonly string[], modules: string): Promise<DevProcess> {
  // The packages must be there before the first boot: the entry imports them only in the second version.
  const dev = await DevProcess.start({ ...files, 'waits.txt': '' }, args)
  onTestFinished(() => dev.end(), 60_000)
  symlinkSync(modules, join(dev.folder, 'node_modules'))
  return dev
}

/** Five saves under polling: none refused, none failed, none stale. */
async function provesItself(dev: DevProcess, file: string, source: (version: string) => string): Promise<void> {
  dev.write(file, source('v0'))
  await dev.answers('v0', '/', deadlineMs)
  await until('the reload to be told', () => dev.records.at(-1)?.outcome === 'live')
  const before = dev.reloads.length
  const result = await pollSaves({
    port: dev.port, saves, deadlineMs, expected: (number) => `v${number}`,
    save: (number) => dev.write(file, source(`v${number}`)),
    between: async (number) => { await until('the reload to be told', () => dev.reloads.length >= before + number) },
  })
  expect({ refused: result.refused, failed: result.failed }).toEqual({ refused: 0, failed: 0 })
  const noticed = dev.reloads.slice(before).map((record) => record.noticedUs ?? 0)
  expect(noticed).toHaveLength(saves)
  expect(staleReplies(result, noticed, (body) => Number(body.slice(1)))).toBe(0)
}

const modules = join(root, 'node_modules')

test('an express app', { timeout: 120_000 }, async () => {
  const dev = await startDev({ 'app.mjs': 'throw new Error("not written yet")' }, ['--', 'node', 'app.mjs'], modules)
  await provesItself(dev, 'app.mjs', (version) => `import express from 'express'
const app = express()
app.get('/', (req, res) => { res.type('text').send('${version}') })
app.listen(3000)
`)
})

test('a fastify app, by the dev script of package.json, whose own watcher is left out', { timeout: 120_000 }, async () => {
  const dev = await startDev({ 'package.json': '{"type":"module","scripts":{"dev":"node --watch src/app.js"}}', 'src/app.js': 'throw new Error("not written yet")' }, [], modules)
  await provesItself(dev, 'src/app.js', (version) => `import fastify from 'fastify'
const app = fastify()
app.get('/', async () => '${version}')
await app.listen({ port: Number(process.env.PORT) })
`)
})

const beside = throwAwayInstall('tsx@4')
// tsx needs esbuild, which has an install script: it is no dependency of this repository and is fetched for this test alone.
test.skipIf(beside === null)(`a TypeScript app through tsx${beside === null ? ' (skipped: tsx could not be fetched)' : ''}`, { timeout: 120_000 }, async () => {
  const dev = await startDev({ 'server.ts': 'throw new Error("not written yet")' }, ['--', 'npx', 'tsx', 'server.ts'], join(beside ?? '', 'node_modules'))
  await provesItself(dev, 'server.ts', (version) => `import http from 'node:http'
const version: string = '${version}'
http.createServer((req, res) => { res.end(version) }).listen(Number(process.env.PORT ?? 3000))
`)
})

test('a page that Vite builds, behind a small server', { timeout: 120_000 }, async () => {
  const server = `import http from 'node:http'
import { readFileSync, readdirSync } from 'node:fs'
const script = readdirSync('dist/assets').find((name) => name.endsWith('.js'))
const page = readFileSync('dist/index.html', 'utf8')
http.createServer((req, res) => {
  if (req.url !== '/') { res.setHeader('content-type', 'text/html'); return res.end(page) }
  const text = readFileSync('dist/assets/' + script, 'utf8')
  res.end(/marker-(v\\d+)/.exec(text)?.[1] ?? 'none')
}).listen(3000)
`
  const dev = await startDev(
    { 'server.mjs': server, 'index.html': '<!doctype html><html><body><script type="module" src="/src/main.js"></script></body></html>', 'src/main.js': 'console.log("marker-none")' },
    ['--build', 'node node_modules/vite/bin/vite.js build --logLevel error', '--', 'node', 'server.mjs'], modules,
  )
  await provesItself(dev, 'src/main.js', (version) => `console.log('marker-${version}')`)
  expect((await dev.get('/page')).body).toMatch(/assets\/index-[^"]+\.js[^]*__gracer\/dev\.js/)
})
