import { spawn, type ChildProcess } from 'node:child_process'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import type { MadeRelease } from './make-release.ts'

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

/** Runs a made release by itself, without gracer; resolves when it says that it listens or has ended. */
export async function runRelease(release: MadeRelease, env: Record<string, string> = {}): Promise<AppProcess> {
  const port = await freePort()
  const [command, script] = release.command
  const child = spawn(command, [script], {
    cwd: release.path, env: { ...process.env, PORT: String(port), HOST: '127.0.0.1', ...env }, stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  const exit = new Promise<number | string>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => resolve(signal ?? code ?? 0))
  })
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`the app did not listen: ${output}`)), 10_000)
    const take = (chunk: Buffer): void => {
      output += chunk.toString()
      if (output.includes(', pid ')) done()
    }
    const done = (): void => {
      clearTimeout(timer)
      resolve()
    }
    child.stdout.on('data', take)
    child.stderr.on('data', take)
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
