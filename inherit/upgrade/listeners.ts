import { lstat, rm } from 'node:fs/promises'
import net from 'node:net'

import { bindEverywhere, bindWithoutAccepting } from '../bare-socket.ts'
import { describeAddress } from '../bind-failure.ts'
import { descriptorOf } from '../ephemeral-socket.ts'
import type { PassedSocket } from '../hand-down.ts'
import type { InheritedSocket, InheritedSockets } from '../inherited-sockets.ts'
import { bindAndListen, chooseSocket, listenOnInherited, type ListenAddress } from '../listen.ts'
import { resolvedHost, type ListenOptions, type Place } from '../listen-options.ts'
import { servesHost } from '../same-address.ts'
import { softDrain, type DrainReport, type SoftDrainOptions } from '../soft-drain.ts'
import { serversOf, specsOf, type NamedSpec, type ServeTarget } from './listener-specs.ts'
import type { Mark } from './mark.ts'
import type { ListenerDescription } from './upgradable.ts'

interface Listener extends NamedSpec {
  options: Place
  readonly server: net.Server
  inherited: InheritedSocket | undefined
  /** Its address was decided outside the program. */
  given: boolean
  address: ListenAddress | undefined
  /** Of the path of a unix socket, to know whether it is still this one's. */
  inode: number | undefined
}

/** All the listening sockets of a program: taken up or bound, passed on, drained. */
export class Listeners {
  readonly #listeners: Listener[]

  constructor(target: ServeTarget, options: ListenOptions) {
    const servers = serversOf(target)
    this.#listeners = specsOf(target, options).map((spec, index) => ({ ...spec, server: servers[index] as net.Server, inherited: undefined, given: false, address: undefined, inode: undefined }))
  }

  /**
   * Takes up what was handed down, without accepting on it, closes what nobody wants of it, and sees that the rest can be
   * bound: nothing may be written or replaced for a program that cannot have its address.
   */
  async prepare(sockets: InheritedSockets, mark: Mark | undefined, log: (line: string) => void): Promise<void> {
    for (const listener of this.#listeners) {
      listener.inherited = mark === undefined ? fromOutside(sockets, listener, this.#listeners.length === 1) : fromGeneration(sockets, listener, mark, log)
      listener.given = listener.inherited !== undefined && (mark === undefined || mark.given.includes(listener.name))
    }
    sockets.closeUnused()
    for (const listener of this.#listeners) {
      if (listener.inherited !== undefined) listener.inode = await inodeOf(mark?.paths[listener.name])
      else if (listener.options.path === undefined) listener.options = await checked(listener.options)
    }
  }

  /**
   * Begins to accept: unix sockets of its own first, which take their time, then all others in one turn of the event
   * loop, so that no request is read on one before the last one listens.
   */
  async accept(mark: Mark | undefined): Promise<void> {
    for (const listener of this.#listeners) {
      const { inherited, server, options } = listener
      if (inherited !== undefined || options.path === undefined) continue
      listener.address = await bindAndListen(server, options)
      listener.inode = await inodeOf(options.path)
    }
    const addresses = this.#listeners.map(({ address, inherited, server, options }) => address ?? (inherited === undefined ? bindAndListen(server, options) : listenOnInherited(server, inherited, options)))
    for (const [index, address] of (await Promise.all(addresses)).entries()) {
      const listener = this.#listeners[index] as Listener
      const path = address.host === null ? (address.path ?? mark?.paths[listener.name] ?? listener.options.path ?? null) : null
      listener.address = { ...address, path }
    }
  }

  get addresses(): Map<string, ListenAddress> {
    return new Map(this.#listeners.flatMap(({ name, address }) => (address === undefined ? [] : [[name, address] as const])))
  }

  passed(): PassedSocket[] {
    return this.#listeners.map(({ name, server }) => ({ name, fd: descriptorOf(server) }))
  }

  paths(): Record<string, string> {
    return Object.fromEntries(this.#listeners.flatMap(({ name, address }) => (typeof address?.path === 'string' ? [[name, address.path] as const] : [])))
  }

  given(): string[] {
    return this.#listeners.filter((listener) => listener.given).map(({ name }) => name)
  }

  /** Names of the sockets that were handed down and are in use. */
  taken(): string[] {
    return this.#listeners.filter((listener) => listener.inherited !== undefined).map(({ name }) => name)
  }

  describe(): ListenerDescription[] {
    return this.#listeners.map(({ name, server, address }) => ({
      name,
      addr: address?.host == null ? null : describeAddress(address.host, address.port ?? 0),
      fd: server.listening ? descriptorOf(server) : null,
      filename: address?.path ?? null,
    }))
  }

  /** Where one could not be had, the others are of no use. */
  abandon(): void {
    for (const { server } of this.#listeners) if (server.listening) server.close()
  }

  async drain(options: SoftDrainOptions): Promise<DrainReport> {
    const reports = await Promise.all(this.#listeners.map(({ server }) => softDrain(server, options)))
    const sum = (key: keyof DrainReport): number => reports.reduce((total, report) => total + report[key], 0)
    return {
      finished: sum('finished'), cut: sum('cut'), upgraded: sum('upgraded'), idle: sum('idle'),
      milliseconds: Math.max(...reports.map((report) => report.milliseconds)),
    }
  }

  /** Takes away the paths of unix sockets, less those that a successor has. */
  async unlink(taken: ReadonlySet<string>): Promise<void> {
    for (const { name, address, inode } of this.#listeners) {
      if (taken.has(name) || typeof address?.path !== 'string' || inode === undefined) continue
      const now = await lstat(address.path).catch(() => undefined)
      if (now?.ino === inode) await rm(address.path, { force: true })
    }
  }
}

/** From systemd or gracer: by name, by address, and a program with one listener takes what there is. */
export function fromOutside(sockets: InheritedSockets, { name, named, options }: NamedSpec, alone: boolean): InheritedSocket | undefined {
  if (!named) return chooseSocket(sockets, options)
  const found = sockets.take({ name })
  if (found !== undefined) return found
  const { host, port, path: file } = options
  if (port !== undefined && port > 0) return sockets.take({ host, port }) ?? sockets.take({ port })
  return alone && file === undefined ? sockets.take({ kind: 'tcp' }) : undefined
}

/** From another generation: by name. An address that the new code no longer wants is bound anew; under a front it stays. */
function fromGeneration(sockets: InheritedSockets, { name, options }: NamedSpec, mark: Mark, log: (line: string) => void): InheritedSocket | undefined {
  const found = sockets.take({ name })
  if (found === undefined || mark.given.includes(name) || fits(found, options, mark.paths[name])) return found
  const is = found.address === null ? mark.paths[name] : describeAddress(found.address.host, found.address.port)
  if (mark.by === 'front') {
    log(`"${name}" stays on ${is}: the parent in front holds it. Restart the service to change the address`)
    return found
  }
  log(`"${name}" leaves ${is}: the program wants another address`)
  found.handle.close()
  return undefined
}

function fits({ address }: InheritedSocket, { host, port, path: file }: Place, handedPath: string | undefined): boolean {
  if (file !== undefined) return address === null && (handedPath === undefined || handedPath === file)
  if (address === null) return false
  if (port !== undefined && port !== 0 && port !== address.port) return false
  // A host name has been resolved by the generation that bound the socket.
  return host === undefined || net.isIP(host) === 0 || servesHost(address.host, host)
}

async function inodeOf(file: string | undefined): Promise<number | undefined> {
  return file === undefined ? undefined : (await lstat(file).catch(() => undefined))?.ino
}

/** Throws as bindWithoutAccepting does. Gives the options with a host name resolved. */
async function checked(options: Place): Promise<Place> {
  const host = await resolvedHost(options)
  const { port = 0 } = options
  if (port > 0) (host === undefined ? bindEverywhere(port) : bindWithoutAccepting(host, port)).close()
  return host === undefined ? options : { ...options, host }
}
