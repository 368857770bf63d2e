import { getSystemErrorName } from 'node:util'

import { GracerError } from './gracer-error.ts'

/**
 * Turns a failed bind or listen into one sentence with its remedy.
 * `failure` is anything with libuv's negative `errno`, or an ErrnoException with its `code`.
 */
export function bindFailure(where: string, failure: unknown): GracerError {
  const code = errnoName(failure)
  switch (code) {
    case 'EADDRINUSE':
      return new GracerError(`${where} is taken: another process is listening there`, {
        code: 'port-taken',
        hint: `Find it with "ss -ltnp" (macOS: "lsof -nP -iTCP -sTCP:LISTEN"), stop it, or choose another address.`,
        cause: failure,
      })
    case 'EACCES':
    case 'EPERM':
      return new GracerError(`this user may not listen on ${where}`, {
        code: 'port-forbidden',
        hint: where.includes('/')
          ? 'The folder of a unix socket must be writable for this user.'
          : 'Ports below 1024 need a systemd socket unit, the capability CAP_NET_BIND_SERVICE, or a lower net.ipv4.ip_unprivileged_port_start.',
        cause: failure,
      })
    case 'ENOENT':
      return new GracerError(`cannot listen on ${where}: its folder does not exist`, { code: 'bind-failed', cause: failure })
    case 'EADDRNOTAVAIL':
      return new GracerError(`${where} is not an address of this machine`, {
        code: 'address-not-available',
        hint: 'Listen on an address that "ip address" shows, or on 0.0.0.0 or :: for all of them.',
        cause: failure,
      })
    case 'ENOTFOUND':
      return new GracerError(`cannot listen on ${where}: this machine knows no such host name`, { code: 'bind-failed', cause: failure })
    default:
      return new GracerError(`cannot listen on ${where}: ${code ?? String(failure)}`, { code: 'bind-failed', cause: failure })
  }
}

/** `host:port` for people, with the brackets of RFC 3986 section 3.2.2 around an IPv6 address. */
export function describeAddress(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** 'EADDRINUSE' and the like, or undefined where the failure is none of the system's. */
export function errnoName(failure: unknown): string | undefined {
  if (typeof failure !== 'object' || failure === null) return undefined
  const { code, errno } = failure as { code?: unknown; errno?: unknown }
  if (typeof code === 'string' && /^E[A-Z0-9]+$/.test(code)) return code
  return typeof errno === 'number' && errno < 0 ? getSystemErrorName(errno) : undefined
}
