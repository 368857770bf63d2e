// A raw TCP server: for each line with a name it says hello. `kill -USR2 PID` starts the code that lies here by then.
// A connection stays with the process that accepted it and lives through the upgrade; new ones reach the new process.
import { serve } from 'gracer'
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'

const server = createServer((socket) => {
  socket.on('error', () => socket.destroy())
  createInterface({ input: socket }).on('line', (name) => {
    socket.write(`hello ${name}, time: ${new Date().toISOString()}, pid ${process.pid}\n`)
  })
})

// The old process waits ten minutes for its clients to go. Until it has left there is no further upgrade.
const { address, generation } = await serve(server, { port: Number(process.env.PORT ?? 7000), drainTimeoutMs: 600_000 })
console.log(`echo: pid ${process.pid}, generation ${generation}, port ${address.port}`)
