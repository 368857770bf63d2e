import net from 'node:net'

import { bindFailure, describeAddress, errnoName } from './bind-failure.ts'
import { GracerError } from './gracer-error.ts'
import { servesHost } from './same-address.ts'
import { addressOf, bindHandle, isConnected, openHandle } from './socket-handle.ts'

/** A public port that is held and not accepted on: its descriptor is passed to children, and outlives each of them. */
export interface BareSocket {
  readonly fd: number
  readonly host: string
  readonly port: number
  /** Lets go of this process's copy; children keep theirs. A second call does nothing. */
  close(): void
}

/**
 * Binds host:port and neither listens nor accepts. Connections are refused until the first child listens on the
 * descriptor; from then on the kernel queues them for as long as this process lives, whatever becomes of the children.
 *
 * `host` is an IPv4 or IPv6 literal; names are resolved by the caller. Port 0 takes a free one.
 * Throws GracerError: 'port-taken' (somebody listens there), 'port-forbidden', 'address-not-available', 'host-not-literal',
 * 'bind-failed'. Somebody who is bound there but has not listened yet cannot be seen (Linux, socket(7), SO_REUSEADDR):
 * then the first child's listen fails with EADDRINUSE.
 */
export function bindWithoutAccepting(host: string, port: number): BareSocket {
  if (net.isIP(host) === 0) throw new GracerError(`"${host}" is not an IPv4 or IPv6 address`, { code: 'host-not-literal' })
  const where = describeAddress(host, port)
  let bound
  try {
    bound = bindHandle(host, port)
  } catch (failure) {
    throw bindFailure(where, failure)
  }
  const { address } = bound
  if (address.port === 0 || (port !== 0 && address.port !== port)) {
    bound.close()
    throw new GracerError(`bound ${where}, but the kernel says port ${address.port}`, { code: 'bind-failed' })
  }
  return bareSocket(bound, address.host, address.port)
}

/** As node:net without a host: on ::, which takes IPv4 too, or on 0.0.0.0 where the machine has no IPv6. */
export function bindEverywhere(port: number): BareSocket {
  try {
    return bindWithoutAccepting('::', port)
  } catch (error) {
    const { code } = error as GracerError
    if (code === 'port-taken' || code === 'port-forbidden') throw error
    return bindWithoutAccepting('0.0.0.0', port)
  }
}

/**
 * Takes over an inherited descriptor (LISTEN_FDS from systemd) without listening or accepting, after reading its real
 * address: order and names of descriptors are only what somebody wrote into a unit.
 *
 * Throws GracerError: 'not-a-listening-socket' (closed, a file, UDP, unix, one connection), 'socket-address-mismatch'
 * (with both addresses). The descriptor stays open when it throws.
 */
export function adoptSocket(fd: number, wanted: { readonly host?: string; readonly port?: number } = {}): BareSocket {
  let handle
  try {
    handle = openHandle(fd)
  } catch (failure) {
    throw notListening(fd, errnoName(failure) ?? String(failure), failure)
  }
  const address = addressOf(handle)
  if (typeof address === 'number') throw notListening(fd, 'it is a unix socket or a pipe', undefined)
  if (isConnected(handle)) throw notListening(fd, 'it is one accepted connection (in systemd: Accept=no is needed)', undefined)
  if (address.port === 0) throw notListening(fd, 'it is bound to no port', undefined)
  const found = describeAddress(address.host, address.port)
  if ((wanted.port !== undefined && wanted.port !== address.port) || (wanted.host !== undefined && !servesHost(address.host, wanted.host))) {
    const asked = describeAddress(wanted.host ?? '*', wanted.port ?? address.port)
    throw new GracerError(`descriptor ${fd} is bound to ${found}, not to ${asked}`, {
      code: 'socket-address-mismatch',
      hint: 'Make the listen address and the socket unit (ListenStream=) agree.',
    })
  }
  return bareSocket(handle, address.host, address.port)
}

function bareSocket(handle: { readonly fd: number; close(): void }, host: string, port: number): BareSocket {
  let open = true
  return {
    fd: handle.fd,
    host,
    port,
    close(): void {
      if (!open) return
      open = false
      handle.close()
    },
  }
}

function notListening(fd: number, why: string, cause: unknown): GracerError {
  return new GracerError(`descriptor ${fd} is not a TCP socket one can listen on: ${why}`, { code: 'not-a-listening-socket', cause })
}
