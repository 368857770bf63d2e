import type { BodyRewrite } from '../../proxy/forward/rewrite.ts'

/** Behind the last `</body` of a page there is hardly more than `</html>`. */
const mostHeld = 4_096
/** Looked at to tell a page from a fragment. */
const headBytes = 1_024
const none = Buffer.alloc(0)

export interface InjectorOptions {
  readonly fields: string[]
  readonly script: string
  /** False: only what begins as a whole document is a page. */
  readonly surelyPage: boolean
}

/**
 * Puts the script before the last `</body` of a page as it streams by: what follows a `</body` is held until it turns out
 * to be the end. One inside a script or a comment is followed by more than 4 KiB or by another. A page without `</body`
 * gets the script at its end, which browsers read as part of the body (WHATWG HTML 13.2.6.4.21).
 */
export class HtmlInjector implements BodyRewrite {
  readonly fields: string[]
  readonly #script: Buffer
  #page: boolean | null
  /** Not yet passed on: the start while it is not clear what it is, later from a `</body` on, or a few bytes that may begin one. */
  #held: Buffer = none
  #atBody = false

  constructor(options: InjectorOptions) {
    this.fields = options.fields
    this.#script = Buffer.from(options.script)
    this.#page = options.surelyPage ? true : null
  }

  pass(chunk: Buffer): Buffer {
    if (this.#page === false) return chunk
    const all = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk])
    this.#held = none
    if (this.#page === null) {
      this.#page = beginsAsDocument(all.subarray(0, headBytes).toString('latin1'))
      if (this.#page === null && all.length < headBytes) {
        this.#held = all
        return none
      }
      if (this.#page !== true) {
        this.#page = false
        return all
      }
    }
    return this.#split(all)
  }

  end(): Buffer {
    if (this.#page === null) this.#page = beginsAsDocument(`${this.#held.toString('latin1')}<`)
    if (this.#page !== true) return this.#held
    return this.#atBody ? Buffer.concat([this.#script, this.#held]) : Buffer.concat([this.#held, this.#script])
  }

  #split(all: Buffer): Buffer {
    const text = all.toString('latin1').toLowerCase()
    const at = lastBodyEnd(text)
    this.#atBody = at !== -1 && all.length - at <= mostHeld
    if (this.#atBody) return this.#hold(all, at)
    // '</bod' may be the beginning of one.
    const open = text.lastIndexOf('<')
    return open !== -1 && '</body'.startsWith(text.slice(open)) ? this.#hold(all, open) : all
  }

  #hold(all: Buffer, from: number): Buffer {
    this.#held = Buffer.from(all.subarray(from))
    return all.subarray(0, from)
  }
}

function lastBodyEnd(text: string): number {
  for (let at = text.lastIndexOf('</body'); at !== -1; at = at === 0 ? -1 : text.lastIndexOf('</body', at - 1)) {
    // Cut off here, or followed by what ends a tag's name.
    if (at + 6 >= text.length || /[\s/>]/.test(text[at + 6] as string)) return at
  }
  return -1
}

/** Is it a whole document, not a part of one? null: not enough of it is there to say. */
function beginsAsDocument(start: string): boolean | null {
  const rest = start.replace(/^\u00ef\u00bb\u00bf/, '').replace(/^(?:\s+|<!--[^]*?-->|<\?[^>]*>)*/, '')
  if (/^<(?:!doctype\s+html|html|head|body)[\s>]/i.test(rest)) return true
  if (rest === '' || /^<!--/.test(rest)) return null
  return ['<!doctype html', '<html', '<head', '<body'].some((begin) => begin.startsWith(rest.toLowerCase()) || rest.toLowerCase() === begin) ? null : false
}
