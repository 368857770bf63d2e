import { spawn, type ChildProcess } from 'node:child_process'
import { createServer, type AddressInfo } from 'node:net'
import type { Readable } from 'node:stream'

/** A release folder and what is run in it. */
export interface Runnable {
  readonly path: string
  readonly command: readonly [string, string]
}

export interface AppProcess {
  readonly child: ChildProcess
  readonly port: number
  /** What it has written, both streams. */
  output(): string
  /** Its exit code, or the signal that ended it. */
  readonly exit: Promise<number | string>
  stop(signal?: NodeJS.Signals): Promise<number | string>
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Runs a release by itself, without gracer, on PORT; resolves when it says that it listens or has ended. */
export async function runRelease({ path, command }: Runnable, env: Record<string, string> = {}): Promise<AppProcess> {
  const port = await freePort()
  const child = spawn(command[0], [command[1]], {
    cwd: path, env: { ...process.env, PORT: String(port), HOST: '127.0.0.1', ...env }, stdio: ['ignore', 'pipe', 'pipe'],
  })
  return started(child, port, /port \d+$/m)
}

/** Runs a release with its socket handed down at descriptor 3 and a notify pipe at 4; resolves when that said READY=1. */
export async function runWithSocket({ path, command }: Runnable): Promise<AppProcess> {
  const listener = createServer()
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  const { port } = listener.address() as AddressInfo
  const { fd } = (listener as unknown as { _handle: { fd: number } })._handle
  // A parent cannot know the child's pid beforehand: the shell names its own and becomes the program.
  const child = spawn('sh', ['-c', 'export LISTEN_PID=$$; exec "$@"', 'sh', ...command], {
    cwd: path, stdio: ['ignore', 'pipe', 'pipe', fd, 'pipe'],
    // Port 1 cannot be had: only the socket can make it work.
    env: { ...process.env, LISTEN_FDS: '1', LISTEN_FDNAMES: 'http', GRACER_NOTIFY_FD: '4', PORT: '1', HOST: '127.0.0.1' },
  })
  listener.close()
  return started(child, port, /^READY=1$/m, child.stdio[4] as Readable)
}

async function started(child: ChildProcess, port: number, sign: RegExp, notify?: Readable): Promise<AppProcess> {
  let output = ''
  const exit = new Promise<number | string>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => resolve(signal ?? code ?? 0))
  })
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      // Nobody else knows of it yet.
      child.kill('SIGKILL')
      reject(new Error(`the app did not start: ${output}`))
    }, 10_000)
    const done = (): void => {
      clearTimeout(timer)
      resolve()
    }
    for (const stream of [child.stdout!, child.stderr!, ...(notify === undefined ? [] : [notify])]) {
      let text = ''
      stream.on('error', reject)
      stream.on('data', (chunk: Buffer) => {
        text += chunk.toString()
        if (stream !== notify) output += chunk.toString()
        if (sign.test(text) && (notify === undefined || stream === notify)) done()
      })
    }
    exit.then(done, reject)
  })
  return {
    child, port, exit,
    output: () => output,
    stop(signal = 'SIGKILL') {
      child.kill(signal)
      return exit
    },
  }
}
