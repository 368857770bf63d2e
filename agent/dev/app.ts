import { childEnvironment } from '../../inherit/child-environment.ts'
import { freePort, listenEphemeral } from '../../inherit/ephemeral-socket.ts'
import { spawnWithSockets, type HandedDown } from '../../inherit/hand-down.ts'
import { spareVariable } from '../../inherit/spare.ts'
import { numberOfKey } from '../../proxy/release-key.ts'
import { devService, type AppId } from './cycle.ts'
import { Group } from './group.ts'
import { OutputTail } from './output-tail.ts'

const loopback = '127.0.0.1'
/** After the exit its output may still be in the pipe; longer than this nothing of its own can be. */
const lastWordsMs = 200

export interface AppStart {
  readonly id: AppId
  readonly command: readonly string[]
  readonly cwd: string
  readonly env: ReadonlyMap<string, string>
  readonly socket: 'inherit' | 'port'
  readonly output: (stream: 'stdout' | 'stderr', chunk: Buffer) => void
  /** A Node program with the preload: started, and not run before run() is called. */
  readonly spare?: boolean
}

export interface AppExit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** One run of the app, with the socket on which it answers. */
export class App {
  readonly id: AppId
  readonly port: number
  readonly socket: 'inherit' | 'port'
  readonly group: Group
  readonly tail = new OutputTail()
  /** performance.now() of its start; of a spare, of its run(). */
  begunAt: number
  /** It has said READY: it listens on the socket that it was given. */
  readonly ready: Promise<void>
  /** Its exit, when its last words have been read. */
  readonly exited: Promise<AppExit>
  /** Set by its exit, at once. */
  over = false
  /** An end of it is expected. */
  ending = false
  readonly #handed: HandedDown

  constructor(start: AppStart, handed: HandedDown, port: number, begunAt: number) {
    this.id = start.id
    this.port = port
    this.socket = start.socket
    this.begunAt = begunAt
    this.#handed = handed
    const { child } = handed
    this.group = new Group(child, { release: start.id, port })
    this.ready = new Promise((resolve) => handed.events.on('notify', (key, value) => { if (key === 'READY' && value === '1') resolve() }))
    for (const stream of ['stdout', 'stderr'] as const) {
      child[stream]?.on('error', () => {})
      child[stream]?.on('data', (chunk: Buffer) => {
        const words = stream === 'stderr' ? withoutGuess(chunk) : chunk
        if (words.length === 0) return
        this.tail.push(words)
        start.output(stream, words)
      })
    }
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.over = true
        const tell = (): void => resolve({ code, signal })
        // A grandchild may hold the pipe open for ever.
        const timer = setTimeout(tell, lastWordsMs)
        child.once('close', () => {
          clearTimeout(timer)
          tell()
        })
      })
    })
  }

  /** @throws GracerError as spawnWithSockets does */
  static async start(start: AppStart): Promise<App> {
    if (start.socket === 'inherit') return await listenEphemeral(loopback, (fd, port) => spawn(start, fd, port))
    return spawn(start, null, await freePort(loopback))
  }

  get pid(): number {
    return this.group.pid
  }

  /** Lets a spare run its program. */
  run(): void {
    this.begunAt = performance.now()
    this.#handed.say('GO', '1')
  }

  end(graceMs: number): void {
    this.ending = true
    this.group.end(graceMs)
  }

  kill(): void {
    this.ending = true
    this.group.kill()
  }
}

/** The preload says which port it turned, for an app that runs behind gracer for days. Here it would be said at every save. */
function withoutGuess(chunk: Buffer): Buffer {
  if (!chunk.includes('gracer: listening on ')) return chunk
  return Buffer.from(chunk.toString('utf8').replace(/^gracer: listening on [^\n]*handed down[^\n]*\n/gm, ''))
}

function spawn(start: AppStart, fd: number | null, port: number): App {
  const begunAt = performance.now()
  const env = childEnvironment(process.env, { ...Object.fromEntries(start.env), PORT: String(port), HOST: loopback, GRACER_SERVICE: devService, GRACER_RELEASE: numberOfKey(start.id), ...(start.spare === true ? { [spareVariable]: '1' } : {}) })
  const handed = spawnWithSockets({
    command: start.command, cwd: start.cwd, env, sockets: fd === null ? [] : [{ name: devService, fd }], stdout: 'pipe', stderr: 'pipe',
  })
  return new App(start, handed, port, begunAt)
}
