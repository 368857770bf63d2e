// The upgrade by a socket file. Parent and child exchange what is listened on ({ addr, fd, filename }) and a "ready";
// a child that is not ready in 5 s is ended, a parent that has not drained in 20 s cuts what is left.
// Whoever may open the socket file can ask for an upgrade (see handshake-ask.mjs); it is 0600 in a folder 0700.
import { serve } from 'gracer'

const running = await serve((_request, response) => response.end(`pid ${process.pid}, generation ${running.generation}\n`), {
  port: Number(process.env.PORT ?? 3000),
  control: 'run/control.sock',
  startTimeoutMs: 5_000,
  drainTimeoutMs: 20_000,
})
console.log(`handshake: pid ${process.pid}, generation ${running.generation}, ${running.inherited ? 'took up' : 'bound'} port ${running.address.port}`)
