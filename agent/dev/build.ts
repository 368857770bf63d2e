import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { childEnvironment } from '../../inherit/child-environment.ts'
import { formatDuration } from '../config/units.ts'
import { describeFailure, type DevFailure } from './failure.ts'
import { Group } from './group.ts'
import { OutputTail } from './output-tail.ts'

const endMs = 1_000

export interface BuildOptions {
  /** A line for the shell. */
  readonly line: string
  readonly cwd: string
  readonly env: ReadonlyMap<string, string>
  readonly timeoutMs: number
  readonly output: (stream: 'stdout' | 'stderr', chunk: Buffer) => void
}

/** One run of the build command, in a process group of its own. */
export class Build {
  readonly group: Group
  /** null: it went well. Never rejects. */
  readonly result: Promise<DevFailure | null>
  ending = false

  constructor(options: BuildOptions) {
    const { line, cwd, timeoutMs } = options
    const tail = new OutputTail()
    const failed = (title: string, hint: string | null = null): DevFailure => describeFailure({ stage: 'build', title, hint, output: tail.lines(), folder: cwd, command: line })
    const child = spawn('/bin/sh', ['-c', line], {
      cwd, env: childEnvironment(process.env, Object.fromEntries(options.env)), stdio: ['ignore', 'pipe', 'pipe'], detached: true,
    })
    for (const stream of ['stdout', 'stderr'] as const) {
      child[stream].on('error', () => {})
      child[stream].on('data', (chunk: Buffer) => {
        tail.push(chunk)
        options.output(stream, chunk)
      })
    }
    let late = false
    const timer = setTimeout(() => {
      late = true
      this.end()
    }, timeoutMs)
    this.result = new Promise((resolve) => {
      const tell = (failure: DevFailure | null): void => {
        clearTimeout(timer)
        resolve(failure)
      }
      child.once('error', (error) => tell(existsSync(cwd) ? failed(`The build could not be started in ${cwd}: ${error.message}`) : failed(`There is no folder ${cwd} any more.`, 'gracer waits for it to come back, and builds then.')))
      child.once('close', (code, signal) => {
        if (late) tell(failed(`The build has not ended within ${formatDuration(timeoutMs)} and was stopped.`, 'Is it one that watches and never ends? Give --build a command that builds once, or more time with --build-timeout.'))
        else if (code === 0) tell(null)
        else tell(failed(signal === null ? `The build ended with exit code ${code}.` : `The build was ended by ${signal}.`))
      })
    })
    this.group = new Group(child, null)
  }

  end(): void {
    this.ending = true
    this.group.end(endMs)
  }

  kill(): void {
    this.ending = true
    this.group.kill()
  }
}
