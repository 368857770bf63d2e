import { describe, expect, test } from 'vitest'
import { parseHost, sameHost } from '../../proxy/forward/host.ts'
import { isNearby } from '../../proxy/forward/forwarded.ts'
import { RawClient, startBackend, startFront } from './support.ts'

async function upstreamSaw(fields: string, trustProxy: boolean | (() => boolean) = false, host = 'a.example:8080'): Promise<Record<string, string>> {
  const backend = await startBackend()
  const { port } = await startFront(backend.port, { trustProxy })
  const client = new RawClient(port).send(`GET / HTTP/1.1\r\nHost: ${host}\r\n${fields}\r\n`)
  await client.sees('ok')
  const raw = backend.seen[0]?.rawHeaders ?? []
  const saw = Object.create(null) as Record<string, string>
  for (let at = 0; at < raw.length; at += 2) {
    const name = (raw[at] as string).toLowerCase()
    expect(saw[name], `${name} came twice`).toBeUndefined()
    saw[name] = raw[at + 1] as string
  }
  return saw
}

const spoofed = 'X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 7.7.7.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\nX-Forwarded-Server: evil\r\n'
  + 'Forwarded: for=6.6.6.6\r\nForwarded: for=7.7.7.7;proto=https\r\nX-Real-IP: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nX-Forwarded_For: 6.6.6.6\r\n'

describe('H11 who is asking', () => {
  test('an untrusted peer\'s word is replaced', async () => {
    const saw = await upstreamSaw(spoofed)
    expect(saw).toMatchObject({
      'x-forwarded-for': '127.0.0.1', 'x-forwarded-proto': 'http', 'x-forwarded-host': 'a.example:8080', 'x-forwarded-port': '8080',
      'x-real-ip': '127.0.0.1', forwarded: 'for=127.0.0.1;host="a.example:8080";proto=http',
    })
    expect(JSON.stringify(saw)).not.toMatch(/6\.6\.6\.6|evil/)
  })

  test('a trusted peer\'s word is kept and added to, duplicates merged in order', async () => {
    const saw = await upstreamSaw(spoofed, true)
    expect(saw).toMatchObject({
      'x-forwarded-for': '6.6.6.6, 7.7.7.7, 127.0.0.1', 'x-forwarded-proto': 'https', 'x-forwarded-host': 'evil', 'x-forwarded-port': '1',
      'x-forwarded-server': 'evil', 'x-real-ip': '6.6.6.6',
      forwarded: 'for=6.6.6.6, for=7.7.7.7;proto=https, for=127.0.0.1;host="a.example:8080";proto=http',
    })
    expect(saw['x_forwarded_for']).toBeUndefined()
  })

  test('trust is asked for each request', async () => {
    expect((await upstreamSaw('X-Forwarded-For: 6.6.6.6\r\n', () => true))['x-forwarded-for']).toBe('6.6.6.6, 127.0.0.1')
  })

  test('the port is the one of the Host field, else 80', async () => {
    expect((await upstreamSaw('', false, 'a.example'))['x-forwarded-port']).toBe('80')
  })

  test('no Via is added', async () => {
    expect((await upstreamSaw(''))['via']).toBeUndefined()
  })

  test('a proxy that is evident but not trusted is named once in the log', async () => {
    const backend = await startBackend()
    const { port, logs } = await startFront(backend.port)
    for (let n = 1; n <= 2; n += 1) {
      const client = new RawClient(port).send('GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n')
      await client.sees('ok')
    }
    const said = logs.filter((line) => line.event === 'front.proxy-not-trusted')
    expect(said).toHaveLength(1)
    expect(said[0]?.fields['message']).toContain('trustProxy')
  })

  test('a trusted proxy is not', async () => {
    const backend = await startBackend()
    const { port, logs } = await startFront(backend.port, { trustProxy: true })
    await new RawClient(port).send('GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n').sees('ok')
    expect(logs).toEqual([])
  })

  test.each([
    ['127.0.0.1', true], ['10.1.2.3', true], ['172.16.0.1', true], ['172.32.0.1', false], ['192.168.1.1', true], ['169.254.1.1', true],
    ['8.8.8.8', false], ['::1', true], ['fd00::1', true], ['fe80::1', true], ['2001:db8::1', false], ['unknown', false],
  ])('%s is nearby: %s', (address, nearby) => {
    expect(isNearby(address)).toBe(nearby)
  })
})

describe('H12 names that are ours, and names that would be taken for others', () => {
  test('gracer-*, x-gracer-* and names with underscores are dropped', async () => {
    const saw = await upstreamSaw('Gracer-Key: 1\r\nX-Gracer-Release: 2\r\nX_Any: 3\r\nX-Fine: 4\r\n')
    expect(saw).toMatchObject({ 'x-fine': '4' })
    expect(Object.keys(saw).filter((name) => /gracer|_/.test(name))).toEqual([])
  })

  test('a name that means something to JavaScript is just a name', async () => {
    const saw = await upstreamSaw('constructor: 1\r\ntoString: 2\r\n__proto__: 3\r\n')
    expect([saw['constructor'], saw['tostring'], saw['__proto__']]).toEqual(['1', '2', undefined])
  })
})

describe('X-Request-Id', () => {
  test('is kept where it is sane', async () => {
    expect((await upstreamSaw('X-Request-Id: abc-123/x=\r\n'))['x-request-id']).toBe('abc-123/x=')
  })

  test.each(['X-Request-Id: a b', `X-Request-Id: ${'x'.repeat(200)}`, 'X-Request-Id: "a"', 'X-Request-Id: a\r\nX-Request-Id: b', 'X-Request-Id:', 'X-Other: y'])(
    'is made anew for "%s"', async (field) => {
      expect((await upstreamSaw(`${field}\r\n`))['x-request-id']).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/)
    })
})

describe('H13 hosts', () => {
  test('a trailing dot is left out, once and for all', async () => {
    expect(await upstreamSaw('', false, 'A.example.:81')).toMatchObject({ host: 'A.example:81', 'x-forwarded-host': 'A.example:81' })
  })

  test('an IPv6 address keeps its brackets', async () => {
    expect(await upstreamSaw('', false, '[::1]:8080')).toMatchObject({ host: '[::1]:8080', 'x-forwarded-port': '8080' })
  })

  test('HTTP/1.0 without Host gets the address that was dialled', async () => {
    const backend = await startBackend()
    const { port } = await startFront(backend.port)
    await new RawClient(port).send('GET / HTTP/1.0\r\n\r\n').closes()
    expect(backend.raw[0]).toContain(`\r\nHost: 127.0.0.1:${port}\r\n`)
  })

  test('are compared by what they mean', () => {
    const host = (text: string) => parseHost(text) ?? (() => { throw new Error(text) })()
    expect(sameHost(host('A.b'), host('a.B:80'))).toBe(true)
    expect(sameHost(host('a.b.'), host('a.b'))).toBe(true)
    expect(sameHost(host('a.b'), host('a.b:81'))).toBe(false)
    expect(parseHost('x'.repeat(301))).toBeNull()
  })
})
