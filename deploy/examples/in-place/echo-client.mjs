// Sends its name every second over one connection: node echo-client.mjs NAME [PORT]
import { connect } from 'node:net'

const [name = 'world', port = '7000'] = process.argv.slice(2)
const socket = connect(Number(port), '127.0.0.1', () => {
  const tick = () => socket.write(`${name}\n`)
  tick()
  setInterval(tick, Number(process.env.EVERY_MS ?? 1000))
})
socket.pipe(process.stdout)
socket.on('error', (error) => {
  console.error(`echo-client: ${error.message}`)
  process.exit(1)
})
socket.on('close', () => process.exit(1))
