import { failure, type Failure } from './failure.ts'
import type { OpenEntry } from './ledger.ts'
import type { ReplyHead } from './reply-parser.ts'
import type { Sink } from './wire.ts'

export interface Expected {
  readonly status: number | 'below-400'
  /** The body, byte for byte; null where `judge` looks at it or nothing is known of it. */
  readonly body: Buffer | null
  /** Bodies that other requests on this connection expect: one of these instead means a wrong order. */
  readonly others?: readonly Buffer[]
  /** Must the reply carry Content-Length? */
  readonly declared?: boolean
  /** Must the reply name its release? */
  readonly named: boolean
  /** Looks at the whole reply where the body is not known beforehand. */
  readonly judge?: (head: ReplyHead, body: Buffer) => Failure | null
}

const excerptLimit = 200

/**
 * Checks one reply and settles its entry. The first thing that is wrong is what the entry says; the reply is read to
 * its end all the same, so that the one behind it in a pipeline is judged by itself.
 */
export class ReplyCheck implements Sink {
  readonly #entry: OpenEntry
  readonly #expected: Expected
  readonly #settled: () => void
  #head: ReplyHead | null = null
  #wrong: Failure | null = null
  #excerpt = ''
  readonly #kept: Buffer[] = []

  constructor(entry: OpenEntry, expected: Expected, settled: () => void) {
    this.#entry = entry
    this.#expected = expected
    this.#settled = settled
  }

  head(head: ReplyHead): void {
    const { status, named, declared, body } = this.#expected
    this.#head = head
    const release = head.headers.get('x-release') ?? null
    this.#entry.head(head.status, release)
    const length = head.headers.get('content-length')
    if (status === 'below-400' ? head.status >= 400 : head.status !== status) this.#note(failure('wrong-status', `${head.status} instead of ${status === 'below-400' ? 'one below 400' : status}`))
    else if (named && release === null) this.#note(failure('no-release', 'no x-release in the reply'))
    else if (declared && length === undefined) this.#note(failure('wrong-header', 'no Content-Length in the reply'))
    else if (body !== null && length !== undefined && Number(length) !== body.length) {
      this.#note(failure('wrong-length', `Content-Length ${length} instead of ${body.length}`))
    }
  }

  data(chunk: Buffer): void {
    const at = this.#entry.bytes
    this.#entry.bytes += chunk.length
    if (this.#excerpt.length < excerptLimit && this.#wrong?.code === 'wrong-status') this.#excerpt += chunk.toString('latin1')
    if (this.#expected.judge !== undefined) this.#kept.push(chunk)
    const body = this.#expected.body
    if (body === null || this.#wrong !== null) return
    if (at + chunk.length > body.length) {
      this.#note(failure('wrong-length', `more than the ${body.length} bytes expected`))
      return
    }
    if (chunk.equals(body.subarray(at, at + chunk.length))) return
    const other = this.#expected.others?.some((bytes) => chunk.equals(bytes.subarray(at, at + chunk.length)))
    this.#note(other ? failure('wrong-order', `from byte ${at} on it is the reply to another request of this connection`)
      : differing(chunk, body, at))
  }

  end(): void {
    const { body, judge } = this.#expected
    if (body !== null && this.#entry.bytes < body.length) {
      this.#note(failure('wrong-length', `${this.#entry.bytes} bytes instead of ${body.length}`))
    }
    if (this.#wrong === null && judge !== undefined && this.#head !== null) {
      this.#wrong = judge(this.#head, Buffer.concat(this.#kept))
    }
    if (this.#wrong === null) this.#entry.ok()
    else this.#entry.failed(this.#withExcerpt(this.#wrong))
    this.#settled()
  }

  fail(why: Failure): void {
    const bytes = this.#entry.hasHead ? `${why.detail} (after ${this.#entry.bytes} bytes of the body)` : why.detail
    this.#entry.failed(failure(why.code, bytes))
    this.#settled()
  }

  #note(wrong: Failure): void {
    this.#wrong ??= wrong
  }

  #withExcerpt(wrong: Failure): Failure {
    const text = this.#excerpt.slice(0, excerptLimit).trim()
    return text === '' ? wrong : failure(wrong.code, `${wrong.detail}: ${text}`)
  }
}

function differing(chunk: Buffer, body: Buffer, at: number): Failure {
  let i = 0
  while (chunk[i] === body[at + i]) i++
  return failure('wrong-byte', `byte ${at + i} is ${chunk[i]} instead of ${body[at + i]}`)
}
