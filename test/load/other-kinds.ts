import type { Context } from './context.ts'
import { Line } from './context.ts'
import { failure, type Failure } from './failure.ts'
import { requestHead, seedOf } from './http-kinds.ts'
import type { OpenEntry } from './ledger.ts'
import { Pace } from './pace.ts'
import type { ReplyHead } from './reply-parser.ts'
import type { Sink } from './wire.ts'

/** Requests of one connection before it takes a new one: what an app of the user's own sees of fresh connections. */
const requestsPerConnection = 10

/**
 * GETs of one path of an app that knows no contract: the status below 400, the reply complete by its framing, and,
 * where it has a strong ETag, the same bytes for the same ETag (RFC 9110, 8.8.3).
 */
export async function plain(context: Context, known: Map<string, Buffer>): Promise<void> {
  const pace = new Pace(context)
  const line = new Line(context, 'plain')
  const request = requestHead(context, 'GET', context.options.plainPath)
  for (let count = 1; await pace.turn(); count++) {
    const entry = context.begin('plain')
    const wire = await line.get(entry)
    if (wire === null) continue
    const reply = context.reply(wire, entry, {
      status: 'below-400', body: null, named: false, judge: (head, body) => sameForSameTag(known, head, body),
    })
    entry.sent(wire.number)
    wire.write(request)
    await reply
    if (count % requestsPerConnection === 0) line.drop()
  }
  line.drop()
}

function sameForSameTag(known: Map<string, Buffer>, head: ReplyHead, body: Buffer): Failure | null {
  const tag = head.headers.get('etag')
  if (tag === undefined || tag.startsWith('W/')) return null
  const before = known.get(tag)
  if (before === undefined) known.set(tag, body)
  else if (!before.equals(body)) return failure('wrong-byte', `another body than before for the ETag ${tag}`)
  return null
}

/** Requests broken off by the client at some moment: nothing is owed to it, and the server must not keep anything. */
export async function abort(context: Context): Promise<void> {
  const pace = new Pace(context)
  while (await pace.turn()) {
    const entry = context.begin('abort')
    const wire = await context.dial(entry, 'abort')
    if (wire === null) continue
    const reply = context.reply(wire, entry, { status: 200, body: null, named: true })
    entry.sent(wire.number)
    const upload = context.options.random.between(0, 1) === 1
    wire.write(upload ? `${requestHead(context, 'POST', '/echo', ['content-length: 5000', 'content-type: application/octet-stream'])}half`
      : requestHead(context, 'GET', `/stream?chunks=50&ms=100&size=500&seed=${seedOf(context)}`))
    await context.pause(context.options.random.between(0, 300))
    entry.aborted()
    context.forget(wire)
    await reply
  }
}

/** Events of one stream before the client leaves it. */
const eventsPerStream = 20

/** Server-sent events: numbered without a gap, and an end only after a blank line. */
export async function events(context: Context): Promise<void> {
  const pace = new Pace(context)
  while (await pace.turn()) {
    const entry = context.begin('events')
    const wire = await context.dial(entry, 'events')
    if (wire === null) continue
    await new Promise<void>((resolve) => {
      const { stopping, requestTimeoutMs } = context.options
      const over = (): void => {
        clearTimeout(timer)
        stopping.removeEventListener('abort', leave)
        resolve()
      }
      const leave = (): void => {
        entry.aborted()
        over()
      }
      const timer = setTimeout(() => {
        entry.failed(failure('timeout', `fewer than ${eventsPerStream} events in ${requestTimeoutMs} ms`))
        over()
      }, requestTimeoutMs)
      stopping.addEventListener('abort', leave)
      wire.owe(new EventCheck(entry, over))
      entry.sent(wire.number)
      wire.write(requestHead(context, 'GET', '/events?ms=50', ['accept: text/event-stream']))
    })
    context.forget(wire)
  }
}

class EventCheck implements Sink {
  readonly #entry: OpenEntry
  readonly #settled: () => void
  #text = ''
  #last = 0
  #count = 0

  constructor(entry: OpenEntry, settled: () => void) {
    this.#entry = entry
    this.#settled = settled
  }

  head(head: ReplyHead): void {
    const release = head.headers.get('x-release') ?? null
    this.#entry.head(head.status, release)
    if (head.status !== 200) this.#wrong(failure('wrong-status', `${head.status} instead of 200`))
    else if (release === null) this.#wrong(failure('no-release', 'no x-release in the reply'))
    else if (!head.headers.get('content-type')?.startsWith('text/event-stream')) {
      this.#wrong(failure('wrong-header', `Content-Type ${head.headers.get('content-type')}`))
    }
  }

  data(chunk: Buffer): void {
    this.#entry.bytes += chunk.length
    this.#text += chunk.toString()
    const events = this.#text.split('\n\n')
    this.#text = events.pop()!
    for (const event of events) if (event !== '') this.#event(event)
  }

  end(): void {
    this.#over(failure('truncated', 'the stream ended within an event'))
  }

  fail(why: Failure): void {
    if (why.code === 'truncated') this.#over(why)
    else this.#wrong(why)
  }

  #event(text: string): void {
    const id = Number(/^id: ([0-9]+)$/m.exec(text)?.[1])
    if (this.#last !== 0 && id !== this.#last + 1) this.#wrong(failure('wrong-event', `event ${id} after ${this.#last}`))
    this.#last = id
    if (++this.#count < eventsPerStream) return
    this.#entry.ok()
    this.#settled()
  }

  /** The server may end the stream, but at no other place than after a blank line. */
  #over(why: Failure): void {
    if (this.#text !== '' || !this.#entry.hasHead) this.#wrong(why)
    this.#entry.ended()
    this.#settled()
  }

  #wrong(why: Failure): void {
    this.#entry.failed(why)
    this.#settled()
  }
}
