/**
 * JSON with errors a person can find: line, column and what stood there. JSON.parse words its errors differently in
 * every version of Node and often gives no position, and takes the last of two equal keys in silence.
 * Grammar: RFC 8259, and comments as in JavaScript.
 */
export type JsonText =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly line: number; readonly column: number; readonly message: string }

const deepest = 64

export function parseJsonText(source: string): JsonText {
  const text = withoutComments(source.startsWith('\uFEFF') ? source.slice(1) : source)
  try {
    new Walker(text).document()
  } catch (error) {
    if (!(error instanceof Misplaced)) throw error
    const before = text.slice(0, error.at).split('\n')
    return { ok: false, line: before.length, column: (before.at(-1) ?? '').length + 1, message: error.message }
  }
  return { ok: true, value: JSON.parse(text) as unknown }
}

/** Blanks in their place, so that positions stay. A comment without an end stays too, and is found where it begins. */
function withoutComments(text: string): string {
  return text.replace(/"(?:[^"\\\n]|\\.)*"?|\/\/[^\n]*|\/\*[^]*?\*\//g, (part) => (part.startsWith('"') ? part : part.replace(/[^\n\r]/g, ' ')))
}

class Misplaced extends Error {
  readonly at: number
  constructor(message: string, at: number) {
    super(message)
    this.at = at
  }
}

class Walker {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  document(): void {
    this.#value(0)
    if (this.#peek() !== '') this.#expected('the end of the file')
  }

  #peek(): string {
    while (/[ \t\n\r]/.test(this.#text.charAt(this.#at))) this.#at++
    return this.#text.charAt(this.#at)
  }

  #expected(what: string): never {
    const rest = this.#text.slice(this.#at)
    const comment = rest.startsWith('/*') ? '; this comment has no end' : ''
    const came = rest === '' ? 'the end of the file' : JSON.stringify(/^(?:[\w$-]{1,20}|[^])/.exec(rest)?.[0] ?? '')
    throw new Misplaced(`expected ${what}, got ${came}${comment}`, this.#at)
  }

  #take(pattern: RegExp, what: string): string {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#text)?.[0]
    if (found === undefined) this.#expected(what)
    this.#at += found.length
    return found
  }

  #string(what: string): string {
    if (this.#peek() !== '"') this.#expected(what)
    // A control character or a bad escape ends the match early; the error then stands where the string begins.
     
    const quoted = this.#take(/"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*"/y, 'a string that ends on its own line')
    return JSON.parse(quoted) as string
  }

  #value(depth: number): void {
    if (depth > deepest) throw new Misplaced(`nested deeper than ${deepest} levels`, this.#at)
    const first = this.#peek()
    if (first === '{') this.#object(depth)
    else if (first === '[') this.#array(depth)
    else if (first === '"') this.#string('a string')
    else if (/[-\d]/.test(first)) this.#take(/-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])/y, 'a number as JSON writes it')
    else this.#take(/(?:true|false|null)\b/y, 'a value')
  }

  #object(depth: number): void {
    this.#at++
    const seen = new Set<string>()
    if (this.#peek() === '}') return void this.#at++
    for (;;) {
      this.#peek()
      const start = this.#at
      const key = this.#string('a key in double quotes')
      if (seen.has(key)) throw new Misplaced(`the key ${JSON.stringify(key)} stands here a second time`, start)
      seen.add(key)
      if (this.#peek() !== ':') this.#expected('":" after the key')
      this.#at++
      this.#value(depth + 1)
      const next = this.#peek()
      if (next !== ',' && next !== '}') this.#expected('"," or "}"')
      this.#at++
      if (next === '}') return
    }
  }

  #array(depth: number): void {
    this.#at++
    if (this.#peek() === ']') return void this.#at++
    for (;;) {
      this.#value(depth + 1)
      const next = this.#peek()
      if (next !== ',' && next !== ']') this.#expected('"," or "]"')
      this.#at++
      if (next === ']') return
    }
  }
}
