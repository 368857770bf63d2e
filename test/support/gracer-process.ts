import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { freePort } from '../../inherit/ephemeral-socket.ts'
import type { Outcome, Status } from '../../agent/control/shapes.ts'
import { until } from './deadline.ts'

/** The checkout's folder, from the sources and from dist/ alike. */
export const root = findRoot(import.meta.dirname)
export const cliFile = join(root, 'dist', 'agent', 'cli', 'main.js')

export interface CliResult {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface GracerOptions {
  readonly config?: Record<string, unknown>
  readonly workers?: number
  readonly env?: Record<string, string>
  readonly args?: readonly string[]
}

/** A real `gracer up` in a folder of its own, on a port of its own; ended, with all it started, by `end()`. */
export class GracerProcess {
  readonly folder: string
  readonly releases: string
  readonly port: number
  readonly url: string
  readonly #options: GracerOptions
  #master: ChildProcess | null = null
  #ended: Promise<number | null> = Promise.resolve(null)
  readonly #everStarted = new Set<number>()

  private constructor(port: number, options: GracerOptions) {
    this.folder = realpathSync(mkdtempSync(join(tmpdir(), 'gracer-test-')))
    this.releases = join(this.folder, 'releases')
    mkdirSync(this.releases)
    mkdirSync(join(this.folder, 'staging'))
    this.port = port
    this.url = `http://127.0.0.1:${port}`
    this.#options = options
    this.writeConfig(options.config ?? {})
  }

  static async create(options: GracerOptions = {}): Promise<GracerProcess> {
    return new GracerProcess(await freePort(), options)
  }

  /** Creates, starts and waits until the first release answers. */
  static async startWith(options: GracerOptions, prepare: (gracer: GracerProcess) => Promise<void>): Promise<GracerProcess> {
    const gracer = await GracerProcess.create(options)
    await prepare(gracer)
    await gracer.up()
    await gracer.live()
    return gracer
  }

  writeConfig(config: Record<string, unknown>): void {
    const full = { listen: `127.0.0.1:${this.port}`, releases: './releases', workers: this.#options.workers ?? 1, ...config }
    writeFileSync(join(this.folder, 'gracer.json'), JSON.stringify(full, null, 2))
  }

  get pid(): number {
    return this.#master?.pid ?? 0
  }

  get masterProcess(): ChildProcess | null {
    return this.#master
  }

  /** Resolves with the exit code of the master. */
  get ended(): Promise<number | null> {
    return this.#ended
  }

  /** Starts `gracer up` and waits until it holds the port. */
  async up(): Promise<void> {
    const out = openSync(join(this.folder, 'up.log'), 'a')
    const child = spawn(process.execPath, [cliFile, 'up', ...(this.#options.args ?? [])], {
      cwd: this.folder, stdio: ['ignore', out, out], detached: true, env: { ...process.env, NO_COLOR: '1', ...this.#options.env },
    })
    this.#master = child
    this.#everStarted.add(child.pid ?? 0)
    let over = false
    this.#ended = new Promise((resolve) => child.once('exit', (code) => {
      over = true
      resolve(code)
    }))
    await until('gracer to listen', () => {
      if (over) throw new Error(`gracer up ended:\n${this.upLog()}`)
      return this.upLog().includes(`(pid ${child.pid},`)
    }, 15_000)
    // The agent answers a moment after the port is bound.
    await until('the agent to answer', () => this.status().catch(() => null), 15_000)
  }

  upLog(): string {
    return readFileSync(join(this.folder, 'up.log'), 'utf8')
  }

  gracerLog(): { event: string; [field: string]: unknown }[] {
    const file = join(this.folder, '.gracer', 'log', 'gracer.log')
    return existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as { event: string }) : []
  }

  /** Runs a command of the CLI in gracer's folder. */
  cli(...args: string[]): Promise<CliResult> {
    return runCli(this.folder, args, this.#options.env)
  }

  async swap(...args: string[]): Promise<CliResult & { outcome: Outcome }> {
    const result = await this.cli('swap', ...args, '--json')
    return { ...result, outcome: JSON.parse(result.stdout || 'null') as Outcome }
  }

  async status(): Promise<Status> {
    const text = await this.control('GET', '/v1/status')
    return JSON.parse(text) as Status
  }

  /** Waits until a release is live (the one of this label, where given) and, with `confirmed`, confirmed. */
  async live(label?: string, confirmed = true, deadlineMs = 20_000): Promise<Status> {
    return until(`${label ?? 'a release'} to be live`, async () => {
      const status = await this.status().catch(() => null)
      const service = status?.services[0]
      if (service?.live == null || (label !== undefined && service.live !== label)) return null
      return !confirmed || service.confirmed ? status : null
    }, deadlineMs)
  }

  /** One request to the control socket. */
  control(method: string, path: string, body?: unknown): Promise<string> {
    return new Promise((resolve, reject) => {
      const request = http.request({ socketPath: join(this.folder, '.gracer', 'control.sock'), method, path, headers: { 'content-type': 'application/json' }, agent: false }, (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk)).on('end', () => resolve(text)).on('error', reject)
      })
      request.setTimeout(10_000, () => request.destroy(new Error('the control socket did not answer')))
      request.on('error', reject)
      request.end(body === undefined ? undefined : JSON.stringify(body))
    })
  }

  /** Every process that this gracer's state folder names, with the master. */
  pids(): number[] {
    const file = join(this.folder, '.gracer', 'processes.json')
    if (!existsSync(file)) return [this.pid]
    const content = JSON.parse(readFileSync(file, 'utf8')) as { master: { pid: number }; agent: { pid: number } | null; workers: { pid: number }[]; backends: { pid: number }[] }
    return [content.master.pid, ...(content.agent === null ? [] : [content.agent.pid]), ...content.workers.map((one) => one.pid), ...content.backends.map((one) => one.pid)]
  }

  /** SIGTERM, and waits for the end; what is left after the deadline is killed, by pid. */
  async end(): Promise<number | null> {
    const known = this.pids()
    let code: number | null = null
    if (this.#master !== null && this.#master.exitCode === null && this.#master.signalCode === null) {
      this.#master.kill('SIGTERM')
      const patience = setTimeout(() => this.#master?.kill('SIGTERM'), 4_000)
      const timer = setTimeout(() => this.#master?.kill('SIGKILL'), 10_000)
      code = await this.#ended
      clearTimeout(patience)
      clearTimeout(timer)
    }
    for (const pid of known) {
      if (pid <= 1) continue
      if (!belongsTo(pid, this.folder)) continue
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // It has ended by itself.
      }
    }
    rmSync(this.folder, { recursive: true, force: true })
    return code
  }
}

/** Runs the CLI in `cwd`; ended after 120 s. */
export function runCli(cwd: string, args: readonly string[], env: Record<string, string> = {}): Promise<CliResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [cliFile, ...args], { cwd, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NO_COLOR: '1', ...env } })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk))
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk))
    const timer = setTimeout(() => child.kill('SIGKILL'), 120_000)
    child.once('error', reject)
    child.once('close', (code) => {
      clearTimeout(timer)
      resolve({ code, stdout, stderr })
    })
  })
}

/** Whether a live process has its working folder, or an argument, in this test's folder: never a stranger with an old pid. */
function belongsTo(pid: number, folder: string): boolean {
  try {
    if (realpathSync(`/proc/${pid}/cwd`).startsWith(folder)) return true
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(folder)
  } catch {
    return false
  }
}

function findRoot(from: string): string {
  let folder = from
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder)
  return folder
}
