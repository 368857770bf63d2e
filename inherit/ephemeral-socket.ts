import net from 'node:net'

import { bindFailure, describeAddress } from './bind-failure.ts'

/**
 * Listens on a free port, calls `during(fd, port)` and closes this process's copy of the socket in the same tick,
 * whether `during` returned or threw, so that this process never accepts a connection. `during` spawns the child that
 * gets the descriptor; connections made before the child listens wait in the kernel's queue.
 *
 * `during` must be synchronous: what it starts later finds the descriptor closed. `host` is an IP literal.
 * Throws GracerError as bindWithoutAccepting does, or whatever `during` throws.
 */
export function listenEphemeral<T>(host: string, during: (fd: number, port: number) => T): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const server = net.createServer()
    server.on('error', (error) => reject(bindFailure(describeAddress(host, 0), error)))
    server.listen({ host, port: 0, exclusive: true }, () => {
      const { port } = server.address() as net.AddressInfo
      try {
        resolve(during(descriptorOf(server), port))
      } catch (error) {
        reject(error as Error)
      } finally {
        server.close()
      }
    })
  })
}

/**
 * A port that was free a moment ago, for programs that know nothing but PORT. Somebody else may take it before they do:
 * the caller must be ready to try again with another one.
 */
export function freePort(host = '127.0.0.1'): Promise<number> {
  return listenEphemeral(host, (_fd, port) => port)
}

/** Of a server that listens. */
export function descriptorOf(server: net.Server): number {
  // Undocumented, but what `stdio: [server._handle]` and every process manager relies on since Node 0.10.
  const fd = (server as net.Server & { _handle?: { fd?: number } | null })._handle?.fd
  if (fd === undefined || fd < 0) throw new Error(`this runtime (${process.version}) does not show the descriptor of a server`)
  return fd
}
