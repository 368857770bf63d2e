import type { IncomingMessage, ServerResponse } from 'node:http'
import { describe, expect, test } from 'vitest'
import { isAssetReply, isHashedAsset } from '../../proxy/forward/hashed-asset.ts'
import { answering, closedPort, RawClient, startBackend, startFront, startRawBackend, target, until, type Backend, type RunningFront } from './support.ts'

describe('a hashed asset', () => {
  test.each([
    '/assets/index-BqX3_Z1a.js', '/assets/index-B-9dK_3a.css', '/assets/vendor-DkQzrPbW.js', // Vite, Rollup
    '/static/js/main.3f2a1b4c.js', '/static/js/787.3f2a1b4c.chunk.js', '/static/css/main.3f2a1b4c.css.map', '/3f2a1b4c5d6e7f80.js', // webpack
    '/out/app-5SRAJ6TH.js', '/out/chunk-ABCDEFGH.js', // esbuild
    '/_next/static/chunks/pages/_app-3f2a1b4c5d6e7f80.js', '/_next/static/media/inter.3f2a1b4c5d.woff2',
    '/assets/application-2b7d04a1f0d8fbc1a7a2e0c2f4d45d9e8d0ab1c2d3e4f5061728394a5b6c7d8e.css', // Sprockets
    '/logo.8f7d2a1c.svg', '/a/b.c/app~3f2a1b4c.min.js',
  ])('is %s', (path) => expect(isHashedAsset(path)).toBe(true))

  test.each([
    '/', '/app.js', '/main.chunk.js', '/jquery-3.7.1.min.js', '/bootstrap.bundle.min.js', '/polyfill-legacy.js', '/my-component.css', '/a-foo-bar2.js', '/internationalisation.js',
    '/index-BqX3_Z1a.html', '/data.3f2a1b4c.json', '/api/3f2a1b4c5d6e7f80', '/3f2a1b4c5d6e7f80/page', '/3f2a1b4c/app.js', '/report.3f2a1b4c.pdf', '/3f2a1b4c.js/',
  ])('is not %s', (path) => expect(isHashedAsset(path)).toBe(false))

  test('is answered by a file, not by the page that some apps give for every path', () => {
    expect(isAssetReply(200, ['Content-Type', 'text/javascript'])).toBe(true)
    expect(isAssetReply(206, [])).toBe(true)
    expect(isAssetReply(304, [])).toBe(true)
    expect(isAssetReply(200, ['content-type', 'Text/HTML; charset=utf-8'])).toBe(false)
    for (const status of [204, 301, 302, 404, 500]) expect(isAssetReply(status, [])).toBe(false)
  })
})

const asset = '/assets/app-BqX3_Z1a.js'
const get = (path = asset, method = 'GET'): string => `${method} ${path} HTTP/1.1\r\nHost: a\r\n\r\n`
const has = (req: IncomingMessage, res: ServerResponse): void => {
  res.setHeader('Content-Type', 'text/javascript')
  res.end(`old:${req.url}`)
}
const hasNot = (text = 'new has it not') => (req: IncomingMessage, res: ServerResponse): void => { req.on('end', () => { res.statusCode = 404; res.end(text) }).resume() }

async function start(old: (req: IncomingMessage, res: ServerResponse) => void = has, now = hasNot()): Promise<RunningFront & { old: Backend; now: Backend }> {
  const backends = { old: await startBackend(old), now: await startBackend(now) }
  const running = await startFront(backends.now.port)
  running.picker.before = target(backends.old.port, 'shop/v0')
  return { ...running, ...backends }
}

describe('an asset that the live release does not have', () => {
  test('comes from the one before, which is then what its visit is counted on', async () => {
    const { port, picker, now } = await start()
    const client = await new RawClient(port).send(get()).sees(`old:${asset}`)
    expect(client.statuses).toEqual([200])
    expect(picker.visits.map((visit) => [visit.release, visit.status, ...visit.ends])).toEqual([['shop/v1', null, 'missed'], ['shop/v0', 200, 'complete']])
    client.text = ''
    await client.send(get(`${asset}?v=1`)).sees(`old:${asset}?v=1`)
    expect(now.connections).toBe(1)
  })

  test('is asked for by HEAD as well, and by nothing else, nor is another name', async () => {
    const { port, old } = await start()
    const client = await new RawClient(port).send(get(asset, 'HEAD')).sees('200 OK')
    for (const head of [get('/app.js'), get(asset, 'OPTIONS'), `POST ${asset} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi`, `GET ${asset} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi`]) {
      client.text = ''
      await client.send(head).sees('new has it not')
    }
    expect(old.seen.map((seen) => seen.method)).toEqual(['HEAD'])
  })

  test('is not asked for where nothing is warm', async () => {
    const { port, picker } = await start()
    picker.before = null
    await new RawClient(port).send(get()).sees('new has it not')
    expect(picker.visits.map((visit) => [visit.status, ...visit.ends])).toEqual([[404, 'complete']])
  })

  test.each([
    ['has it neither', hasNot('old has it neither')],
    ['gives every path its page', (_req: IncomingMessage, res: ServerResponse) => { res.setHeader('Content-Type', 'text/html').end('page') }],
    ['hangs up', (req: IncomingMessage) => { req.socket.destroy() }],
  ])('is answered by its own 404 where the one before %s', async (_how, old) => {
    const { port, picker } = await start(old)
    const client = new RawClient(port)
    for (let n = 1; n <= 2; n += 1) {
      client.text = ''
      await client.send(get()).sees('new has it not')
      expect(client.statuses).toEqual([404])
    }
    expect(picker.visits.map((visit) => [visit.release, visit.status, ...visit.ends]).slice(0, 2)).toEqual([['shop/v1', 404, 'complete'], ['shop/v0', null, 'not-sent']])
  })

  test('is answered by its own 404 where the one before has gone, or is too slow', async () => {
    const { port, picker, front } = await start()
    picker.before = target(await closedPort(), 'shop/v0')
    await new RawClient(port).send(get()).sees('new has it not')
    const silent = await startRawBackend((socket) => { socket.resume() })
    picker.before = target(silent.port, 'shop/v0')
    front.setLimits({ idleMs: 75_000, headMs: 30_000, bodyStallMs: null, bodyRate: null, bodyBytes: null, readStallMs: null, firstByteMs: 200, connections: null })
    await new RawClient(port).send(get()).sees('new has it not')
    expect(picker.ends.flat()).not.toContain('lost')
    await until('it to be let go', () => silent.sockets.size === 0)
  })

  test('leaves nothing of a 404 that has no end, and of one that breaks off only the word that it was bad', async () => {
    const endless = await startRawBackend(answering('HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n'))
    const old = await startBackend(has)
    const { port, picker } = await startFront(endless.port)
    picker.before = target(old.port, 'shop/v0')
    await new RawClient(port).send(get()).sees(`old:${asset}`)
    await until('its connection to be closed', () => endless.sockets.size === 0)

    // The one before answers when the front has closed its side of the broken connection as well.
    let breakOff = (_then: () => void): void => {}
    const breaking = await startRawBackend(answering('HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nabc', (socket) => { breakOff = (then) => socket.once('close', then).end() }), true)
    const slow = await startBackend((_req, res) => breakOff(() => { res.statusCode = 404; res.end() }))
    picker.choose = () => target(breaking.port)
    picker.before = target(slow.port, 'shop/v0')
    await new RawClient(port).send(get()).sees('code: bad-reply')
  })

  test('ends both visits, and counts one, when its client leaves', async () => {
    const { port, picker, old, now } = await start(() => {})
    const client = new RawClient(port).send(get())
    await until('the one before to be asked', () => old.seen.length === 1)
    client.socket.destroy()
    await until('both to have ended', () => picker.ends.every((ends) => ends.length === 1))
    expect(picker.ends).toEqual([['missed'], ['client-gone']])
    await until('the one before to be let go', () => old.sockets.size === 0)
    expect(now.sockets.size).toBe(1)
  })
})
