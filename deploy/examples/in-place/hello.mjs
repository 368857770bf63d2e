// Hello world, upgraded with `kill -USR2 $(cat hello.pid)` after this file was replaced. One line is different from the
// server it was: serve() instead of listen().
import { serve } from 'gracer'
import { createServer } from 'node:http'

const text = 'hello, world'
let connections = 0

const server = createServer((_request, response) => response.end(`${text}\n`))
server.on('connection', (socket) => {
  connections += 1
  // Probes that find dead clients: TCP's own keep-alive, after three minutes of silence.
  socket.setKeepAlive(true, 180_000)
})

const { generation } = await serve(server, {
  port: Number(process.env.PORT ?? 3000),
  pidFile: 'hello.pid',
  onClose: ({ finished, cut }) => console.log(`hello: pid ${process.pid} took ${connections} connections; in its drain ${finished} requests finished, ${cut} cut`),
})
console.log(`hello: pid ${process.pid}, generation ${generation}`)
