// A server that uses gracer's library: it takes up a socket that was handed down, by gracer or by systemd, says when it is
// ready and not before, and drains without losing the requests that http.Server.close() loses. With no socket handed down
// it listens on PORT, as any server does, and `kill -USR2` has it replace itself.
import { serve } from 'gracer'
import { basename } from 'node:path'

const release = process.env.GRACER_RELEASE ?? basename(import.meta.dirname)

// Warm the caches here: until serve() is called, the old release answers.
const { address, inherited } = await serve(
  (_req, res) => res.writeHead(200, { 'content-type': 'text/plain' }).end(`hello, release ${release}\n`),
  {
    port: Number(process.env.PORT ?? 3000),
    drainTimeoutMs: 10_000,
    onClose: ({ finished, cut }) => console.log(`library: ${finished} requests finished, ${cut} cut`),
  },
)
console.log(`library: release ${release}, ${inherited ? 'took up' : 'listening on'} port ${address.port}`)
