import { lstat, rename, rm, stat } from 'node:fs/promises'
import type { AddressInfo, Server } from 'node:net'
import { dirname } from 'node:path'

import { bindFailure, describeAddress } from './bind-failure.ts'
import { GracerError } from './gracer-error.ts'
import { ownSockets, type InheritedSocket, type InheritedSockets } from './inherited-sockets.ts'
import { readListenOptions, type ListenOptions, type Place } from './listen-options.ts'
import { trackConnections } from './track-connections.ts'

/** sun_path of sockaddr_un less its final zero (unix(7)); macOS has 4 bytes fewer. The kernel's cut would be silent. */
const longestUnixPath = process.platform === 'darwin' ? 103 : 107

export interface ListenAddress {
  /** Null for a unix socket, as is `port`. */
  readonly host: string | null
  readonly port: number | null
  /** Null for TCP, and for an inherited unix socket, whose path cannot be read. */
  readonly path: string | null
  /** True where the socket was handed down by the process before. */
  readonly inherited: boolean
}

/**
 * Makes a server listen: on a socket that was handed down where there is one, otherwise where the options say. Of several
 * sockets the one called `name` is taken; without a name the one at exactly this address, failing that the first one of
 * its kind. A program with more than one server names each of them. Connections are tracked from here on, for softDrain.
 *
 * Rejects with GracerError: 'listen-options', 'port-taken', 'port-forbidden', 'address-not-available', 'path-too-long',
 * 'path-not-a-socket', 'inherit-invalid', 'bind-failed'.
 */
export async function listen(server: Server, options: ListenOptions = {}): Promise<ListenAddress> {
  const place = readListenOptions(options, 'listen')
  const inherited = chooseSocket(ownSockets(), place)
  return inherited === undefined ? bindAndListen(server, place) : listenOnInherited(server, inherited, place)
}

export async function listenOnInherited(server: Server, { name, handle, address }: InheritedSocket, options: Place): Promise<ListenAddress> {
  trackConnections(server)
  await listening(server, [handle, ...(options.backlog === undefined ? [] : [options.backlog])], `inherited socket "${name}"`)
  return { host: address?.host ?? null, port: address?.port ?? null, path: null, inherited: true }
}

export async function bindAndListen(server: Server, options: Place): Promise<ListenAddress> {
  trackConnections(server)
  const { host, port = 0, path, backlog } = options
  const queue = backlog === undefined ? {} : { backlog }
  if (path !== undefined) {
    await atTemporaryPath(path, (temporary) => listening(server, [{ path: temporary, ...queue }], path), () => server.close())
    return { host: null, port: null, path, inherited: false }
  }
  await listening(server, [{ port, ...(host === undefined ? {} : { host }), ...queue }], describeAddress(host ?? '*', port))
  const address = server.address() as AddressInfo
  return { host: address.address, port: address.port, path: null, inherited: false }
}

/** Takes the one that is meant out of those handed down; see `listen`. */
export function chooseSocket(sockets: InheritedSockets, options: Place): InheritedSocket | undefined {
  const { name, host, port, path } = options
  const kind = path !== undefined ? 'unix' : port !== undefined || host !== undefined ? 'tcp' : undefined
  if (name !== undefined) return sockets.take({ name, kind })
  const exact = kind === 'tcp' && port !== undefined ? (sockets.take({ host, port }) ?? sockets.take({ port })) : undefined
  return exact ?? sockets.take({ kind })
}

/**
 * Binds under another name and renames, because an old process that closes its unix socket removes the path it was
 * bound to: with the same name it would remove that of its successor, which nobody could reach any more.
 * `undo` closes what `bind` bound, where the rename fails. Rejects as `listen` does.
 */
export async function atTemporaryPath(path: string, bind: (temporary: string) => unknown, undo: () => void): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`
  if (Buffer.byteLength(temporary) > longestUnixPath) {
    throw new GracerError(`the unix socket path ${path} is too long: with ".${process.pid}.tmp" it may have ${longestUnixPath} bytes`, {
      code: 'path-too-long',
      hint: 'Choose a shorter one, for example below /run.',
    })
  }
  const there = await lstat(path).catch(() => undefined)
  if (there !== undefined && !there.isSocket()) {
    throw new GracerError(`${path} exists and is not a socket; it is left alone`, { code: 'path-not-a-socket' })
  }
  // libuv reports a missing folder as EACCES.
  await stat(dirname(temporary)).catch((error: unknown) => {
    throw bindFailure(path, error)
  })
  // Left behind by an earlier process with this pid that was killed between bind and rename.
  await rm(temporary, { force: true })
  await bind(temporary)
  try {
    await rename(temporary, path)
  } catch (error) {
    undo()
    throw bindFailure(path, error)
  }
}

function listening(server: Server, where: readonly unknown[], description: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error): void => {
      server.off('listening', succeeded)
      reject(bindFailure(description, error))
    }
    const succeeded = (): void => {
      server.off('error', failed)
      resolve()
    }
    server.once('error', failed)
    server.once('listening', succeeded)
    try {
      ;(server.listen as (...args: unknown[]) => void).apply(server, [...where])
    } catch (error) {
      // Port out of range, or the server listens already: thrown, not emitted.
      server.off('error', failed)
      failed(error as Error)
    }
  })
}
