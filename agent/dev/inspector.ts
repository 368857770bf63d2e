import { connect, createServer, type Server, type Socket } from 'node:net'
import { GracerError } from '../../inherit/gracer-error.ts'

/** Where the debugger is expected, as node's --inspect[=[host:]port] says it. */
export interface InspectAddress {
  readonly host: string
  readonly port: number
  /** Waits for the debugger before the first line of the program. */
  readonly brk: boolean
}

const flagPattern = /^--inspect(-brk|-wait)?(?:=(.*))?$/

/** "--inspect", "--inspect-brk=0.0.0.0:9230", …; null: it is no such flag. */
export function parseInspect(flag: string): InspectAddress | null {
  const match = flagPattern.exec(flag)
  if (match === null) return null
  const text = match[2] ?? ''
  const split = /^(?:(.*):)?(\d{1,5})$/.exec(text)
  const host = split === null ? text : (split[1] ?? '')
  return { host: host === '' ? '127.0.0.1' : host.replace(/^\[|\]$/g, ''), port: split === null ? 9229 : Number(split[2]), brk: match[1] !== undefined }
}

/** Takes the inspect flag out of a node command; `inspect` null: there was none. */
export function withoutInspect(command: readonly string[]): { readonly command: readonly string[]; readonly inspect: InspectAddress | null } {
  for (const [at, word] of command.entries()) {
    if (at === 0) continue
    if (!word.startsWith('-')) break
    const inspect = parseInspect(word)
    if (inspect !== null) return { command: command.toSpliced(at, 1), inspect }
  }
  return { command, inspect: null }
}

/**
 * Holds the debugger's port for good and passes each connection on to the newest app's inspector, which has a port of its
 * own: so two apps never want the same one, and the debugger finds the new code where it found the old.
 */
export class InspectorRelay {
  readonly #address: InspectAddress
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #target: number | null = null

  constructor(address: InspectAddress) {
    this.#address = address
    this.#server = createServer({ pauseOnConnect: true }, (client) => this.#relay(client))
  }

  /** @throws GracerError 'inspect-port' */
  listen(): Promise<void> {
    const { host, port } = this.#address
    return new Promise((resolve, reject) => {
      this.#server.once('error', (cause: NodeJS.ErrnoException) => {
        reject(new GracerError(`the debugger's address ${host}:${port} cannot be listened on (${cause.code ?? cause.message})`, {
          code: 'inspect-port', exitCode: 2, cause, hint: 'Another program is being debugged there? Choose another: --inspect=9230.',
        }))
      })
      this.#server.listen(port, host, () => {
        this.#server.on('error', () => {})
        resolve()
      })
    })
  }

  /** From now on debuggers get this port; those of the one before lose their connection, and come again. */
  moveTo(port: number | null): void {
    if (port === this.#target) return
    this.#target = port
    for (const socket of this.#sockets) socket.destroy()
  }

  close(): void {
    this.#server.close()
    this.moveTo(null)
    for (const socket of this.#sockets) socket.destroy()
  }

  #relay(client: Socket): void {
    client.on('error', () => {})
    if (this.#target === null) {
      client.destroy()
      return
    }
    const app = connect({ host: '127.0.0.1', port: this.#target })
    app.on('error', () => client.destroy())
    for (const [socket, other] of [[client, app], [app, client]] as const) {
      this.#sockets.add(socket)
      socket.once('close', () => {
        this.#sockets.delete(socket)
        other.destroy()
      })
    }
    client.pipe(app).pipe(client)
  }
}
