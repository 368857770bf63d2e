import { GracerError } from './gracer-error.ts'
import { servesHost } from './same-address.ts'
import { addressOf, isConnected, openHandle, HandleFailure, type SocketAddress, type SocketHandle } from './socket-handle.ts'

/** SD_LISTEN_FDS_START of sd_listen_fds(3). */
const firstFd = 3
/** Far above what anybody passes, far below what would be an attack on this loop. */
const mostSockets = 1024

type Environment = Record<string, string | undefined>

/** A listening socket that the parent handed down, opened but not accepting: `server.listen(socket.handle)` does that. */
export interface InheritedSocket {
  readonly name: string
  readonly fd: number
  /** Read from the kernel; null for a unix socket. */
  readonly address: SocketAddress | null
  /** What net.Server.listen() takes. It owns the descriptor. */
  readonly handle: SocketHandle
}

/** Which socket is meant. Everything that is given must fit; nothing given means the first. */
export interface SocketChoice {
  readonly name?: string | undefined
  readonly host?: string | undefined
  readonly port?: number | undefined
  readonly kind?: 'tcp' | 'unix' | undefined
}

export class InheritedSockets {
  /** Where lines of KEY=value go, or undefined where the parent does not listen. */
  readonly notifyFd: number | undefined
  /** What GRACER_SUCCESSOR said, where another generation of the same program started this process; see upgrade/mark.ts. */
  readonly mark: string | undefined
  #unused: InheritedSocket[]

  constructor(sockets: readonly InheritedSocket[], notifyFd: number | undefined, mark?: string) {
    this.#unused = [...sockets]
    this.notifyFd = notifyFd
    this.mark = mark
  }

  /** Those nobody has taken yet, in the order of their descriptors. */
  get unused(): readonly InheritedSocket[] {
    return this.#unused
  }

  /** Hands out the first unused socket that fits the choice, at most once. */
  take(choice: SocketChoice = {}): InheritedSocket | undefined {
    const found = this.#unused.find((socket) => fits(socket, choice))
    if (found !== undefined) this.#unused = this.#unused.filter((socket) => socket !== found)
    return found
  }

  /**
   * Closes what nobody has taken and says how many that were. A socket that is held and not listened on is a black hole:
   * clients connect to it and wait for ever.
   */
  closeUnused(): number {
    const closing = this.#unused
    this.#unused = []
    for (const socket of closing) socket.handle.close()
    return closing.length
  }
}

function fits(socket: InheritedSocket, choice: SocketChoice): boolean {
  if (choice.name !== undefined && choice.name !== socket.name) return false
  if (choice.kind !== undefined && (choice.kind === 'unix') !== (socket.address === null)) return false
  if (choice.port !== undefined && choice.port !== socket.address?.port) return false
  return choice.host === undefined || (socket.address !== null && servesHost(socket.address.host, choice.host))
}

/**
 * Reads LISTEN_FDS, LISTEN_FDNAMES and LISTEN_PID (sd_listen_fds(3)) and GRACER_NOTIFY_FD, opens the sockets and removes
 * the variables, so that no child of this process takes them for its own. Where LISTEN_PID is not this process nothing
 * was inherited: the variables are another process's, and stay. The notify descriptor is taken where GRACER_NOTIFY_PID
 * or LISTEN_PID is this process; in a grandchild that number may be any file at all.
 *
 * Throws GracerError 'inherit-invalid': a count that is none, as many names as sockets there are not, a descriptor that
 * is closed or is no listening socket. No descriptor is closed then.
 */
export function takeUpSockets(env: Environment = process.env, pid: number = process.pid): InheritedSockets {
  const listens = isPid(env, 'LISTEN_PID', pid)
  const notifies = isPid(env, 'GRACER_NOTIFY_PID', pid) || (listens && env['GRACER_NOTIFY_PID'] === undefined)
  const notifyFd = notifies ? readNumber(env, 'GRACER_NOTIFY_FD', firstFd) : undefined
  const sockets = listens ? openSockets(env) : []
  const mark = notifyFd === undefined ? undefined : env['GRACER_SUCCESSOR']
  if (listens) remove(env, ['LISTEN_FDS', 'LISTEN_FDNAMES', 'LISTEN_PID', 'LISTEN_PIDFDID'])
  if (notifies) remove(env, ['GRACER_NOTIFY_FD', 'GRACER_NOTIFY_PID', 'GRACER_SUCCESSOR'])
  return new InheritedSockets(sockets, notifyFd, mark)
}

const shared = Symbol.for('gracer.inherited-sockets.1')

/**
 * The sockets of this process, read once. Kept on globalThis because the preload and the program may have a copy of this
 * module each, and a descriptor can be opened only once.
 */
export function ownSockets(): InheritedSockets {
  const holder = globalThis as { [shared]?: InheritedSockets }
  holder[shared] ??= takeUpSockets()
  return holder[shared]
}

function openSockets(env: Environment): InheritedSocket[] {
  const count = readNumber(env, 'LISTEN_FDS', 0) ?? 0
  if (count > mostSockets) throw invalid(`LISTEN_FDS=${count} is more than the ${mostSockets} that are supported`)
  const given = env['LISTEN_FDNAMES']
  const names = given === undefined || given === '' ? undefined : given.split(':')
  if (names !== undefined && names.length !== count) {
    throw invalid(`LISTEN_FDNAMES has ${names.length} names ("${given}") and LISTEN_FDS says ${count} sockets`)
  }
  // 'unknown' is what sd_listen_fds_with_names(3) says of a socket without a name.
  return Array.from({ length: count }, (_, index) => openSocket(firstFd + index, names?.[index] ?? 'unknown'))
}

function openSocket(fd: number, name: string): InheritedSocket {
  let handle
  try {
    handle = openHandle(fd)
  } catch (failure) {
    if (!(failure instanceof HandleFailure)) throw failure
    throw invalid(`descriptor ${fd} ("${name}"), promised by LISTEN_FDS, is closed or not a stream socket`, failure)
  }
  if (isConnected(handle)) throw invalid(`descriptor ${fd} ("${name}") is one accepted connection, not a listening socket (in systemd: Accept=no)`)
  const address = addressOf(handle, 'or-unix')
  if (typeof address === 'number') throw invalid(`descriptor ${fd} ("${name}") has no address`)
  return { name, fd, address, handle }
}

function isPid(env: Environment, name: string, pid: number): boolean {
  return readNumber(env, name, 1) === pid
}

/** A whole number of at least `least`, or undefined where the variable is not set. */
function readNumber(env: Environment, name: string, least: number): number | undefined {
  const text = env[name]
  if (text === undefined || text === '') return undefined
  const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN
  if (!(value >= least)) throw invalid(`${name}="${text}" is not a whole number of at least ${least}`)
  return value
}

function remove(env: Environment, names: readonly string[]): void {
  for (const name of names) delete env[name]
}

function invalid(what: string, cause?: unknown): GracerError {
  return new GracerError(`cannot take up the sockets that were handed down: ${what}`, {
    code: 'inherit-invalid',
    hint: 'They follow sd_listen_fds(3): LISTEN_FDS sockets from descriptor 3 on, LISTEN_PID the reader’s own pid.',
    cause,
  })
}
