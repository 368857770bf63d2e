import type { Server } from 'node:http'

/** Connections that the kernel keeps while the worker is busy, or between two workers (listen(2)). */
const backlog = 4_096

export interface PublicSocketOptions {
  readonly server: Server
  readonly listening: () => void
  readonly failed: (code: string, message: string) => void
  /** A connection could not be accepted, for want of descriptors or memory: said at most every ten seconds. */
  readonly troubled: (message: string) => void
}

const troubledMs = 10_000

/**
 * The socket on which a worker accepts: inherited, or, for one that was started before the port was free, sent by the
 * master once it has it. It is listened on when there is a table as well, whichever of the two comes last.
 */
export class PublicSocket {
  readonly #options: PublicSocketOptions
  #socket: { readonly fd: number } | { readonly handle: unknown } | 'missing' | null
  #mayListen = false
  #began = false
  #troubledAt = -Infinity

  /** `socket`: null where it is still to be sent. */
  constructor(socket: { readonly fd: number } | 'missing' | null, options: PublicSocketOptions) {
    this.#socket = socket
    this.#options = options
  }

  /** It is still to be sent. */
  get awaited(): boolean {
    return this.#socket === null
  }

  /** There is a table. */
  listen(): void {
    this.#mayListen = true
    this.#begin()
  }

  given(handle: unknown): void {
    this.#socket ??= handle === undefined ? 'missing' : { handle }
    this.#begin()
  }

  #begin(): void {
    const socket = this.#socket
    if (socket === null || !this.#mayListen || this.#began) return
    this.#began = true
    const { server, listening, failed } = this.#options
    if (socket === 'missing') return failed('no-socket', 'no socket named "public" was passed down')
    const fail = (error: NodeJS.ErrnoException): void => failed(error.code ?? 'unknown', error.message)
    const begun = (): void => {
      server.off('error', fail)
      // What goes wrong with one connection must not end all others: the next one may well be accepted.
      server.on('error', (error) => this.#trouble(error))
      listening()
    }
    server.once('error', fail)
    if ('fd' in socket) server.listen({ fd: socket.fd, backlog }, begun)
    else server.listen(socket.handle, backlog, begun)
  }

  #trouble(error: Error): void {
    const now = performance.now()
    if (now - this.#troubledAt < troubledMs) return
    this.#troubledAt = now
    this.#options.troubled(error.message)
  }
}
