// A server that ends at SIGTERM in the way that DRAIN names. For `npm run bench -- drain`.
import http from 'node:http'
import { listen, notifier, softDrain } from '../../dist/inherit/index.js'

const way = process.env.DRAIN
let leaving = false
const server = http.createServer(async (request, response) => {
  let size = 0
  for await (const chunk of request) size += chunk.length
  if (leaving && way === 'close-and-header') response.setHeader('Connection', 'close')
  response.end(String(size))
})
await listen(server, { port: 0 })
notifier.ready()
process.on('SIGTERM', async () => {
  leaving = true
  // As most programs do it: http.Server.close(), which on Node 19 and later also closes what is idle.
  if (way === 'soft') await softDrain(server, { timeoutMs: 10_000 })
  else await new Promise((resolve) => server.close(resolve))
  process.exit(0)
})
