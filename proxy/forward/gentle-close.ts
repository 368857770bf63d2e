import type { Socket } from 'node:net'

/** How long a connection is still read after our FIN, in milliseconds. */
const lingerMs = 2_000
/** How long a peer may read nothing of what was written before our FIN, in milliseconds. */
const stalledMs = 30_000

const closing = new WeakSet<Socket>()

/**
 * Closes a connection so that its peer can read all that was written: says FIN, then throws away what still comes until
 * the peer closes too, or 2 s have passed. Destroying at once makes the kernel answer unread bytes with RST, and RST
 * takes the reply out of the peer's receive buffer (RFC 9112 9.6).
 */
export function closeGently(socket: Socket): void {
  if (socket.destroyed || closing.has(socket)) return
  closing.add(socket)
  const linger = (): void => {
    // With FIN from both sides Node destroys it by itself.
    const timer = setTimeout(() => socket.destroy(), lingerMs)
    timer.unref()
    socket.once('close', () => clearTimeout(timer))
  }
  if (socket.writableFinished) linger()
  else socket.once('finish', linger)
  socket.setTimeout(stalledMs, () => socket.destroy())
  socket.end()
  socket.resume()
}
