// The contract of test/load as an express app, in express's own style.
import express from 'express'
import { WebSocketServer } from 'ws'
import { createServer } from 'node:http'
import { behaviour, dieInMidReply, leaveOnSigterm, listenWhenDue, misbehave, misbehaveAtBoot } from './load-behaviour.mjs'
import { digestLine, newDigest, numbers, releaseName, seededBytes } from './load-contract.mjs'

misbehaveAtBoot()
const release = releaseName()
const streams = new Set()
const app = express()
const query = (req) => new URL(req.originalUrl, 'http://localhost').searchParams

app.use((req, res, next) => {
  if (!misbehave(req, res, release)) next()
})
app.use((_req, res, next) => {
  res.set('x-release', release)
  next()
})
app.get('/', (_req, res) => res.type('text').send(`release ${release}\n`))
app.get('/healthz', (_req, res) => res.type('text').send('ok\n'))
app.get('/bytes', (req, res) => {
  const { n, seed } = numbers(query(req), { n: 1024, seed: 1 })
  res.type('application/octet-stream').send(seededBytes(seed, n))
})
app.post('/echo', (req, res) => {
  const length = req.get('content-length')
  if (length) res.set('content-length', length)
  req.on('error', () => res.destroy())
  req.pipe(res)
})
app.post('/digest', (req, res, next) => {
  const hash = newDigest()
  let length = 0
  req.on('data', (chunk) => {
    hash.update(chunk)
    length += chunk.length
  })
  req.on('end', () => res.type('text').send(digestLine(hash, length)))
  req.on('error', next)
})
app.get('/slow', (req, res) => {
  const { ms } = numbers(query(req), { ms: 1000 })
  setTimeout(() => res.type('text').send(`waited ${ms} ms\n`), ms)
})
app.get('/stream', (req, res) => {
  const { chunks, ms, size, seed } = numbers(query(req), { chunks: 5, ms: 100, size: 1024, seed: 1 })
  const bytes = seededBytes(seed, chunks * size)
  let sent = 0
  res.type('application/octet-stream')
  const timer = setInterval(() => {
    res.write(bytes.subarray(sent * size, (sent + 1) * size))
    if (++sent < chunks) return
    clearInterval(timer)
    res.end()
  }, ms)
  res.on('close', () => clearInterval(timer))
})
app.get('/events', (req, res) => {
  const { ms } = numbers(query(req), { ms: 100 })
  let id = 0
  res.set({ 'content-type': 'text/event-stream', 'cache-control': 'no-store', connection: 'close' })
  res.flushHeaders()
  const timer = setInterval(() => res.write(`id: ${++id}\ndata: ${release} ${id}\n\n`), ms)
  streams.add(res)
  res.on('close', () => {
    clearInterval(timer)
    streams.delete(res)
  })
})
app.get('/die', (_req, res) => dieInMidReply(res, release))

const server = createServer(app)
if (behaviour.keepAliveTimeoutMs !== undefined) server.keepAliveTimeout = behaviour.keepAliveTimeoutMs
const sockets = new WebSocketServer({ server, path: '/ws' })
sockets.on('headers', (headers) => headers.push(`x-release: ${release}`))
sockets.on('connection', (socket) => {
  socket.on('error', () => socket.terminate())
  socket.on('message', (data, binary) => socket.send(data, { binary }))
})
listenWhenDue(() => {
  server.listen(process.env.PORT ?? 3000, process.env.HOST, () => {
    console.log(`release ${release}, pid ${process.pid}, listening on port ${server.address()?.port}`)
  })
})
leaveOnSigterm(server, sockets.clients, streams)
