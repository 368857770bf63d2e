import type { Socket } from 'node:net'

/** What Node's own timeouts go by (lib/net.js, _onTimeout). */
interface StreamHandle {
  readonly bytesWritten?: number
  readonly writeQueueSize?: number
}

/**
 * Bytes that the kernel has taken for the peer: while more of them wait, a number that does not rise is a peer that does
 * not read. Without Node's handle only whole writes are seen to be taken.
 */
export function sentBytes(socket: Socket): number {
  const handle = (socket as { _handle?: StreamHandle | null })._handle
  if (typeof handle?.bytesWritten === 'number' && typeof handle.writeQueueSize === 'number') return handle.bytesWritten - handle.writeQueueSize
  return socket.bytesWritten - socket.writableLength
}
