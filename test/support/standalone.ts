import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, openSync, readFileSync, readdirSync, readlinkSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Description, ErrorBody, Upgraded } from '../../inherit/upgrade/upgradable.ts'
import type { DrainReport } from '../../inherit/soft-drain.ts'
import { freePort } from '../../inherit/ephemeral-socket.ts'
import { root } from './gracer-process.ts'
import { until } from './deadline.ts'

export interface StandaloneOptions {
  /** Options of serve(), over a port and a control socket. */
  readonly serve?: Record<string, unknown>
  readonly env?: Record<string, string | undefined>
  /** Arguments of node, before the script. */
  readonly nodeArgs?: readonly string[]
  readonly args?: readonly string[]
  /** The app below test/apps, or a file of its own by its absolute path. */
  readonly app?: string
  /** Instead of node and the script. */
  readonly command?: readonly string[]
  /** Called with the folder before the program starts. */
  readonly prepare?: (folder: string) => void
}

/** A program of the library in a folder of its own; ended, with every generation, by `end()`. */
export class Standalone {
  readonly folder: string
  readonly port: number
  readonly child: ChildProcess
  readonly exited: Promise<number | NodeJS.Signals>

  private constructor(folder: string, port: number, child: ChildProcess) {
    this.folder = folder
    this.port = port
    this.child = child
    this.exited = new Promise((resolve) => child.once('exit', (code, signal) => resolve(signal ?? code ?? 0)))
  }

  /** Starts it; resolves when it answers. */
  static async start(options: StandaloneOptions = {}): Promise<Standalone> {
    const folder = realpathSync(mkdtempSync(join(tmpdir(), 'gracer-alone-')))
    const port = await freePort()
    const app = options.app ?? join(root, 'test', 'apps', 'upgrade-app.mjs')
    writeFileSync(join(folder, 'release.txt'), 'r1')
    writeFileSync(join(folder, 'serve.json'), JSON.stringify({ host: '127.0.0.1', port, control: join(folder, 'run', 'control.sock'), ...options.serve }))
    writeFileSync(join(folder, 'server.mjs'), `import ${JSON.stringify(pathToFileURL(app).href)}\n`)
    options.prepare?.(folder)
    const log = openSync(join(folder, 'log'), 'a')
    const [command = '', ...args] = options.command ?? [process.execPath, ...(options.nodeArgs ?? []), 'server.mjs', ...(options.args ?? [])]
    const child = spawn(command, args, { cwd: folder, stdio: ['ignore', log, log], env: { ...process.env, PWD: folder, NODE_OPTIONS: undefined, ...options.env } as NodeJS.ProcessEnv })
    const standalone = new Standalone(folder, port, child)
    try {
      await until('the program to serve', async () => {
        if (child.exitCode !== null || child.signalCode !== null) throw new Error(`it ended: ${standalone.log()}`)
        return (await standalone.answers()) && (await standalone.control('GET', '/').catch(() => null)) !== null
      }, 20_000)
    } catch (error) {
      await standalone.end()
      throw error
    }
    return standalone
  }

  log(): string {
    return readFileSync(join(this.folder, 'log'), 'utf8')
  }

  /** Names the next release, as a deploy that replaces a file does. */
  write(name: string, text: string): void {
    const file = join(this.folder, name)
    writeFileSync(`${file}.new`, text)
    renameSync(`${file}.new`, file)
  }

  async answers(): Promise<boolean> {
    return (await this.get('/').catch(() => null)) !== null
  }

  get(path: string, options: http.RequestOptions = {}): Promise<string> {
    return ask({ host: '127.0.0.1', port: this.port, path, ...options }).then((reply) => reply.body)
  }

  async self(): Promise<{ pid: number; generation: number; env: Record<string, string>; title: string; execArgv: string[]; argv: string[]; cwd: string }> {
    return JSON.parse(await this.get('/self')) as Awaited<ReturnType<Standalone['self']>>
  }

  control(method: string, path: string): Promise<{ status: number; body: string }> {
    return ask({ socketPath: join(this.folder, 'run', 'control.sock'), method, path, timeout: 60_000 })
  }

  async describe(): Promise<Description> {
    return JSON.parse((await this.control('GET', '/')).body) as Description
  }

  /** Upgrades through the control socket. */
  async upgrade(): Promise<(Upgraded & { ok: true }) | (ErrorBody & { ok: false })> {
    const { status, body } = await this.control('POST', '/upgrade')
    return status === 200 ? { ok: true, ...(JSON.parse(body) as Upgraded) } : { ok: false, ...(JSON.parse(body) as ErrorBody) }
  }

  /** What a generation left behind about its drain. */
  async drained(pid: number): Promise<DrainReport> {
    const file = join(this.folder, `drained-${pid}.json`)
    return until(`the drain of ${pid}`, () => (existsSync(file) && readFileSync(file, 'utf8') !== '' ? (JSON.parse(readFileSync(file, 'utf8')) as DrainReport) : null), 60_000)
  }

  pids(): number[] {
    return pidsIn(this.folder)
  }

  async end(): Promise<void> {
    await until('every generation to be gone', () => {
      const pids = this.pids()
      for (const pid of pids) {
        try {
          process.kill(pid, 'SIGKILL')
        } catch {
          // It has just ended.
        }
      }
      return pids.length === 0
    })
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** Every living process that works in this folder, shells included. */
export function pidsIn(folder: string): number[] {
  return readdirSync('/proc').map(Number).filter((pid) => Number.isInteger(pid) && pid !== process.pid && worksIn(pid, folder)).sort((a, b) => a - b)
}

function worksIn(pid: number, folder: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/cwd`).startsWith(folder) && runs(pid)
  } catch {
    return false
  }
}

/** Alive, and no zombie. */
export function runs(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1') !== ''
  } catch {
    return false
  }
}

/** One request on a connection of its own. */
export function ask(options: http.RequestOptions): Promise<{ status: number; body: string; headers: http.IncomingHttpHeaders }> {
  return new Promise((resolve, reject) => {
    const request = http.request({ agent: false, timeout: 15_000, ...options }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk)).on('error', reject)
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body, headers: response.headers }))
    })
    request.on('timeout', () => request.destroy(new Error(`no reply from ${options.path} in time`)))
    request.on('error', reject)
    request.end()
  })
}
