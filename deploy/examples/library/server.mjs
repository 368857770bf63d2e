// A server that uses gracer's library itself: it takes up a socket that was handed down, by gracer or by systemd, says
// when it is ready and not before, and drains without losing the requests that http.Server.close() loses.
// With no socket handed down it listens on PORT, as any server does.
import { listen, notifier, softDrain } from 'gracer'
import { createServer } from 'node:http'
import { basename } from 'node:path'

const release = process.env.GRACER_RELEASE ?? basename(import.meta.dirname)

const server = createServer((_req, res) => {
  res.writeHead(200, { 'content-type': 'text/plain' }).end(`hello, release ${release}\n`)
})

const { port, inherited } = await listen(server, { port: Number(process.env.PORT ?? 3000) })
// Warm the caches here: until ready() is said, the old release answers.
notifier.ready()
console.log(`library: release ${release}, ${inherited ? 'took up' : 'listening on'} port ${port}`)

const hurry = new AbortController()
process.once('SIGTERM', async () => {
  // A second one ends the patience.
  process.once('SIGTERM', () => hurry.abort())
  notifier.stopping()
  const { finished, cut } = await softDrain(server, { timeoutMs: 10_000, signal: hurry.signal })
  console.log(`library: ${finished} requests finished, ${cut} cut`)
  process.exit(0)
})
