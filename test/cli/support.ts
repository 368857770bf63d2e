import { spawn } from 'node:child_process'
import type { ChildProcessByStdio } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { ControlHandlers } from '../../agent/control/handlers.ts'
import { afterTest, scratch, serve, until } from '../control/support.ts'

export { afterTest, explanation, outcome, progress, receipt, scratch, status, until } from '../control/support.ts'

export const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
export const main = join(root, 'dist', 'agent', 'cli', 'main.js')

/** Nothing of the environment of the tests may steer the command under test. */
const cleanEnv = Object.fromEntries(Object.entries(process.env).filter(([key]) => !/^(?:GRACER_|NO_COLOR|FORCE_COLOR|TERM$|VITEST)/.test(key)))

export interface RunOptions {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
}

/** The program as a real process. */
export class Run {
  readonly child: ChildProcessByStdio<null, Readable, Readable>
  stdout = ''
  stderr = ''
  readonly ended: Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>

  constructor(script: string, args: readonly string[], options: RunOptions = {}) {
    this.child = spawn(process.execPath, [script, ...args], { cwd: options.cwd ?? scratch(), env: { ...cleanEnv, ...options.env }, stdio: ['ignore', 'pipe', 'pipe'] })
    this.child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      this.stdout += chunk
    })
    this.child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      this.stderr += chunk
    })
    this.ended = new Promise((resolve, reject) => {
      this.child.once('error', reject)
      this.child.once('close', (code) => resolve({ code, stdout: this.stdout, stderr: this.stderr }))
    })
    afterTest(() => void this.child.kill('SIGKILL'))
  }

  async says(text: string): Promise<void> {
    await until(() => (this.stdout + this.stderr).includes(text), `the command to say ${JSON.stringify(text)}; so far: ${this.stdout}${this.stderr}`)
  }
}

export function gracer(args: readonly string[], options: RunOptions = {}): Run {
  return new Run(main, args, options)
}

/** A state folder with a control server on it, and the program pointed at it. */
export async function agentWith(own: Partial<ControlHandlers> = {}): Promise<{ readonly state: string; readonly run: (...args: string[]) => Run; readonly close: () => Promise<void> }> {
  const state = join(scratch(), 'state')
  mkdirSync(state, { mode: 0o700 })
  const { server } = await serve(own, { socketPath: join(state, 'control.sock') })
  return { state, run: (...args) => gracer([...args, '--state', state]), close: () => server.close() }
}
