import type { IncomingMessage, ServerResponse } from 'node:http'
import type { OwnAnswer } from '../../proxy/forward/front.ts'
import { liveScript } from './live-script.ts'
import { scriptPath } from './rewriter.ts'

/** What pages are told. A page whose key is another than this one's, while nothing is under way, is an old page. */
export interface LiveState {
  readonly key: string
  /** What is under way, for people; null: nothing. */
  readonly busy: string | null
  /** Only stylesheets differ between the page of this key and the present one. */
  readonly stylesFrom: string | null
}

const eventsPath = '/__gracer/events'
const prefix = '/__gracer/'
const beatMs = 15_000

/** The event stream to the open pages, and the script that listens to it. */
export class LiveStream {
  readonly #clients = new Set<ServerResponse>()
  readonly #state: () => LiveState
  #beat: NodeJS.Timeout | null = null

  constructor(state: () => LiveState) {
    this.#state = state
  }

  get pages(): number {
    return this.#clients.size
  }

  answerTo(path: string): OwnAnswer | null {
    if (!path.startsWith(prefix)) return null
    if (path === scriptPath) return (req, res) => answer(req, res, 200, 'text/javascript; charset=utf-8', liveScript)
    if (path === eventsPath) return (req, res) => this.#open(req, res)
    return (req, res) => answer(req, res, 404, 'text/plain; charset=utf-8', `gracer dev has ${scriptPath} and ${eventsPath} here, and nothing else.\n`)
  }

  tell(): void {
    const message = this.#message()
    for (const client of this.#clients) client.write(message)
  }

  /** Ends all streams: the browsers come back by themselves as soon as somebody listens again. */
  close(): void {
    if (this.#beat !== null) clearInterval(this.#beat)
    for (const client of this.#clients) client.end()
    this.#clients.clear()
  }

  #open(req: IncomingMessage, res: ServerResponse): void {
    res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no' })
    if (req.method === 'HEAD') {
      res.end()
      return
    }
    res.write(`retry: 1000\n${this.#message()}`)
    this.#clients.add(res)
    res.once('close', () => this.#clients.delete(res))
    this.#beat ??= setInterval(() => { for (const client of this.#clients) client.write(': still here\n\n') }, beatMs).unref()
  }

  #message(): string {
    return `data: ${JSON.stringify(this.#state())}\n\n`
  }
}

function answer(req: IncomingMessage, res: ServerResponse, status: number, type: string, text: string): void {
  res.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(text), 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' })
  res.end(req.method === 'HEAD' ? undefined : text)
}
