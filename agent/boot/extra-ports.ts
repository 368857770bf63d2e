import { readFileSync } from 'node:fs'
import net from 'node:net'
import { freePort } from '../../inherit/ephemeral-socket.ts'
import { GracerError } from '../../inherit/gracer-error.ts'

/** Where numbers are looked for, as far as the kernel does not give them to outgoing connections. */
const wanted = { from: 20_000, to: 30_000 }
const tries = 200

/**
 * A number for each "auto", free now and not in `taken`. They lie outside the range from which the kernel takes the ports
 * of outgoing connections, so that a release that crashed finds its own still free.
 * @throws GracerError 'no-free-port'
 */
export async function extraPorts(ports: ReadonlyMap<string, 'auto' | number>, taken: ReadonlySet<number>): Promise<Record<string, number>> {
  const given: Record<string, number> = {}
  const used = new Set(taken)
  for (const [name, port] of ports) {
    const number = port === 'auto' ? await freeOutside(used) : port
    used.add(number)
    given[name] = number
  }
  return given
}

async function freeOutside(used: ReadonlySet<number>): Promise<number> {
  const { from, to } = outsideOf(localRange())
  for (let left = tries; left > 0; left -= 1) {
    const port = from === to ? await freePort('127.0.0.1') : from + Math.floor(Math.random() * (to - from))
    if (!used.has(port) && (await isFree(port))) return port
  }
  throw new GracerError(`no free port was found between ${from} and ${to}`, { code: 'no-free-port', hint: 'Look at what listens there: ss -tln.' })
}

/** ip(7), ip_local_port_range; null where it cannot be read. */
function localRange(): { readonly from: number; readonly to: number } | null {
  try {
    const [from = 0, to = 0] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').trim().split(/\s+/).map(Number)
    return { from, to }
  } catch {
    return null
  }
}

/** The wanted numbers, or what lies below or above the kernel's; from equal to to: nothing lies outside. */
export function outsideOf(local: { readonly from: number; readonly to: number } | null): { readonly from: number; readonly to: number } {
  if (local === null || local.from >= wanted.to || local.to < wanted.from) return wanted
  if (local.from > 3_000) return { from: Math.max(1_025, local.from - 8_000), to: local.from }
  if (local.to < 62_000) return { from: local.to + 1, to: 65_000 }
  return { from: 0, to: 0 }
}

/** Whether it can be listened on at every address. */
function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = net.createServer()
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EAFNOSUPPORT' && error.code !== 'EADDRNOTAVAIL') return resolve(false)
      const old = net.createServer()
      old.once('error', () => resolve(false))
      old.listen({ port, host: '0.0.0.0' }, () => old.close(() => resolve(true)))
    })
    server.listen({ port, host: '::' }, () => server.close(() => resolve(true)))
  })
}
