import { describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { scriptLeave } from '../../agent/dev/csp.ts'
import { HtmlInjector } from '../../agent/dev/html-injector.ts'

const script = '<script src="/x"></script>'

function inject(chunks: readonly string[], surelyPage = false): string {
  const injector = new HtmlInjector({ fields: [], script, surelyPage })
  return Buffer.concat([...chunks.map((chunk) => injector.pass(Buffer.from(chunk))), injector.end()]).toString()
}

describe('the script', () => {
  test('stands before the </body> of a whole page, and at the end of one without', () => {
    expect(inject(['<!doctype html><body>a</body></html>'])).toBe(`<!doctype html><body>a${script}</body></html>`)
    expect(inject(['<HTML><BODY>ü</BODY >'])).toBe(`<HTML><BODY>ü${script}</BODY >`)
    expect(inject(['\n<!-- made by x -->\n<!DOCTYPE html>\n<p>a'])).toBe(`\n<!-- made by x -->\n<!DOCTYPE html>\n<p>a${script}`)
  })

  test('is not put into parts of pages, unless a browser shows them as a page', () => {
    expect(inject(['<li>a</li>'])).toBe('<li>a</li>')
    expect(inject(['<tr><td></body></tr>'])).toBe('<tr><td></body></tr>')
    expect(inject([''])).toBe('')
    expect(inject(['<h1>hello</h1>'], true)).toBe(`<h1>hello</h1>${script}`)
  })

  test('is not taken in by a </body> inside a script, nor by a tag that only begins alike', () => {
    const long = 'x'.repeat(5_000)
    expect(inject([`<html><script>s = "</body>"</script>${long}</body></html>`])).toBe(`<html><script>s = "</body>"</script>${long}${script}</body></html>`)
    expect(inject([`<html><script>s = "</body>"</script>`, long, '</body></html>'])).toBe(`<html><script>s = "</body>"</script>${long}${script}</body></html>`)
    expect(inject(['<html><p></bodyguard>'])).toBe(`<html><p></bodyguard>${script}`)
  })

  test('comes out the same however the page is cut, and what is held back is little', () => {
    const page = `<!doctype html><html><body>${'<p>é</p>'.repeat(40)}<script>"</body>"</script>${'y'.repeat(4_500)}</body></html>\n`
    const whole = inject([page])
    fc.assert(fc.property(fc.array(fc.nat(page.length), { maxLength: 30 }), (cuts) => {
      const at = [0, ...cuts.sort((a, b) => a - b), page.length]
      const chunks = at.slice(1).map((end, index) => page.slice(at[index], end))
      expect(inject(chunks)).toBe(whole)
      const injector = new HtmlInjector({ fields: [], script, surelyPage: false })
      let sent = 0
      let came = 0
      for (const chunk of chunks) {
        came += Buffer.byteLength(chunk)
        sent += injector.pass(Buffer.from(chunk)).length
        expect(came - sent).toBeLessThanOrEqual(4_096)
      }
    }))
  })
})

describe('a Content-Security-Policy', () => {
  test.each<[string, readonly string[], ReturnType<typeof scriptLeave>]>([
    ['none', [], { kind: 'allowed', nonce: null }],
    ['own origin', ["default-src 'self'"], { kind: 'allowed', nonce: null }],
    ['a nonce', ["script-src 'nonce-abc' 'strict-dynamic'; connect-src 'self'"], { kind: 'allowed', nonce: 'abc' }],
    ['a nonce without leave to connect', ["default-src 'none'; script-src 'nonce-abc'"], { kind: 'forbidden', directive: 'default-src' }],
    ['nothing', ["default-src 'none'"], { kind: 'forbidden', directive: 'default-src' }],
    ['strict-dynamic without a nonce makes own origin count for nothing', ["script-src 'self' 'strict-dynamic'"], { kind: 'forbidden', directive: 'script-src' }],
    ['elements have a directive of their own', ["script-src 'self'; script-src-elem https://a.example"], { kind: 'forbidden', directive: 'script-src-elem' }],
    ['two policies both count', ["script-src 'self'", "script-src 'none'"], { kind: 'forbidden', directive: 'script-src' }],
    ['two policies in one field', ["script-src 'self', script-src 'sha256-abc'"], { kind: 'forbidden', directive: 'script-src' }],
    ['a sandbox', ['sandbox allow-forms'], { kind: 'forbidden', directive: 'sandbox' }],
    ['other directives only', ["img-src 'none'; frame-ancestors 'none'"], { kind: 'allowed', nonce: null }],
  ])('%s', (_what, policies, expected) => {
    expect(scriptLeave(policies)).toEqual(expected)
  })
})
