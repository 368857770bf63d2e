import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import http from 'node:http'
import { join } from 'node:path'
import type { Explanation, Outcome, Phase, Progress, Receipt, ReleaseStatus } from '../../agent/control/shapes.ts'
import { until } from '../support/deadline.ts'
import { cliFile, type CliResult, type GracerProcess } from '../support/gracer-process.ts'

/** Everything that the agent says from now on. */
export class Events {
  readonly seen: (Progress | Outcome)[] = []
  readonly #request: http.ClientRequest
  readonly #connected: Promise<void>

  constructor(gracer: GracerProcess) {
    this.#request = http.request({ socketPath: join(gracer.folder, '.gracer', 'control.sock'), path: '/v1/events', agent: false })
    this.#connected = new Promise((resolve, reject) => {
      this.#request.on('error', reject)
      this.#request.on('response', (response) => {
        resolve()
        let rest = ''
        response.on('error', () => {})
        response.setEncoding('utf8').on('data', (chunk: string) => {
          const lines = (rest + chunk).split('\n')
          rest = lines.pop() ?? ''
          for (const line of lines) this.seen.push(JSON.parse(line) as Progress | Outcome)
        })
      })
    })
    // Awaited in open(); afterwards an error only means that the agent went away.
    this.#connected.catch(() => {})
    this.#request.end()
  }

  static async open(gracer: GracerProcess): Promise<Events> {
    const events = new Events(gracer)
    await events.#connected
    return events
  }

  /** The first event of this phase since the opening, of the release of this name or number. */
  phase(phase: Phase, label: string, deadlineMs = 15_000): Promise<Progress> {
    return until(`${label} to reach ${phase}`, () => this.seen.find((event): event is Progress => event.kind === 'phase' && event.phase === phase && isFor(event, label)), deadlineMs)
  }

  outcome(label: string, deadlineMs = 20_000): Promise<Outcome> {
    return until(`the outcome of ${label}`, () => this.seen.find((event): event is Outcome => event.kind === 'outcome' && isFor(event, label)), deadlineMs)
  }

  close(): void {
    this.#request.destroy()
  }
}

function isFor(event: Progress | Outcome, label: string): boolean {
  return event.name === label || event.release === label
}

/** A Node program under way, for what is interrupted or never ends by itself. */
export class NodeProcess {
  readonly child: ChildProcess
  stdout = ''
  stderr = ''
  readonly ended: Promise<CliResult>

  constructor(cwd: string, args: readonly string[], env: Record<string, string> = {}) {
    const child = spawn(process.execPath, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NO_COLOR: '1', ...env } })
    this.child = child
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (this.stdout += chunk))
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (this.stderr += chunk))
    this.ended = new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code) => resolve({ code, stdout: this.stdout, stderr: this.stderr }))
    })
  }

  /** Waits until it has said something on either stream. */
  async says(text: string | RegExp, deadlineMs = 15_000): Promise<void> {
    const matches = (said: string): boolean => (typeof text === 'string' ? said.includes(text) : text.test(said))
    await until(`the command to say ${String(text)}`, () => matches(this.stdout) || matches(this.stderr), deadlineMs).catch((error: unknown) => {
      throw new Error(`${(error as Error).message}; it said:\n${this.stdout}${this.stderr}`)
    })
  }
}

/** A command of the CLI. */
export function startCli(gracer: { readonly folder: string }, ...args: string[]): NodeProcess {
  return new NodeProcess(gracer.folder, [cliFile, ...args])
}

export async function releaseStatus(gracer: GracerProcess, label: string): Promise<ReleaseStatus | undefined> {
  const status = await gracer.status()
  return status.services[0]?.releases.find((release) => release.name === label || release.id === label)
}

export async function explain(gracer: GracerProcess, label: string): Promise<Explanation> {
  return JSON.parse(await gracer.control('GET', `/v1/explain?release=${encodeURIComponent(label)}`)) as Explanation
}

export async function receipts(gracer: GracerProcess): Promise<Receipt[]> {
  return (JSON.parse(await gracer.control('GET', '/v1/history?n=200')) as { receipts: Receipt[] }).receipts
}

/** The lines of a file; none where it does not exist. */
export function linesOf(file: string): string[] {
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter((line) => line !== '') : []
}
