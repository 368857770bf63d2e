import type { IncomingMessage } from 'node:http'
import type { Fields } from '../../proxy/forward/request-fields.ts'
import type { BodyRewrite, ReplyRewriter } from '../../proxy/forward/rewrite.ts'
import { scriptLeave } from './csp.ts'
import { escapeHtml } from './failure-page.ts'
import { HtmlInjector } from './html-injector.ts'
import type { Stylesheets } from './stylesheets.ts'

export interface RewriterOptions {
  /** What a page of this release is known by, for the script in it. */
  readonly keyOf: (release: string) => string
  readonly stylesheets: Stylesheets
  readonly inject: boolean
  /** Says, once a page, why it does not reload by itself. */
  readonly notice: (text: string) => void
}

const notForPages: ReadonlySet<string> = new Set(['accept-encoding', 'if-none-match', 'if-modified-since'])
const withoutBody: ReadonlySet<number> = new Set([204, 205, 206, 304])

/** Injects the script that reloads pages, and takes note of the stylesheets that go by. */
export class DevRewriter implements ReplyRewriter {
  readonly #options: RewriterOptions
  readonly #noticed = new Set<string>()

  constructor(options: RewriterOptions) {
    this.#options = options
  }

  /**
   * What a browser shows as a page must not come compressed, as it is read here, nor be "not modified": the page that the
   * browser has names the code of before, and would be loaded again and again.
   */
  request(req: IncomingMessage, fields: Fields): void {
    if (!this.#options.inject || !asksForPage(req)) return
    for (const name of Object.keys(fields)) if (notForPages.has(name.toLowerCase())) delete fields[name]
  }

  reply(req: IncomingMessage, status: number, fields: readonly string[], release: string): BodyRewrite | null {
    const type = valuesOf(fields, 'content-type')[0] ?? ''
    if (status === 200 && /^text\/css\b/i.test(type)) this.#options.stylesheets.served(req.url ?? '')
    if (!this.#options.inject || req.method === 'HEAD' || withoutBody.has(status)) return null
    if (!/^text\/html\s*(?:;|$)/i.test(type) || /utf-?(?:16|32)/i.test(type)) return null
    const destination = headerOf(req, 'sec-fetch-dest')
    if (destination !== null && !pageDestinations.has(destination)) return null
    if (valuesOf(fields, 'content-disposition').some((value) => /^\s*attachment/i.test(value))) return null
    const path = (req.url ?? '').split('?', 1)[0] ?? ''
    if (valuesOf(fields, 'content-encoding').some((value) => value.toLowerCase() !== 'identity')) {
      if (destination !== null) this.#say(path, 'is sent compressed though nobody asked for that')
      return null
    }
    const leave = scriptLeave(valuesOf(fields, 'content-security-policy'))
    if (leave.kind === 'forbidden') {
      this.#say(path, `has a Content-Security-Policy (${leave.directive}) that allows no script or event stream of its own origin`)
      return null
    }
    const script = scriptTag(this.#options.keyOf(release), req.method ?? 'GET', leave.nonce)
    return new HtmlInjector({ fields: reframed(fields), script, surelyPage: destination !== null })
  }

  #say(path: string, why: string): void {
    if (this.#noticed.has(path) || this.#noticed.size > 100) return
    this.#noticed.add(path)
    this.#options.notice(`${path} does not reload by itself: it ${why}`)
  }
}

export const scriptPath = '/__gracer/dev.js'

export function scriptTag(key: string, method: string, nonce: string | null): string {
  const attribute = nonce === null ? '' : ` nonce="${escapeHtml(nonce)}"`
  return `<script src="${scriptPath}" async data-key="${escapeHtml(key)}" data-method="${escapeHtml(method)}"${attribute}></script>`
}

const pageDestinations: ReadonlySet<string> = new Set(['document', 'iframe', 'frame'])

/** A navigation, as far as the request shows: browsers say so on trustworthy origins, localhost among them. */
function asksForPage(req: IncomingMessage): boolean {
  const destination = headerOf(req, 'sec-fetch-dest')
  return destination === null ? /^\s*text\/html/i.test(headerOf(req, 'accept') ?? '') : pageDestinations.has(destination)
}

/** By the raw fields: `req.headers` holds what the upstream got. */
function headerOf(req: IncomingMessage, lower: string): string | null {
  const raw = req.rawHeaders
  for (let at = 0; at < raw.length; at += 2) if (raw[at]?.toLowerCase() === lower) return raw[at + 1] ?? null
  return null
}

function valuesOf(fields: readonly string[], lower: string): string[] {
  const values: string[] = []
  for (let at = 0; at < fields.length; at += 2) if (fields[at]?.toLowerCase() === lower) values.push(fields[at + 1] ?? '')
  return values
}

/** The body becomes longer, and its parts, digests and validators are no longer those of the upstream. */
function reframed(fields: readonly string[]): string[] {
  const left = new Set(['content-length', 'accept-ranges', 'etag', 'last-modified', 'content-md5', 'digest', 'content-digest', 'repr-digest'])
  const kept: string[] = []
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at] as string
    if (!left.has(name.toLowerCase())) kept.push(name, fields[at + 1] as string)
  }
  return kept
}
