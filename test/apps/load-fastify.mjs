// The contract of test/load as a fastify app, in fastify's own style.
import Fastify from 'fastify'
import { PassThrough } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocketServer } from 'ws'
import { behaviour, dieInMidReply, leaveOnSigterm, listenWhenDue, misbehave, misbehaveAtBoot } from './load-behaviour.mjs'
import { digestLine, newDigest, numbers, releaseName, seededBytes } from './load-contract.mjs'

misbehaveAtBoot()
const release = releaseName()
const streams = new Set()
const app = Fastify({
  bodyLimit: 64 * 1024 * 1024,
  ...(behaviour.keepAliveTimeoutMs !== undefined && { keepAliveTimeout: behaviour.keepAliveTimeoutMs }),
})
const query = (request) => new URL(request.raw.url, 'http://localhost').searchParams

app.addHook('onRequest', (request, reply, done) => {
  if (misbehave(request.raw, reply.raw, release)) {
    reply.hijack()
    return
  }
  reply.header('x-release', release)
  done()
})
// Uploads are handed on as the stream they are.
app.addContentTypeParser('application/octet-stream', (_request, payload, done) => done(null, payload))

app.get('/', async () => `release ${release}\n`)
app.get('/healthz', async () => 'ok\n')
app.get('/bytes', async (request, reply) => {
  const { n, seed } = numbers(query(request), { n: 1024, seed: 1 })
  reply.type('application/octet-stream')
  return seededBytes(seed, n)
})
app.post('/echo', async (request, reply) => {
  const length = request.headers['content-length']
  if (length) reply.header('content-length', length)
  reply.type('application/octet-stream')
  return reply.send(request.body)
})
app.post('/digest', async (request) => {
  const hash = newDigest()
  let length = 0
  for await (const chunk of request.body) {
    hash.update(chunk)
    length += chunk.length
  }
  return digestLine(hash, length)
})
app.get('/slow', async (request) => {
  const { ms } = numbers(query(request), { ms: 1000 })
  await sleep(ms)
  return `waited ${ms} ms\n`
})
app.get('/stream', (request, reply) => {
  const { chunks, ms, size, seed } = numbers(query(request), { chunks: 5, ms: 100, size: 1024, seed: 1 })
  const bytes = seededBytes(seed, chunks * size)
  const body = new PassThrough()
  let sent = 0
  const timer = setInterval(() => {
    body.write(bytes.subarray(sent * size, (sent + 1) * size))
    if (++sent < chunks) return
    clearInterval(timer)
    body.end()
  }, ms)
  body.on('close', () => clearInterval(timer))
  reply.type('application/octet-stream').send(body)
})
app.get('/events', (request, reply) => {
  const { ms } = numbers(query(request), { ms: 100 })
  const body = new PassThrough()
  let id = 0
  const timer = setInterval(() => body.write(`id: ${++id}\ndata: ${release} ${id}\n\n`), ms)
  streams.add(body)
  body.on('close', () => {
    clearInterval(timer)
    streams.delete(body)
  })
  reply.headers({ 'cache-control': 'no-store', connection: 'close' }).type('text/event-stream').send(body)
})
app.get('/die', (_request, reply) => {
  reply.hijack()
  dieInMidReply(reply.raw, release)
})

const sockets = new WebSocketServer({ server: app.server, path: '/ws' })
sockets.on('headers', (headers) => headers.push(`x-release: ${release}`))
sockets.on('connection', (socket) => {
  socket.on('error', () => socket.terminate())
  socket.on('message', (data, binary) => socket.send(data, { binary }))
})
listenWhenDue(async () => {
  await app.listen({ port: Number(process.env.PORT ?? 3000), host: process.env.HOST ?? '127.0.0.1' })
  console.log(`release ${release}, pid ${process.pid}, listening on port ${app.server.address()?.port}`)
})
leaveOnSigterm(app.server, sockets.clients, streams)
