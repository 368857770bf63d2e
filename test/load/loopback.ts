import { isIPv4, isIPv6 } from 'node:net'
import { GracerError } from '../../inherit/gracer-error.ts'
import type { Address } from './wire.ts'

export interface Target {
  /** http://HOST:PORT/; a path in it is the plain path's default. */
  readonly url?: string
  readonly host?: string
  readonly port?: number
}

/**
 * The address to load. Loopback only: this is a test's client, and no tool against somebody's server.
 * Throws `load-target` for anything else.
 */
export function loopbackAddress(target: Target): Address {
  const { host, port } = target.url === undefined ? { host: target.host ?? '127.0.0.1', port: target.port } : fromUrl(target.url)
  if (port === undefined || !Number.isInteger(port) || port < 1 || port > 65535) {
    throw refusal(`'${port}' is no port`, 'Give http://127.0.0.1:PORT.')
  }
  if (!isLoopback(host)) throw refusal(`'${host}' is not this machine`, 'The load goes to 127.0.0.1, ::1 or localhost only.')
  return { host, port }
}

function fromUrl(text: string): { host: string; port: number } {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || url.protocol !== 'http:') throw refusal(`'${text}' is no http address`, 'Give http://127.0.0.1:PORT.')
  return { host: url.hostname.replace(/^\[|\]$/g, ''), port: url.port === '' ? 80 : Number(url.port) }
}

/** Names under localhost never leave the machine (RFC 6761, 6.3). */
function isLoopback(host: string): boolean {
  if (isIPv4(host)) return host.startsWith('127.')
  return isIPv6(host) ? host === '::1' : host === 'localhost' || host.endsWith('.localhost')
}

function refusal(what: string, hint: string): GracerError {
  return new GracerError(`load: ${what}`, { code: 'load-target', exitCode: 2, hint })
}
