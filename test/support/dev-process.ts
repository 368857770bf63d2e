import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { freePort } from '../../inherit/ephemeral-socket.ts'
import { until } from './deadline.ts'
import { cliFile } from './gracer-process.ts'

export interface DevRecord {
  readonly event: string
  readonly changed?: readonly string[]
  readonly outcome?: string
  readonly cause?: string
  readonly text?: string
  readonly service?: string
  readonly others?: readonly string[]
  readonly noticedUs?: number
  readonly totalMs?: number
  readonly bootMs?: number | null
  readonly held?: number
  readonly restarts?: number
  readonly failure?: { readonly stage: string; readonly title: string; readonly hint: string | null; readonly error: string | null }
}

export interface DevReply {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
}

/** A real `gracer dev --json` in a folder of its own, on a port of its own; ended, with all it started, by `end()`. */
export class DevProcess {
  readonly folder: string
  readonly port: number
  readonly child: ChildProcess
  readonly records: DevRecord[] = []
  stderr = ''
  readonly exited: Promise<number | null>
  over = false

  private constructor(folder: string, port: number, args: readonly string[], env: Record<string, string>) {
    this.folder = folder
    this.port = port
    this.child = spawn(process.execPath, [cliFile, 'dev', '--json', '--listen', String(port), ...args], {
      cwd: folder, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NO_COLOR: '1', ...env },
    })
    let rest = ''
    this.child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) this.records.push(JSON.parse(line) as DevRecord)
    })
    this.child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (this.stderr += chunk))
    this.exited = new Promise((resolve) => this.child.once('close', (code) => {
      this.over = true
      resolve(code)
    }))
  }

  /** `files` are written before it starts; it is listening when this resolves. */
  static async start(files: Record<string, string>, args: readonly string[], env: Record<string, string> = {}): Promise<DevProcess> {
    const dev = await DevProcess.launch(files, args, env)
    await dev.says('it to listen', (record) => record.event === 'listening')
    return dev
  }

  /** The same, and it is not waited for. */
  static async launch(files: Record<string, string>, args: readonly string[], env: Record<string, string> = {}): Promise<DevProcess> {
    const folder = realpathSync(mkdtempSync(join(tmpdir(), 'gracer-dev-')))
    for (const [name, text] of Object.entries(files)) writeInto(folder, name, text)
    return new DevProcess(folder, await freePort(), args, env)
  }

  write(name: string, text: string): void {
    writeInto(this.folder, name, text)
  }

  read(name: string): string {
    return readFileSync(join(this.folder, name), 'utf8')
  }

  get reloads(): readonly DevRecord[] {
    return this.records.filter((record) => record.event === 'reload' && record.cause !== 'start')
  }

  /** The first record from `from` on that fits. */
  says(what: string, fits: (record: DevRecord) => boolean, from = 0, deadlineMs = 30_000): Promise<DevRecord> {
    return until(`${what}; it said ${JSON.stringify(this.records.slice(from))} ${this.stderr.slice(-2_000)}`, () => {
      const found = this.records.slice(from).find(fits)
      if (found === undefined && this.over) throw new Error(`gracer dev ended: ${this.stderr}`)
      return found
    }, deadlineMs)
  }

  get(path = '/', headers: http.OutgoingHttpHeaders = {}): Promise<DevReply> {
    return ask(this.port, path, headers)
  }

  /** Asks until a reply has `text` in it. */
  answers(text: string, path = '/', deadlineMs = 30_000): Promise<DevReply> {
    return until(`a reply with ${JSON.stringify(text)}`, async () => {
      const reply = await this.get(path)
      return reply.body.includes(text) ? reply : null
    }, deadlineMs)
  }

  /** Processes whose working folder is in this one's, or was. */
  processes(): number[] {
    return readdirSync('/proc').map(Number).filter((pid) => Number.isInteger(pid) && pid > 1 && pid !== process.pid && belongsTo(pid, this.folder))
  }

  async end(): Promise<void> {
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 15_000)
    if (!this.over) this.child.kill('SIGTERM')
    await this.exited
    clearTimeout(timer)
    for (const pid of this.processes()) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // It has ended by itself.
      }
    }
    rmSync(this.folder, { recursive: true, force: true })
  }
}

export function ask(port: number, path = '/', headers: http.OutgoingHttpHeaders = {}, agent: http.Agent | false = false): Promise<DevReply> {
  return new Promise((resolve, reject) => {
    const request = http.get({ host: '127.0.0.1', port, path, agent, headers }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk)).on('error', reject)
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }))
    })
    request.setTimeout(60_000, () => request.destroy(new Error('no answer in 60 s')))
    request.on('error', reject)
  })
}

function writeInto(folder: string, name: string, text: string): void {
  mkdirSync(dirname(join(folder, name)), { recursive: true })
  writeFileSync(join(folder, name), text)
}

function belongsTo(pid: number, folder: string): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    if (/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2))) return false
    return realpathOf(`/proc/${pid}/cwd`).startsWith(folder)
  } catch {
    return false
  }
}

function realpathOf(link: string): string {
  return existsSync(link) ? realpathSync(link) : ''
}

/** The one-file app: every reply says `version`. */
export function oneFileApp(version: string, more = ''): string {
  return `import http from 'node:http'
http.createServer((req, res) => {
  ${more}
  res.setHeader('content-type', 'text/plain')
  res.end(${JSON.stringify(version)})
}).listen(3000)
`
}
