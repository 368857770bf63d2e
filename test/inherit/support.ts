import { closeSync, mkdtempSync, openSync, readFileSync, readdirSync, readlinkSync, rmSync } from 'node:fs'
import http from 'node:http'
import os from 'node:os'
import path from 'node:path'
import { once } from 'node:events'

import { childEnvironment } from '../../inherit/child-environment.ts'
import { listenEphemeral } from '../../inherit/ephemeral-socket.ts'
import { spawnWithSockets, type HandedDown } from '../../inherit/hand-down.ts'
import { preloadUrl } from '../../inherit/preload-url.ts'

export const appsFolder = path.resolve(import.meta.dirname, '../apps')

/** Undone in reverse order by `cleanUp`, which every test file calls after each test. */
const cleaning: (() => unknown)[] = []

export async function cleanUp(): Promise<void> {
  for (const clean of cleaning.splice(0).reverse()) await clean()
}

export function onCleanUp(clean: () => unknown): void {
  cleaning.push(clean)
}

export function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'inherit-'))
  onCleanUp(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Polls until `check` gives something other than undefined or false, or fails after `deadlineMs`. */
export async function until<T>(what: string, check: () => T | Promise<T>, deadlineMs = 10_000): Promise<Exclude<T, undefined | false>> {
  const end = performance.now() + deadlineMs
  for (;;) {
    const value = await check()
    if (value !== undefined && value !== false) return value as Exclude<T, undefined | false>
    if (performance.now() > end) throw new Error(`${what} did not happen within ${deadlineMs} ms`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

export interface App extends HandedDown {
  readonly port: number
  /** Lines of the notify pipe so far. */
  readonly notices: [string, string][]
  log(): string
  notice(key: string): Promise<string>
  stop(): Promise<void>
}

export interface AppOptions {
  readonly command: readonly string[]
  readonly env?: Record<string, string | undefined>
  readonly socketNames?: readonly string[]
  /** Sockets to pass down instead of an ephemeral one. */
  readonly fds?: readonly number[]
}

/** Starts a program on an ephemeral socket of ours, killed with its whole group after the test. */
export async function startApp(options: AppOptions): Promise<App> {
  const { command, env = {}, socketNames = ['http'] } = options
  const logFile = path.join(temporaryFolder(), 'log')
  const log = openSync(logFile, 'a')
  const { handed, port } = await listenEphemeral('127.0.0.1', (ephemeral, port) => {
    const handed = spawnWithSockets({
      command,
      cwd: appsFolder,
      env: childEnvironment(process.env, { PORT: String(port), HOST: '127.0.0.1', NODE_OPTIONS: undefined, ...env }),
      sockets: socketNames.map((name, index) => ({ name, fd: options.fds?.[index] ?? ephemeral })),
      stdout: log,
      stderr: log,
    })
    return { handed, port }
  })
  closeSync(log)
  const notices: [string, string][] = []
  handed.events.on('notify', (key, value) => notices.push([key, value]))
  const exited = once(handed.child, 'exit')
  const app: App = {
    ...handed,
    port,
    notices,
    log: () => readFileSync(logFile, 'utf8'),
    notice: async (key) => {
      const found = await until(`${key} from ${command.join(' ')} (its log: ${readFileSync(logFile, 'utf8')})`, () => {
        const line = notices.find(([name]) => name === key)
        if (line === undefined && handed.child.exitCode !== null) throw new Error(`exit ${handed.child.exitCode}: ${readFileSync(logFile, 'utf8')}`)
        return line
      }, 20_000)
      return found[1]
    },
    stop: async () => {
      if (handed.child.exitCode === null && handed.child.signalCode === null) process.kill(-handed.pid, 'SIGKILL')
      await exited
    },
  }
  onCleanUp(app.stop)
  return app
}

/** An unmodified Node program under the preload. */
export function startNodeApp(file: string, env: Record<string, string | undefined> = {}): Promise<App> {
  return startApp({ command: [process.execPath, '--import', preloadUrl(), file], env })
}

export interface Reply {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
}

export function get(port: number, options: http.RequestOptions = {}): Promise<Reply> {
  return request({ host: '127.0.0.1', port, agent: false, ...options })
}

export function request(options: http.RequestOptions, body?: string): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const sent = http.request({ timeout: 10_000, ...options }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => (text += chunk))
      response.on('error', reject)
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }))
    })
    sent.on('timeout', () => sent.destroy(new Error('no reply within 10 s')))
    sent.on('error', reject)
    sent.end(body)
  })
}

/** What the descriptors of a process point to, by number. */
export function descriptorsOf(pid: number | 'self'): Map<number, string> {
  const folder = `/proc/${pid}/fd`
  const found = new Map<number, string>()
  for (const name of readdirSync(folder)) {
    try {
      found.set(Number(name), readlinkSync(path.join(folder, name)))
    } catch {
      // The descriptor that read the folder itself.
    }
  }
  return found
}

export function socketsOf(pid: number | 'self'): string[] {
  return [...descriptorsOf(pid).values()].filter((target) => target.startsWith('socket:'))
}
