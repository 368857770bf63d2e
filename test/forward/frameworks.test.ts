import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'
import { RawClient, startFront, until, type RunningFront } from './support.ts'

async function fronted(name: string): Promise<RunningFront & { output: () => string; url: string }> {
  const child = spawn(process.execPath, [fileURLToPath(new URL(`../apps/forward-${name}.mjs`, import.meta.url))], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => { child.kill('SIGKILL') })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => { output += chunk.toString() })
  await until('the app to listen', () => output.includes('\n'), 15_000)
  const running = await startFront(Number(/port (\d+)/.exec(output)?.[1]))
  return { ...running, output: () => output, url: `http://127.0.0.1:${running.port}` }
}

describe.each(['express', 'fastify'])('%s behind the front', (name) => {
  test('parses bodies and sees the client as the client is', async () => {
    const { url } = await fronted(name)
    const body = JSON.stringify({ text: 'é'.repeat(500_000) })
    const reply = await fetch(`${url}/json`, { method: 'POST', headers: { 'content-type': 'application/json', 'x-forwarded-for': '6.6.6.6', 'x-forwarded-proto': 'https' }, body })
    expect(await reply.json()).toEqual({ got: JSON.parse(body), ip: '127.0.0.1', host: '127.0.0.1', protocol: 'http' })
  })

  test('sets cookies, redirects, answers HEAD, 304 and 404', async () => {
    const { url, port } = await fronted(name)
    expect((await fetch(`${url}/cookies`)).headers.getSetCookie()).toEqual(['a=1; Path=/', 'b=2; Path=/; HttpOnly'])
    const moved = await fetch(`${url}/moved`, { redirect: 'manual' })
    expect([moved.status, moved.headers.get('location')]).toEqual([302, '/elsewhere?x=1'])
    const first = await fetch(`${url}/etag`)
    expect(await first.text()).toBe('the same every time')
    // Not by fetch, which adds "Cache-Control: no-cache" of its own.
    const second = new RawClient(port).send(`GET /etag HTTP/1.1\r\nHost: a\r\nIf-None-Match: ${first.headers.get('etag')}\r\n\r\n`)
    await second.sees('HTTP/1.1 304 Not Modified\r\n')
    expect((await fetch(`${url}/etag`, { method: 'HEAD' })).headers.get('content-length')).toBe('19')
    expect((await fetch(`${url}/nowhere`)).status).toBe(404)
  })

  test('learns at once that a reader of its event stream has gone', async () => {
    const { port, picker, output } = await fronted(name)
    const client = new RawClient(port).send('GET /events HTTP/1.1\r\nHost: a\r\n\r\n')
    await client.sees('data: 1\n\n')
    expect(picker.visit.kind).toBe('stream')
    client.socket.destroy()
    await until('the app to notice', () => output().includes('events closed'))
    expect(picker.ends).toEqual([['client-gone']])
  })
})
