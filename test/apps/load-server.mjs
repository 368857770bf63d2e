// The server of the load app, on plain node:http and the ws package. The paths are the contract of test/load.
import { createServer } from 'node:http'
import { WebSocketServer } from 'ws'
import { behaviour, dieInMidReply, misbehave } from './load-behaviour.mjs'
import { digestLine, newDigest, numbers, seededBytes } from './load-contract.mjs'

/** Not listening yet; with its WebSockets and its event streams, which somebody must end. */
export function createLoadServer(release) {
  const streams = new Set()

  const server = createServer((req, res) => {
    if (misbehave(req, res, release)) return
    const url = new URL(req.url, 'http://localhost')
    res.setHeader('x-release', release)
    const route = routes[`${req.method} ${url.pathname}`]
    if (route) route(req, res, url.searchParams)
    else send(res, 404, 'no such path\n')
  })
  if (behaviour.keepAliveTimeoutMs !== undefined) server.keepAliveTimeout = behaviour.keepAliveTimeoutMs

  const routes = {
    'GET /': (_req, res) => send(res, 200, `release ${release}\n`),
    'GET /healthz': (_req, res) => send(res, 200, 'ok\n'),
    'GET /bytes': (_req, res, query) => {
      const { n, seed } = numbers(query, { n: 1024, seed: 1 })
      send(res, 200, seededBytes(seed, n), 'application/octet-stream')
    },
    'POST /echo': (req, res) => {
      const length = req.headers['content-length']
      res.writeHead(200, { 'content-type': 'application/octet-stream', ...(length && { 'content-length': length }) })
      req.on('error', () => res.destroy())
      req.pipe(res)
    },
    'POST /digest': (req, res) => {
      const hash = newDigest()
      let length = 0
      req.on('data', (chunk) => {
        hash.update(chunk)
        length += chunk.length
      })
      req.on('end', () => send(res, 200, digestLine(hash, length)))
      req.on('error', () => res.destroy())
    },
    'GET /slow': (_req, res, query) => {
      const { ms } = numbers(query, { ms: 1000 })
      setTimeout(() => send(res, 200, `waited ${ms} ms\n`), ms)
    },
    'GET /stream': (_req, res, query) => {
      const { chunks, ms, size, seed } = numbers(query, { chunks: 5, ms: 100, size: 1024, seed: 1 })
      const bytes = seededBytes(seed, chunks * size)
      let sent = 0
      res.writeHead(200, { 'content-type': 'application/octet-stream' })
      const timer = setInterval(() => {
        res.write(bytes.subarray(sent * size, (sent + 1) * size))
        if (++sent < chunks) return
        clearInterval(timer)
        res.end()
      }, ms)
      res.on('close', () => clearInterval(timer))
    },
    'GET /events': (_req, res, query) => {
      const { ms } = numbers(query, { ms: 100 })
      let id = 0
      res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store', connection: 'close' })
      const timer = setInterval(() => res.write(`id: ${++id}\ndata: ${release} ${id}\n\n`), ms)
      streams.add(res)
      res.on('close', () => {
        clearInterval(timer)
        streams.delete(res)
      })
    },
    'GET /die': (_req, res) => dieInMidReply(res, release),
  }

  const sockets = new WebSocketServer({ server, path: '/ws' })
  sockets.on('headers', (headers) => headers.push(`x-release: ${release}`))
  sockets.on('connection', (socket) => {
    socket.on('error', () => socket.terminate())
    socket.on('message', (data, binary) => socket.send(data, { binary }))
  })
  return { server, sockets, streams }
}

function send(res, status, body, type = 'text/plain; charset=utf-8') {
  res.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) })
  res.end(body)
}
