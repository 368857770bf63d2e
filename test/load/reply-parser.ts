import { Fault } from './failure.ts'

export interface ReplyHead {
  readonly status: number
  /** Lower-case names; fields of one name are joined by ', ' (RFC 9110, 5.3). */
  readonly headers: ReadonlyMap<string, string>
  /** May another request follow on this connection (RFC 9112, 9.3)? */
  readonly keepAlive: boolean
}

export interface ReplyEvents {
  head(head: ReplyHead): void
  data(chunk: Buffer): void
  end(): void
  /** After a 101: what follows is no longer HTTP. */
  upgraded(rest: Buffer): void
}

type State =
  | { readonly at: 'head' }
  | { readonly at: 'fixed'; left: number }
  | { readonly at: 'chunk-size' | 'chunk-end' | 'trailers' | 'until-close' | 'upgraded' }
  | { readonly at: 'chunk'; left: number }

const headLimit = 64 * 1024
const statusLine = /^HTTP\/1\.([01]) ([1-9][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*)?$/
const fieldLine = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)[ \t]*$/
const empty = Buffer.alloc(0)

/**
 * Reads the replies on one connection, one after another, by RFC 9112 and with no leniency: what a browser would
 * mend is a Fault here. Interim replies (1xx) are passed over.
 */
export class ReplyParser {
  readonly #events: ReplyEvents
  #state: State = { at: 'head' }
  #pending: Buffer = empty

  constructor(events: ReplyEvents) {
    this.#events = events
  }

  /** Is it between two replies, with nothing read of the next? */
  get idle(): boolean {
    return this.#state.at === 'head' && this.#pending.length === 0
  }

  /** Throws Fault `malformed`. */
  feed(chunk: Buffer): void {
    let rest = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk])
    this.#pending = empty
    while (rest.length > 0) {
      const next = this.#step(rest)
      if (next === null) {
        if (rest.length > headLimit) throw new Fault('malformed', `a line or head of over ${headLimit} bytes`)
        this.#pending = rest
        return
      }
      rest = next
    }
  }

  /** The peer closed in order. True when that completes the reply or comes between two. */
  finish(): boolean {
    if (this.#state.at === 'until-close') {
      this.#end()
      return true
    }
    return this.idle
  }

  /** Takes one element off; null when it is not all there yet. */
  #step(buffer: Buffer): Buffer | null {
    const state = this.#state
    switch (state.at) {
      case 'head': {
        const end = buffer.indexOf('\r\n\r\n', 0, 'latin1')
        if (end < 0) return null
        const rest = buffer.subarray(end + 4)
        return this.#head(buffer.toString('latin1', 0, end), rest)
      }
      case 'fixed':
      case 'chunk': {
        const part = buffer.subarray(0, state.left)
        state.left -= part.length
        if (part.length > 0) this.#events.data(part)
        if (state.left === 0) {
          if (state.at === 'fixed') this.#end()
          else this.#state = { at: 'chunk-end' }
        }
        return buffer.subarray(part.length)
      }
      case 'chunk-size': {
        const line = takeLine(buffer)
        if (line === null) return null
        const size = /^([0-9A-Fa-f]{1,8})(?:;.*)?$/.exec(line.text)
        if (size === null) throw new Fault('malformed', `chunk size ${JSON.stringify(line.text.slice(0, 40))}`)
        const left = Number.parseInt(size[1]!, 16)
        this.#state = left === 0 ? { at: 'trailers' } : { at: 'chunk', left }
        return line.rest
      }
      case 'chunk-end': {
        if (buffer.length < 2) return null
        if (buffer[0] !== 13 || buffer[1] !== 10) throw new Fault('malformed', 'no CRLF after a chunk')
        this.#state = { at: 'chunk-size' }
        return buffer.subarray(2)
      }
      case 'trailers': {
        const line = takeLine(buffer)
        if (line === null) return null
        if (line.text === '') this.#end()
        else if (!fieldLine.test(line.text)) throw new Fault('malformed', `trailer ${JSON.stringify(line.text.slice(0, 80))}`)
        return line.rest
      }
      case 'until-close':
        this.#events.data(buffer)
        return empty
      case 'upgraded':
        this.#events.upgraded(buffer)
        return empty
    }
  }

  #head(text: string, rest: Buffer): Buffer {
    const [first = '', ...lines] = text.split('\r\n')
    const start = statusLine.exec(first)
    if (start === null) throw new Fault('malformed', `status line ${JSON.stringify(first.slice(0, 80))}`)
    const headers = new Map<string, string>()
    for (const line of lines) {
      const field = fieldLine.exec(line)
      if (field === null) throw new Fault('malformed', `header line ${JSON.stringify(line.slice(0, 80))}`)
      const name = field[1]!.toLowerCase()
      const before = headers.get(name)
      headers.set(name, before === undefined ? field[2]! : `${before}, ${field[2]!}`)
    }
    const status = Number(start[2])
    const connection = (headers.get('connection') ?? '').toLowerCase().split(/[ \t]*,[ \t]*/)
    const head = { status, headers, keepAlive: start[1] === '1' ? !connection.includes('close') : connection.includes('keep-alive') }
    if (status === 101) {
      this.#state = { at: 'upgraded' }
      this.#events.head(head)
      this.#events.upgraded(rest)
      return empty
    }
    if (status < 200) return rest
    this.#events.head(head)
    this.#frame(head)
    return rest
  }

  /** RFC 9112, 6.3. */
  #frame({ status, headers }: ReplyHead): void {
    const length = headers.get('content-length')
    const coding = headers.get('transfer-encoding')
    if (coding !== undefined) {
      if (length !== undefined) throw new Fault('malformed', 'both Content-Length and Transfer-Encoding')
      if (coding.toLowerCase() !== 'chunked') throw new Fault('malformed', `Transfer-Encoding: ${coding}`)
    }
    if (length !== undefined && !/^[0-9]{1,15}$/.test(length)) throw new Fault('malformed', `Content-Length: ${length}`)
    if (status === 204 || status === 304 || length === '0') this.#end()
    else if (coding !== undefined) this.#state = { at: 'chunk-size' }
    else if (length !== undefined) this.#state = { at: 'fixed', left: Number(length) }
    else this.#state = { at: 'until-close' }
  }

  #end(): void {
    this.#state = { at: 'head' }
    this.#events.end()
  }
}

function takeLine(buffer: Buffer): { text: string; rest: Buffer } | null {
  const end = buffer.indexOf('\r\n', 0, 'latin1')
  return end < 0 ? null : { text: buffer.toString('latin1', 0, end), rest: buffer.subarray(end + 2) }
}
