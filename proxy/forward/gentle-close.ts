import type { Socket } from 'node:net'

/** How long a connection that was closed on our side is still read, in milliseconds. */
const lingerMs = 2_000

/**
 * Closes a client's connection so that it can read all that was written: says FIN, then throws away what still comes
 * until the client closes too or 2 s have passed. Destroying at once makes the kernel answer unread bytes with RST,
 * and RST takes the reply out of the client's receive buffer (RFC 9112 9.6).
 */
export function closeGently(socket: Socket): void {
  if (socket.destroyed || lingering.has(socket)) return
  lingering.add(socket)
  const timer = setTimeout(() => socket.destroy(), lingerMs)
  timer.unref()
  socket.once('close', () => clearTimeout(timer))
  // A FIN that came earlier raises no second 'end': then both directions are done once ours is.
  if (socket.readableEnded) socket.once('finish', () => socket.destroy())
  else socket.once('end', () => { if (socket.writableFinished) socket.destroy() })
  socket.setTimeout(0)
  socket.end()
  socket.resume()
}

const lingering = new WeakSet<Socket>()
