import { describe, expect, test } from 'vitest'
import type { ReplyRewriter } from '../../proxy/forward/rewrite.ts'
import type { Refusal } from '../../proxy/visit.ts'
import { RawClient, startBackend, startFront } from './support.ts'

const get = (path: string, more = ''): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n${more}Connection: close\r\n\r\n`

/** Holds every reply's last byte back until the end, and puts a word behind it. */
function stubborn(): ReplyRewriter & { asked: string[] } {
  const asked: string[] = []
  return {
    asked,
    request: (_req, fields) => { fields['X-Asked'] = 'yes' },
    reply(req, status, fields, release) {
      asked.push(`${req.url} ${status} ${release}`)
      if (req.url !== '/page') return null
      let held: Buffer = Buffer.alloc(0)
      return {
        fields: fields.filter((_, at, all) => !/^content-length$/i.test(all[at - (at % 2)] ?? '')),
        pass(chunk) {
          const all = Buffer.concat([held, chunk])
          held = all.subarray(-1)
          return all.subarray(0, -1)
        },
        end: () => Buffer.concat([held, Buffer.from(' and more')]),
      }
    },
  }
}

describe('a rewriter', () => {
  test('changes what goes to the release, and the reply that it chose, with a framing that fits', async () => {
    const backend = await startBackend((req, res) => {
      req.resume()
      res.setHeader('Content-Length', '5')
      res.end('words')
    })
    const rewriter = stubborn()
    const { port } = await startFront(backend.port, { rewriter })
    const page = await new RawClient(port).send(get('/page')).closes()
    expect(page.text).toContain('Transfer-Encoding: chunked')
    expect(page.text).not.toContain('Content-Length')
    expect(page.text.replaceAll(/\r\n[0-9a-f]+\r\n/g, '')).toContain('words and more')
    const other = await new RawClient(port).send(get('/other')).closes()
    expect(other.text).toContain('Content-Length: 5')
    expect(rewriter.asked).toEqual(['/page 200 shop/v1', '/other 200 shop/v1'])
    expect(backend.seen.map((one) => one.rawHeaders.includes('X-Asked'))).toEqual([true, true])
  })
})

describe('a path of its own', () => {
  test('is answered by the owner of the front, and no release is picked for it', async () => {
    const backend = await startBackend()
    const { port, picker } = await startFront(backend.port, { own: (path) => (path === '/own' ? (_req, res) => res.end('mine') : null) })
    const both = await new RawClient(port).send(`GET /own?x=1 HTTP/1.1\r\nHost: a\r\n\r\n${get('/')}`).closes()
    expect(both.statuses).toEqual([200, 200])
    expect(both.text).toContain('mine')
    expect(both.text).toContain('ok')
    expect(picker.requests).toHaveLength(1)
  })
})

test('a refusal with a body of its own is rendered for what the client accepts', async () => {
  const refusal: Refusal = {
    status: 500, code: 'new-code-failed', reason: 'It failed.', retryAfterSeconds: null,
    render: (accept, method) => ({ type: 'text/html', text: `<p>${accept} ${method}</p>` }),
  }
  const { port } = await startFront(() => refusal)
  const reply = await new RawClient(port).send(get('/', 'Accept: text/html\r\n')).closes()
  expect(reply.statuses).toEqual([500])
  expect(reply.text).toContain('Cache-Control: no-store')
  expect(reply.text.endsWith('<p>text/html GET</p>')).toBe(true)
})
