import type { Socket } from 'node:net'

/** More than this is left in the kernel until the handshake is answered. */
const most = 65_536

/**
 * Holds what a client sends before its WebSocket handshake is answered: nothing of it may reach the upstream, which has
 * not agreed to speak anything but HTTP. Reading on is what shows that the client has gone.
 */
export class EarlyBytes {
  readonly #socket: Socket
  readonly #chunks: Buffer[] = []
  #length = 0
  readonly #hold = (chunk: Buffer): void => {
    this.#chunks.push(chunk)
    this.#length += chunk.length
    if (this.#length > most) this.#socket.pause()
  }

  readonly #left = (): void => {
    this.#socket.destroy()
  }

  constructor(socket: Socket, head: Buffer) {
    this.#socket = socket
    if (head.length > 0) this.#hold(head)
    socket.on('data', this.#hold)
    socket.on('end', this.#left)
  }

  /** Ends the holding and gives what came, for whoever reads from now on. */
  take(): Buffer {
    this.#socket.off('data', this.#hold)
    this.#socket.off('end', this.#left)
    return Buffer.concat(this.#chunks.splice(0))
  }
}
