import net from 'node:net'

import { ownSockets, type InheritedSocket, type InheritedSockets } from './inherited-sockets.ts'
import { notifier } from './notify.ts'

type Listen = (this: net.Server, ...args: unknown[]) => net.Server

/**
 * Replaces net.Server.prototype.listen so that a program which knows nothing of inheriting listens on what it was handed:
 * the call for the port of an inherited socket, or for PORT; failing that the first call for any fixed TCP port, with a
 * warning, except the ports listed in GRACER_KEEP_PORTS. Calls for port 0, unix paths, handles and descriptors are left
 * alone. READY is said when the last inherited socket is listened on.
 *
 * In a cluster primary it is the primary's own listen, made for its workers, that is turned (round robin, the default).
 */
export function turnListen(): void {
  const sockets = ownSockets()
  if (sockets.unused.length === 0) return
  const { listen } = net.Server.prototype as unknown as { listen: Listen }
  const choose = chooser(sockets)
  const turned: Listen = function (...args) {
    const port = fixedPort(args)
    const socket = port === undefined ? undefined : choose(port)
    if (socket === undefined) return listen.apply(this, args)
    this.once('listening', () => {
      if (sockets.unused.length === 0) notifier.ready()
    })
    closeOnAbort(this, args[0])
    return listen.call(this, socket.handle, ...backlogOf(args), ...args.filter((arg) => typeof arg === 'function').slice(0, 1))
  }
  Object.assign(net.Server.prototype, { listen: turned })
}

/** Decides which inherited socket a listen on this port gets, if any. */
function chooser(sockets: InheritedSockets): (port: number) => InheritedSocket | undefined {
  const ownPort = Number(process.env['PORT'])
  const kept = new Set((process.env['GRACER_KEEP_PORTS'] ?? '').split(',').map(Number))
  delete process.env['GRACER_KEEP_PORTS']
  let guessed: number | undefined
  return (port) => {
    const exact = sockets.take({ port })
    if (exact !== undefined) return exact
    if (guessed !== undefined && port === ownPort) {
      warn(`the socket handed down is meant for port ${port}, but the program listened on ${guessed} first and that got it. Listen on PORT first, or set "socket": "port".`)
    }
    if (kept.has(port)) return undefined
    const first = sockets.take({ kind: 'tcp' })
    if (first === undefined || port === ownPort) return first
    const given = first.address === null ? '' : `${first.address.host}:${first.address.port}`
    guessed = port
    warn(`listening on ${given}, handed down, instead of port ${port}. Let the program listen on process.env.PORT to be sure.`)
    return first
  }
}

/**
 * The TCP port that a call of listen() asks for, or undefined where it asks for none or for any. As in node:net:
 * `listen(port)` and `listen({ port })` with a number or a numeric string, unless a handle or descriptor is given.
 */
export function fixedPort(args: readonly unknown[]): number | undefined {
  const [first] = args
  if (typeof first !== 'object' || first === null) return portNumber(first)
  const { port, fd, handle, _handle } = first as { port?: unknown; fd?: unknown; handle?: unknown; _handle?: unknown }
  if (Boolean(handle) || Boolean(_handle) || (typeof fd === 'number' && fd >= 0)) return undefined
  return portNumber(port)
}

function portNumber(value: unknown): number | undefined {
  if (typeof value !== 'number' && (typeof value !== 'string' || value.trim() === '')) return undefined
  const port = Number(value)
  return Number.isInteger(port) && port > 0 && port < 65536 ? port : undefined
}

/** listen(port, host, backlog), listen(port, backlog) and listen({ backlog }): node:net takes it behind the handle. */
function backlogOf(args: readonly unknown[]): number[] {
  const [first, second, third] = args
  const given = typeof first === 'object' && first !== null ? (first as { backlog?: unknown }).backlog : (asNumber(second) ?? asNumber(third))
  return typeof given === 'number' && given > 0 ? [given] : []
}

function asNumber(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined
}

/** The `signal` of listen({ signal }), which node:net does not look at behind a handle. */
function closeOnAbort(server: net.Server, options: unknown): void {
  const signal = typeof options === 'object' && options !== null ? (options as { signal?: AbortSignal }).signal : undefined
  if (signal === undefined) return
  if (signal.aborted) process.nextTick(() => server.close())
  else signal.addEventListener('abort', () => server.close(), { once: true })
}

function warn(text: string): void {
  process.stderr.write(`gracer: ${text}\n`)
}
