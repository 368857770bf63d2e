import net from 'node:net'

/**
 * The one corner where Node's undocumented socket handles are touched: to know the real address of an inherited
 * descriptor, and to bind without listening, nothing public will do on Node 20. Everything is feature-tested here.
 */

/** The part of Node's TCP and Pipe wraps that is used. Calls return 0 or a negative errno. */
export interface SocketHandle {
  readonly fd: number
  /** Absent on a unix socket's handle: its path cannot be read. */
  getsockname?(out: AddressOut): number
  getpeername?(out: AddressOut): number
  close(callback?: () => void): void
}

interface AddressOut {
  address?: string
  port?: number
}

export interface SocketAddress {
  readonly host: string
  readonly port: number
}

/** As in node:net, where node:cluster's primary makes its sockets with it. */
interface UndocumentedNet {
  _createServerHandle?(address: string | null, port: number, family: number, fd?: number, flags?: number): SocketHandle | number
}

/** Public from Node 24.18 and 26.4 on. */
interface BoundSocketClass {
  new (options: { host: string; port: number }): { address(): { address: string; port: number }; fd(): number; close(): void }
}

const boundSocketClass = (net as unknown as { BoundSocket?: BoundSocketClass }).BoundSocket
const undocumented = net as unknown as UndocumentedNet

/** A system call that failed, with libuv's negative number: -98 is EADDRINUSE on Linux. */
export class HandleFailure extends Error {
  readonly errno: number

  constructor(step: string, errno: number) {
    super(`${step} failed with ${errno}`)
    this.name = 'HandleFailure'
    this.errno = errno
  }
}

export interface BoundHandle {
  readonly fd: number
  readonly address: SocketAddress
  close(): void
}

/**
 * Binds and does not listen. Throws HandleFailure.
 * libuv keeps a failed bind to itself until somebody asks (EADDRINUSE comes back as a handle that is not bound at all),
 * so the address is read back: getsockname() hands out the error that bind() swallowed.
 */
export function bindHandle(host: string, port: number): BoundHandle {
  if (boundSocketClass !== undefined && typeof boundSocketClass.prototype.fd === 'function') return bindPublic(boundSocketClass, host, port)
  const made = createServerHandle(host, port, net.isIPv6(host) ? 6 : 4)
  const handle = successful('bind', made)
  const address = addressOf(handle)
  if (typeof address === 'number') {
    handle.close()
    throw new HandleFailure('bind', address)
  }
  return { fd: handle.fd, address, close: () => handle.close() }
}

function bindPublic(BoundSocket: BoundSocketClass, host: string, port: number): BoundHandle {
  let socket
  try {
    socket = new BoundSocket({ host, port })
  } catch (error) {
    const errno = (error as NodeJS.ErrnoException).errno
    throw typeof errno === 'number' ? new HandleFailure('bind', errno) : error
  }
  const bound = socket.address()
  return { fd: socket.fd(), address: { host: bound.address, port: bound.port }, close: () => socket.close() }
}

/** Binds a unix socket and does not listen. Throws HandleFailure. */
export function bindPath(path: string): { readonly fd: number; close(): void } {
  // As node:net itself calls it: a port and a family of -1 mean a pipe.
  const handle = successful('bind', createServerHandle(path, -1, -1))
  return { fd: handle.fd, close: () => handle.close() }
}

/**
 * Wraps a descriptor that is open in this process, without listening or accepting on it; net.Server.listen() takes the
 * result. From here on the handle owns the descriptor. Throws HandleFailure (EINVAL: not a stream socket).
 */
export function openHandle(fd: number): SocketHandle {
  return successful('open', createServerHandle(null, 0, 0, fd))
}

/** The local address, null for a unix socket, or the negative errno. */
export function addressOf(handle: SocketHandle): SocketAddress | number
export function addressOf(handle: SocketHandle, unix: 'or-unix'): SocketAddress | number | null
export function addressOf(handle: SocketHandle, unix?: 'or-unix'): SocketAddress | number | null {
  const out: AddressOut = {}
  const failed = handle.getsockname?.(out)
  if (failed === undefined) return unix === undefined ? -22 : null
  if (failed !== 0) return failed
  return { host: out.address ?? '', port: out.port ?? 0 }
}

/** True where the socket has a peer, so that it is one connection and nothing can be accepted on it. */
export function isConnected(handle: SocketHandle): boolean {
  return handle.getpeername?.({}) === 0
}

function createServerHandle(address: string | null, port: number, family: number, fd?: number): SocketHandle | number {
  if (undocumented._createServerHandle === undefined) {
    throw new Error(`this runtime (${process.version}) offers no way to hold a socket without accepting on it`)
  }
  return undocumented._createServerHandle(address, port, family, fd)
}

function successful(step: string, handle: SocketHandle | number): SocketHandle {
  if (typeof handle === 'number') throw new HandleFailure(step, handle)
  return handle
}
