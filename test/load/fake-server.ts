import { createServer, type AddressInfo, type Socket } from 'node:net'

export interface FakeRequest {
  readonly method: string
  readonly path: string
  readonly head: string
  /** Counted over all connections, from 0. */
  readonly index: number
  readonly query: (key: string) => number
}

export interface FakeServer {
  readonly port: number
  readonly requests: number
  close(): Promise<void>
}

/** A server that writes whatever bytes it is told to, to show that the client catches what no real one should do. */
export async function fakeServer(answer: (request: FakeRequest, socket: Socket) => void): Promise<FakeServer> {
  const sockets = new Set<Socket>()
  let count = 0
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy())
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        const head = text.slice(0, end)
        text = text.slice(end + 4)
        const [method = '', path = ''] = head.split(' ')
        const params = new URL(path, 'http://localhost').searchParams
        answer({ method, path, head, index: count++, query: (key) => Number(params.get(key)) }, socket)
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    get requests() {
      return count
    },
    close: () => new Promise((resolve) => {
      for (const socket of sockets) socket.destroy()
      server.close(() => resolve())
    }),
  }
}

/** A reply as the contract has it. */
export function reply(body: Buffer | string, release = 'r1', extra = ''): Buffer {
  const head = `HTTP/1.1 200 OK\r\nx-release: ${release}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n${extra}\r\n`
  return Buffer.concat([Buffer.from(head), Buffer.from(body)])
}
