import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { chromium, type BrowserContext, type Page } from 'playwright-core'
import { DevProcess } from '../support/dev-process.ts'

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find((path) => existsSync(path))
const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']
const deadline = { timeout: 60_000 }

const app = (heading: string): string => `import http from 'node:http'
import { readFileSync } from 'node:fs'
http.createServer((req, res) => {
  if (req.url.startsWith('/style.css')) {
    res.setHeader('content-type', 'text/css')
    return res.end(readFileSync('style.css'))
  }
  res.setHeader('content-type', 'text/html')
  res.setHeader('content-security-policy', "default-src 'self'")
  res.end('<!doctype html><html><head><link rel="stylesheet" href="/style.css"></head><body><h1>${heading}</h1><input id="typed"></body></html>')
}).listen(3000)
`

describe.skipIf(executablePath === undefined)(`in a real browser${executablePath === undefined ? ' (skipped: no chromium is installed, see .ci/run)' : ''}`, () => {
  let context: BrowserContext
  let profile: string

  beforeAll(async () => {
    profile = mkdtempSync(join(tmpdir(), 'gracer-chromium-'))
    context = await chromium.launchPersistentContext(profile, { executablePath: executablePath ?? '', headless: true, args: flags })
  }, 120_000)

  afterAll(async () => {
    await context.close()
    rmSync(profile, { recursive: true, force: true })
  }, 60_000)

  async function opened(files: Record<string, string>, args: readonly string[] = []): Promise<{ dev: DevProcess; page: Page; heading: (text: string) => Promise<void> }> {
    const dev = await DevProcess.start(files, [...args, '--', 'node', 'server.mjs'])
    onTestFinished(() => dev.end(), 60_000)
    await dev.get()
    const page = await context.newPage()
    onTestFinished(() => page.close())
    await page.goto(`http://127.0.0.1:${dev.port}/`, deadline)
    return { dev, page, heading: async (text) => { await page.getByRole('heading', { name: text, exact: true }).waitFor(deadline) } }
  }

  test('a save changes the page, a syntax error shows the page with the error, and the next save brings the app back', { timeout: 180_000 }, async () => {
    const { dev, page, heading } = await opened({ 'server.mjs': app('one'), 'style.css': '' })
    await heading('one')
    dev.write('server.mjs', app('two'))
    await heading('two')
    dev.write('server.mjs', `${app('three')}\nconst = 3`)
    await page.locator('#gracer-failure').waitFor(deadline)
    expect(await page.locator('#gracer-failure').innerText()).toMatch(/SyntaxError[^]*server\.mjs:\d+[^]*const = 3/)
    dev.write('server.mjs', app('four'))
    await heading('four')
    expect(await page.locator('#gracer-failure').count()).toBe(0)
  })

  test('a page that the app calls "not modified" is loaded once for a save, and not again and again', { timeout: 120_000 }, async () => {
    const same = (more: string): string => `import http from 'node:http'
let pages = 0
http.createServer((req, res) => {
  if (req.url === '/pages') return res.end(String(pages))
  if (req.url === '/') pages += 1
  res.setHeader('content-type', 'text/html').setHeader('etag', '"same"')
  if (req.headers['if-none-match'] === '"same"') return res.writeHead(304).end()
  res.end('<!doctype html><html><body><h1>same</h1></body></html>')
}).listen(3000) // ${more}
`
    const { dev, page, heading } = await opened({ 'server.mjs': same('one') })
    await heading('same')
    const key = (): Promise<string | null> => page.locator('script[data-key]').getAttribute('data-key')
    const before = await key()
    dev.write('server.mjs', same('two'))
    await dev.says('the reload', (record) => record.event === 'reload' && record.cause === 'save')
    await expect.poll(key, deadline).not.toBe(before)
    // The page listens again: had it anything to load, it would.
    await page.waitForFunction(() => (globalThis as unknown as { __gracer?: boolean }).__gracer === true, undefined, deadline)
    expect((await dev.get('/pages')).body).toBe('1')
  })

  test('a save of a stylesheet keeps the state of the page', { timeout: 180_000 }, async () => {
    const { dev, page, heading } = await opened({ 'server.mjs': app('styled'), 'style.css': 'h1 { color: rgb(1, 2, 3) }' })
    await heading('styled')
    await page.locator('#typed').fill('half a sentence')
    await page.waitForFunction(() => (globalThis as unknown as { __gracer?: boolean }).__gracer === true, undefined, deadline)
    const color = (): Promise<string> => page.locator('h1').evaluate((element) => (globalThis as unknown as { getComputedStyle(of: unknown): { color: string } }).getComputedStyle(element).color)
    expect(await color()).toBe('rgb(1, 2, 3)')
    dev.write('style.css', 'h1 { color: rgb(4, 5, 6) }')
    await dev.says('the styles', (record) => record.outcome === 'styles')
    await expect.poll(color, deadline).toBe('rgb(4, 5, 6)')
    expect(await page.locator('#typed').inputValue()).toBe('half a sentence')
  })

  test('with --no-inject the page stays as it is', { timeout: 120_000 }, async () => {
    const { dev, page, heading } = await opened({ 'server.mjs': app('quiet'), 'style.css': '' }, ['--no-inject'])
    await heading('quiet')
    dev.write('server.mjs', app('changed'))
    await dev.answers('changed')
    expect(await page.locator('h1').innerText()).toBe('quiet')
  })
})
