import { createHash } from 'node:crypto'
import { seededBytes } from './bytes.ts'
import { Line, type Context } from './context.ts'
import type { Kind } from './kinds.ts'
import type { OpenEntry } from './ledger.ts'
import { Pace } from './pace.ts'
import type { Expected } from './reply-check.ts'
import type { Wire } from './wire.ts'

export function requestHead(context: Context, method: string, path: string, fields: readonly string[] = []): string {
  const { host, port } = context.options.address
  const name = host.includes(':') ? `[${host}]` : host
  return [`${method} ${path} HTTP/1.1`, `host: ${name}:${port}`, 'user-agent: gracer-load', ...fields, '', ''].join('\r\n')
}

export function seedOf(context: Context): number {
  return context.options.random.between(0, 0xfffffffe)
}

interface BytesAsk {
  readonly path: string
  readonly expected: Expected
}

/** A GET of some bytes of its own: a reply meant for another request cannot pass for this one's. */
function askForBytes(context: Context, n: number): BytesAsk {
  const seed = seedOf(context)
  return { path: `/bytes?n=${n}&seed=${seed}`, expected: { status: 200, body: seededBytes(seed, n), declared: true, named: true } }
}

/** One request, written at once, on a connection of `line`. */
async function once(context: Context, line: Line, kind: Kind, request: string | Buffer, expected: Expected): Promise<void> {
  const entry = context.begin(kind)
  const wire = await line.get(entry)
  if (wire === null) return
  const reply = context.reply(wire, entry, expected)
  entry.sent(wire.number)
  wire.write(request)
  await reply
}

/** Most replies small, some of many packets. */
function someLength(context: Context): number {
  const { random } = context.options
  return random.between(1, 20) === 1 ? random.between(20_000, 100_000) : random.between(1, 2000)
}

async function eachTurn(context: Context, kind: Kind, act: (line: Line) => Promise<void>): Promise<void> {
  const pace = new Pace(context)
  const line = new Line(context, kind)
  while (await pace.turn()) await act(line)
  line.drop()
}

export function keepAlive(context: Context): Promise<void> {
  return eachTurn(context, 'keep-alive', (line) => {
    const { path, expected } = askForBytes(context, someLength(context))
    return once(context, line, 'keep-alive', requestHead(context, 'GET', path), expected)
  })
}

export function fresh(context: Context): Promise<void> {
  return eachTurn(context, 'fresh', async (line) => {
    const { path, expected } = askForBytes(context, someLength(context))
    await once(context, line, 'fresh', requestHead(context, 'GET', path, ['connection: close']), expected)
    line.drop()
  })
}

export function post(context: Context): Promise<void> {
  return eachTurn(context, 'post', (line) => {
    const body = seededBytes(seedOf(context), someLength(context))
    const head = requestHead(context, 'POST', '/echo', ['content-type: application/octet-stream', `content-length: ${body.length}`])
    return once(context, line, 'post', Buffer.concat([Buffer.from(head), body]), { status: 200, body, named: true })
  })
}

export function slow(context: Context): Promise<void> {
  return eachTurn(context, 'slow', (line) => {
    const ms = context.options.random.between(1050, 1600)
    const expected = { status: 200, body: Buffer.from(`waited ${ms} ms\n`), named: true }
    return once(context, line, 'slow', requestHead(context, 'GET', `/slow?ms=${ms}`), expected)
  })
}

export function stream(context: Context): Promise<void> {
  return eachTurn(context, 'stream', (line) => {
    const { random } = context.options
    const [chunks, ms, size, seed] = [random.between(4, 12), random.between(50, 200), random.between(1, 3000), seedOf(context)]
    const expected = { status: 200, body: seededBytes(seed, chunks * size), named: true }
    const path = `/stream?chunks=${chunks}&ms=${ms}&size=${size}&seed=${seed}`
    return once(context, line, 'stream', requestHead(context, 'GET', path), expected)
  })
}

/** Two requests in one write; the replies are of one length, so that only their bytes tell them apart. */
export function pipeline(context: Context): Promise<void> {
  return eachTurn(context, 'pipeline', async (line) => {
    const n = context.options.random.between(16, 2000)
    const [first, second] = [askForBytes(context, n), askForBytes(context, n)]
    const entry = context.begin('pipeline')
    const wire = await line.get(entry)
    if (wire === null) return
    const next = context.begin('pipeline')
    const both = [
      context.reply(wire, entry, { ...first.expected, others: [second.expected.body!] }),
      context.reply(wire, next, { ...second.expected, others: [first.expected.body!] }),
    ]
    const at = process.hrtime.bigint()
    entry.sent(wire.number, at)
    next.sent(wire.number, at)
    wire.write(requestHead(context, 'GET', first.path) + requestHead(context, 'GET', second.path))
    await Promise.all(both)
  })
}

/** Chunked uploads in slow motion, to /echo and to /digest by turns. */
export function upload(context: Context): Promise<void> {
  let count = 0
  return eachTurn(context, 'upload', async (line) => {
    const path = count++ % 2 === 0 ? '/digest' : '/echo'
    const body = seededBytes(seedOf(context), context.options.random.between(100, 20_000))
    const entry = context.begin('upload')
    const wire = await line.get(entry)
    if (wire === null) return
    const answer = path === '/echo' ? body : Buffer.from(`${createHash('sha256').update(body).digest('hex')} ${body.length}\n`)
    const reply = context.reply(wire, entry, { status: 200, body: answer, named: true })
    entry.sent(wire.number)
    wire.write(requestHead(context, 'POST', path, ['content-type: application/octet-stream', 'transfer-encoding: chunked']))
    const finished = await trickle(context, wire, entry, body)
    if (finished) wire.write('0\r\n\r\n')
    await reply
    if (!finished) line.drop()
  })
}

/** Writes the body in pieces over about 1.5 s. False when the entry was settled before the end of it. */
async function trickle(context: Context, wire: Wire, entry: OpenEntry, body: Buffer): Promise<boolean> {
  const pieces = 6
  const size = Math.ceil(body.length / pieces)
  for (let at = 0; at < body.length; at += size) {
    await context.pause(1500 / pieces)
    if (entry.settled) return false
    const piece = body.subarray(at, at + size)
    wire.write(Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')]))
  }
  return true
}
