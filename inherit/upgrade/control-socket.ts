import { chmod, lstat, mkdir, rm } from 'node:fs/promises'
import http from 'node:http'
import path from 'node:path'

import { descriptorOf } from '../ephemeral-socket.ts'
import { GracerError } from '../gracer-error.ts'
import type { PassedSocket } from '../hand-down.ts'
import type { InheritedSocket } from '../inherited-sockets.ts'
import { atTemporaryPath, listenOnInherited } from '../listen.ts'
import { softDrain } from '../soft-drain.ts'
import { trackConnections } from '../track-connections.ts'
import { controlName } from './mark.ts'
import { upgradeReply, type Upgradable } from './upgradable.ts'

/** How long the end of the process waits for an answer to be read. */
const lastAnswerMs = 2_000

/**
 * HTTP on a unix socket, 0600 in a folder 0700: only this user and root reach it. GET / says what runs, POST /upgrade
 * upgrades and answers with the new pid, or with the reason. It is handed down like the other sockets, so that its path
 * never vanishes and nobody who has connected is left without an answer.
 */
export class ControlSocket {
  readonly path: string
  readonly #upgradable: Upgradable
  readonly #server: http.Server
  readonly #pending = new Set<Promise<unknown>>()

  constructor(socketPath: string, upgradable: Upgradable) {
    this.path = path.resolve(socketPath)
    this.#upgradable = upgradable
    this.#server = http.createServer({ headersTimeout: 5_000, requestTimeout: 5_000, keepAliveTimeout: 1_000 }, (request, response) => {
      const answer = this.#answer(request, response).finally(() => this.#pending.delete(answer))
      this.#pending.add(answer)
    })
    this.#server.maxConnections = 32
    this.#server.on('clientError', (_error, socket) => socket.destroy())
  }

  /** Listens on what was handed down, or at the path. Rejects with GracerError 'control-unsafe', or as `listen` does. */
  async open(inherited?: InheritedSocket): Promise<void> {
    trackConnections(this.#server)
    if (inherited !== undefined) {
      await listenOnInherited(this.#server, inherited, {})
    } else {
      await checkFolder(path.dirname(this.path))
      await atTemporaryPath(this.path, (temporary) => listenPrivately(this.#server, temporary), () => this.#server.close())
    }
    this.#server.unref()
  }

  passed(): PassedSocket[] {
    return this.#server.listening ? [{ name: controlName, fd: descriptorOf(this.#server) }] : []
  }

  /** Lets what was asked be answered. `unlink`: no successor has the socket, so the path goes. */
  async close(unlink: boolean): Promise<void> {
    if (!this.#server.listening) return
    if (unlink) await rm(this.path, { force: true })
    await Promise.race([Promise.all(this.#pending), new Promise((resolve) => setTimeout(resolve, lastAnswerMs).unref())])
    await softDrain(this.#server, { timeoutMs: lastAnswerMs })
  }

  async #answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    request.resume()
    const { method, url } = request
    if (url === '/' && method === 'GET') return send(response, 200, this.#upgradable.describe())
    if (url !== '/upgrade') return send(response, 404, { code: 'not-found', reason: 'there are GET / and POST /upgrade' })
    if (method !== 'POST') return send(response, 405, { code: 'method', reason: 'POST /upgrade' })
    const { status, body } = await upgradeReply(this.#upgradable)
    await send(response, status, body)
  }
}

function send(response: http.ServerResponse, status: number, body: object): Promise<void> {
  const text = `${JSON.stringify(body)}\n`
  return new Promise((resolve) => {
    response.once('close', resolve)
    response.on('error', () => {})
    response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text), Connection: 'close' }).end(text)
  })
}

/** Nobody else reaches it between bind and chmod, because of the folder. */
async function listenPrivately(server: http.Server, temporary: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(temporary, () => {
      server.off('error', reject)
      resolve()
    })
  })
  await chmod(temporary, 0o600)
}

async function checkFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 }).catch((cause: unknown) => {
    throw new GracerError(`the folder ${folder} for the control socket cannot be made (${(cause as NodeJS.ErrnoException).code ?? String(cause)})`, { code: 'control-unsafe', cause })
  })
  const { mode, uid } = await lstat(folder)
  const own = process.getuid?.()
  if ((mode & 0o077) === 0 && (own === undefined || uid === own)) return
  const what = uid === own ? `has mode ${(mode & 0o777).toString(8).padStart(4, '0')}` : `belongs to user ${uid}`
  throw new GracerError(`the folder ${folder} of the control socket ${what}: whoever can reach the socket can restart this program`, {
    code: 'control-unsafe',
    hint: `Name one of its own, such as ${path.join(folder, 'run')}: it is made with mode 0700 where it is missing (systemd: RuntimeDirectoryMode=0700).`,
  })
}
