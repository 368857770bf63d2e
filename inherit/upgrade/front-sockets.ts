import { lstat, rm } from 'node:fs/promises'

import { bindEverywhere, bindWithoutAccepting } from '../bare-socket.ts'
import { bindFailure, describeAddress } from '../bind-failure.ts'
import type { PassedSocket } from '../hand-down.ts'
import { ownSockets } from '../inherited-sockets.ts'
import { atTemporaryPath } from '../listen.ts'
import { resolvedHost, type Place } from '../listen-options.ts'
import { bindPath } from '../socket-handle.ts'
import type { NamedSpec } from './listener-specs.ts'
import { fromOutside } from './listeners.ts'
import type { ListenerDescription } from './upgradable.ts'

interface HeldSocket extends PassedSocket {
  /** It was handed down. */
  readonly given: boolean
  readonly description: ListenerDescription
  close(): Promise<void>
}

/** The listening sockets as the front has them: held, never accepted on. */
export class FrontSockets {
  readonly #sockets: readonly HeldSocket[]

  private constructor(sockets: readonly HeldSocket[]) {
    this.#sockets = sockets
  }

  /** Takes up what systemd handed down, and binds the rest. Rejects as `listen` does. */
  static async open(specs: readonly NamedSpec[]): Promise<FrontSockets> {
    const sockets: HeldSocket[] = []
    for (const spec of specs) sockets.push(inherited(spec, specs.length === 1) ?? (spec.options.path === undefined ? await bindTcp(spec.name, spec.options) : await bindUnix(spec.name, spec.options.path)))
    ownSockets().closeUnused()
    return new FrontSockets(sockets)
  }

  passed(): PassedSocket[] {
    return this.#sockets.map(({ name, fd }) => ({ name, fd }))
  }

  paths(): Record<string, string> {
    return Object.fromEntries(this.#sockets.flatMap(({ name, description }) => (description.filename === null ? [] : [[name, description.filename] as const])))
  }

  given(): string[] {
    return this.#sockets.filter((socket) => socket.given).map(({ name }) => name)
  }

  describe(): ListenerDescription[] {
    return this.#sockets.map((socket) => socket.description)
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) await socket.close()
  }
}

function inherited(spec: NamedSpec, alone: boolean): HeldSocket | undefined {
  const { name, options } = spec
  const socket = fromOutside(ownSockets(), spec, alone)
  if (socket === undefined) return undefined
  const { fd, address, handle } = socket
  const addr = address === null ? null : describeAddress(address.host, address.port)
  return { name, fd, given: true, description: { name, addr, fd, filename: options.path ?? null }, close: () => Promise.resolve(handle.close()) }
}

async function bindTcp(name: string, options: Place): Promise<HeldSocket> {
  const { port = 0 } = options
  const host = await resolvedHost(options)
  const socket = host === undefined ? bindEverywhere(port) : bindWithoutAccepting(host, port)
  return { name, fd: socket.fd, given: false, description: { name, addr: describeAddress(socket.host, socket.port), fd: socket.fd, filename: null }, close: () => Promise.resolve(socket.close()) }
}

async function bindUnix(name: string, path: string): Promise<HeldSocket> {
  let bound: ReturnType<typeof bindPath> | undefined
  await atTemporaryPath(path, (temporary) => {
    try {
      bound = bindPath(temporary)
    } catch (failure) {
      throw bindFailure(path, failure)
    }
  }, () => bound?.close())
  const { fd, close } = bound as ReturnType<typeof bindPath>
  const { ino } = await lstat(path)
  return {
    name, fd, given: false, description: { name, addr: null, fd, filename: path },
    close: async () => {
      if ((await lstat(path).catch(() => undefined))?.ino === ino) await rm(path, { force: true })
      close()
    },
  }
}
