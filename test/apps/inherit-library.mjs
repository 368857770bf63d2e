// A program that knows the library: takes up its socket, says so, and drains softly on SIGTERM.
import http from 'node:http'
import { listen, notifier, softDrain } from '../../dist/inherit/index.js'

const server = http.createServer(async (request, response) => {
  let size = 0
  for await (const chunk of request) size += chunk.length
  response.end(JSON.stringify({ pid: process.pid, size }))
})
notifier.status('warming\nup')
notifier.extendTimeout(1500)
const options = process.env.SOCKET_NAME ? { name: process.env.SOCKET_NAME } : { port: Number(process.env.APP_PORT ?? 0) }
const address = await listen(server, options)
notifier.ready()
console.log(JSON.stringify(address))
process.on('SIGTERM', async () => {
  notifier.stopping()
  const report = await softDrain(server, { timeoutMs: 10_000 })
  console.log(JSON.stringify(report))
  process.exit(0)
})
