import net from 'node:net'
import { lookup } from 'node:dns/promises'

import { bindFailure, describeAddress } from './bind-failure.ts'
import { GracerError } from './gracer-error.ts'

export interface ListenOptions {
  /** Which of several sockets handed down is meant; gracer's own are called after what they serve. */
  readonly name?: string | undefined
  /** Where to bind when no socket was handed down: a number, or its digits as they come in a variable. Default 0: any free port. */
  readonly port?: number | string | undefined
  /** Default: every address of the machine. */
  readonly host?: string | undefined
  /** A unix socket instead of host and port. */
  readonly path?: string | undefined
  /** Length of the kernel's queue of connections not accepted yet. Default 511. */
  readonly backlog?: number | undefined
}

/** The same, checked: what is not given is not there. */
export interface Place {
  readonly name?: string
  readonly port?: number
  readonly host?: string
  readonly path?: string
  readonly backlog?: number
}

/**
 * Throws GracerError `${caller}-options` (exit 2) that names the option, what was expected and what came: net.Server takes
 * some of them for "any free port". `where` is said behind the option's name.
 */
export function readListenOptions(options: ListenOptions, caller: 'listen' | 'serve', where = ''): Place {
  const { name, port, host, path, backlog } = options
  const wrong = (option: string, expected: string, got: unknown): GracerError =>
    new GracerError(`${caller}: the option "${option}"${where} must be ${expected}, not ${shown(got)}`, { code: `${caller}-options`, exitCode: 2 })
  for (const [option, value] of Object.entries({ name, host, path })) {
    if (value !== undefined && (typeof value !== 'string' || value === '')) throw wrong(option, 'a text', value)
  }
  const number = typeof port === 'string' && /^\d{1,5}$/.test(port) ? Number(port) : port
  if (number !== undefined && (typeof number !== 'number' || !Number.isInteger(number) || number < 0 || number > 65535)) {
    throw wrong('port', 'a number from 0 (any free port) to 65535', port)
  }
  if (backlog !== undefined && (!Number.isSafeInteger(backlog) || backlog < 1)) throw wrong('backlog', 'a whole number of at least 1', backlog)
  if (path !== undefined && number !== undefined) {
    throw new GracerError(`${caller}: "path" and "port"${where} exclude each other: a socket is a unix socket or one of TCP`, { code: `${caller}-options`, exitCode: 2 })
  }
  return {
    ...(name === undefined ? {} : { name }),
    ...(number === undefined ? {} : { port: number }),
    ...(host === undefined ? {} : { host }),
    ...(path === undefined ? {} : { path }),
    ...(backlog === undefined ? {} : { backlog }),
  }
}

/** For messages: JSON has no word for NaN, undefined and functions. */
export function shown(value: unknown): string {
  if (typeof value === 'number') return String(value)
  return typeof value === 'function' ? 'a function' : (JSON.stringify(value) ?? String(value))
}

/** A host name's first address, as net.Server takes it. Rejects with GracerError 'bind-failed'. */
export async function resolvedHost({ host, port = 0 }: Place): Promise<string | undefined> {
  if (host === undefined || net.isIP(host) !== 0) return host
  try {
    return (await lookup(host)).address
  } catch (cause) {
    throw bindFailure(describeAddress(host, port), cause)
  }
}
