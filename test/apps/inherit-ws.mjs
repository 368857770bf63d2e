// An unmodified ws program: the WebSocket server makes and starts its HTTP server by itself.
import { WebSocketServer } from 'ws'

const server = new WebSocketServer({ port: Number(process.env.PORT) })
server.on('connection', (socket) => {
  socket.on('error', () => {})
  socket.on('message', (data) => socket.send(`echo ${data}`))
})
