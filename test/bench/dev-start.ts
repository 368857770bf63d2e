import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../../inherit/ephemeral-socket.ts'
import { ask } from '../support/dev-process.ts'
import { cliFile } from '../support/gracer-process.ts'
import { spread, type Spread } from './spread.ts'

/** From the start of a command to the first reply, milliseconds. */
export interface StartFigures {
  readonly runs: number
  /** `node server.mjs`. */
  readonly ownMs: Spread
  /** `gracer dev -- node server.mjs`. */
  readonly devMs: Spread
  /** What gracer adds: run by run, the two of a run right after each other. */
  readonly addedMs: Spread
  /** What a Node program adds that does nothing but start the app: nothing in Node that stands before it can add less. */
  readonly floorMs: Spread
}

const app = `import http from 'node:http'
http.createServer((req, res) => { res.setHeader('content-type', 'text/plain'); res.end('v0') }).listen(process.env.PORT ?? 3000, '127.0.0.1')
`
const starter = `import { spawn } from 'node:child_process'
spawn(process.execPath, ['server.mjs'], { stdio: 'ignore' })
`

/** A bare app, and the same behind `gracer dev`, started in turns. `config`: the text of a gracer.json beside it. */
export async function devStart(runs: number, config: string | null = null): Promise<StartFigures> {
  const folder = mkdtempSync(join(tmpdir(), 'gracer-start-'))
  try {
    writeFileSync(join(folder, 'server.mjs'), app)
    writeFileSync(join(folder, 'starter.mjs'), starter)
    if (config !== null) writeFileSync(join(folder, 'gracer.json'), config)
    const own: number[] = []
    const starters: number[] = []
    const dev: number[] = []
    for (let run = 0; run < runs; run += 1) {
      own.push(await firstReply(folder, () => ['server.mjs']))
      dev.push(await firstReply(folder, (port) => [cliFile, 'dev', '--listen', String(port), '--', 'node', 'server.mjs']))
      starters.push(await firstReply(folder, () => ['starter.mjs']))
    }
    const less = (values: readonly number[]): Spread => spread(values.map((ms, run) => ms - (own[run] ?? 0)))
    return { runs, ownMs: spread(own), devMs: spread(dev), addedMs: less(dev), floorMs: less(starters) }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Another program of the machine may take the port in the moment before the app does: then once more. */
async function firstReply(folder: string, words: (port: number) => readonly string[]): Promise<number> {
  return (await timeOnce(folder, words)) ?? (await timeOnce(folder, words)) ?? NaN
}

async function timeOnce(folder: string, words: (port: number) => readonly string[]): Promise<number | null> {
  const port = await freePort()
  const begun = performance.now()
  const child = spawn(process.execPath, words(port), { cwd: folder, stdio: 'ignore', detached: true, env: { ...process.env, PORT: String(port) } })
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()).once('error', () => resolve()))
  try {
    while (performance.now() - begun < 5_000) {
      const reply = await ask(port).catch(() => null)
      if (reply !== null) return performance.now() - begun
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    return null
  } finally {
    endGroup(child)
    await exited
  }
}

/** gracer ends its app by itself, the starter's app is of its group. */
function endGroup(child: ChildProcess): void {
  try {
    process.kill(-(child.pid ?? 0), 'SIGTERM')
  } catch {
    // It has ended by itself.
  }
}
