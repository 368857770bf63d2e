// A WebSocket backend on a free port: echoes every message, says how each connection was closed. Prints its port.
import { createServer } from 'node:http'
import { WebSocketServer } from 'ws'

const server = createServer((req, res) => res.end('http'))
const sockets = new WebSocketServer({ server, maxPayload: 64 * 1024 * 1024 })
sockets.on('connection', (socket, req) => {
  if (req.url === '/push') for (let n = 0; n < 1000; n += 1) socket.send(`${n}`)
  socket.on('message', (data, binary) => socket.send(data, { binary }))
  socket.on('close', (code) => process.stdout.write(`closed ${code}\n`))
  socket.on('error', () => {})
})
server.listen(0, '127.0.0.1', () => process.stdout.write(`port ${server.address().port}\n`))
