import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../../inherit/ephemeral-socket.ts'
import { until } from '../support/deadline.ts'
import { ask, DevProcess } from '../support/dev-process.ts'
import { pollSaves, staleReplies, type PollResult } from '../support/save-poll.ts'
import { throwAwayInstall } from '../support/throw-away-install.ts'
import { devStart, type StartFigures } from './dev-start.ts'
import { spread, type Spread } from './spread.ts'

interface ToolFigures {
  readonly tool: string
  readonly saves: number
  /** From the write of the file to the first new reply. */
  readonly saveToReplyMs: Spread
  /** The median of the above less the app's own boot. */
  readonly addedMs: number
  readonly requests: number
  readonly refused: number
  readonly failed: number
  /** Begun after gracer had noticed the save and answered by old code; for the others it is not known what they noticed. */
  readonly stale: number | null
}

export interface DevFigures {
  /** The same one-file app started by hand, to its first reply. */
  readonly ownBootMs: Spread
  readonly start: StartFigures
  readonly tools: readonly ToolFigures[]
}

const file = 'server.mjs'

function app(version: number): string {
  return `import http from 'node:http'
http.createServer((req, res) => { res.setHeader('content-type', 'text/plain'); res.end('v${version}') }).listen(process.env.PORT ?? 3000, '127.0.0.1')
`
}

interface Tool {
  readonly name: string
  readonly port: number
  readonly save: (version: number) => void
  /** Resolves when the tool has nothing more to do for the last save. */
  readonly settle: (saves: number) => Promise<void>
  readonly end: () => Promise<void>
  readonly noticedUs: (() => readonly number[]) | null
  readonly results: PollResult[]
}

/**
 * Saves to first new reply, and what was refused meanwhile. All tools run beside each other and take turns, save by save,
 * with a boot of the app by hand in between: so the machine's moods meet all alike.
 */
export async function devReload(saves: number, say: (line: string) => void): Promise<DevFigures> {
  const beside = throwAwayInstall('nodemon@3', 'tsx@4')
  if (beside === null) say('nodemon and tsx could not be fetched into a throw-away folder: only gracer and node --watch are measured')
  const boots: number[] = []
  const tools: Tool[] = []
  try {
    const start = await devStart(5)
    tools.push(await gracerTool())
    tools.push(await otherTool('node --watch', ['--watch', file]))
    if (beside !== null) {
      tools.push(await otherTool('nodemon', [join(beside, 'node_modules', 'nodemon', 'bin', 'nodemon.js'), '-q', file]))
      tools.push(await otherTool('tsx watch', [join(beside, 'node_modules', 'tsx', 'dist', 'cli.mjs'), 'watch', file]))
    }
    for (let number = 1; number <= saves; number += 1) {
      boots.push(await ownBoot())
      for (const tool of tools) {
        tool.results.push(await pollSaves({ port: tool.port, saves: 1, expected: () => `v${number}`, save: () => tool.save(number), between: () => tool.settle(number) }))
      }
      if (number % 5 === 0) say(`save ${number} of ${saves}: ${tools.map((tool) => `${tool.name} ${tool.results.at(-1)?.savesMs[0]?.toFixed(0)} ms`).join(', ')}, own boot ${boots.at(-1)?.toFixed(0)} ms`)
    }
    const own = spread(boots)
    return { ownBootMs: own, start, tools: tools.map((tool) => figuresOf(tool, saves, own.median)) }
  } finally {
    for (const tool of tools) await tool.end()
  }
}

function figuresOf(tool: Tool, saves: number, ownBootMs: number): ToolFigures {
  const saveToReplyMs = spread(tool.results.flatMap((result) => result.savesMs))
  const sum = (of: (result: PollResult) => number): number => tool.results.reduce((total, result) => total + of(result), 0)
  const noticedUs = tool.noticedUs
  const all: PollResult = { replies: 0, refused: 0, failed: 0, savesMs: [], seen: tool.results.flatMap((result) => result.seen) }
  return {
    tool: tool.name, saves, saveToReplyMs, addedMs: round(saveToReplyMs.median - ownBootMs),
    requests: sum((result) => result.replies + result.failed), refused: sum((result) => result.refused), failed: sum((result) => result.failed),
    stale: noticedUs === null ? null : staleReplies(all, noticedUs(), (body) => Number(body.slice(1))),
  }
}

async function gracerTool(): Promise<Tool> {
  const dev = await DevProcess.start({ [file]: app(0) }, ['--', 'node', file])
  await dev.answers('v0')
  return {
    name: 'gracer dev', port: dev.port, results: [],
    save: (version) => dev.write(file, app(version)),
    settle: async (saves) => { await until('the reload to be told', () => dev.reloads.length >= saves) },
    end: () => dev.end(),
    noticedUs: () => dev.reloads.map((record) => record.noticedUs ?? 0),
  }
}

async function otherTool(name: string, args: readonly string[]): Promise<Tool> {
  const { folder, port, child } = await startTool(process.execPath, args)
  await until(`the app behind ${name}`, async () => (await ask(port).catch(() => null))?.body === 'v0', 30_000)
  await pause(500)
  return {
    name, port, results: [], noticedUs: null,
    save: (version) => writeFileSync(join(folder, file), app(version)),
    settle: () => pause(200),
    async end() {
      await endTool(child)
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function ownBoot(): Promise<number> {
  const begun = performance.now()
  const { folder, port, child } = await startTool(process.execPath, [file])
  try {
    await firstReply(port)
    return performance.now() - begun
  } finally {
    await endTool(child)
    rmSync(folder, { recursive: true, force: true })
  }
}

async function startTool(command: string, args: readonly string[]): Promise<{ folder: string; port: number; child: ChildProcess }> {
  const folder = mkdtempSync(join(tmpdir(), 'gracer-bench-'))
  writeFileSync(join(folder, file), app(0))
  const port = await freePort()
  const child = spawn(command, args, { cwd: folder, stdio: 'ignore', detached: true, env: { ...process.env, PORT: String(port) } })
  child.on('error', () => {})
  return { folder, port, child }
}

async function endTool(child: ChildProcess): Promise<void> {
  if (child.pid === undefined) return
  const ended = child.exitCode !== null || child.signalCode !== null ? Promise.resolve() : new Promise((resolve) => child.once('exit', resolve))
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // It has ended by itself.
  }
  await ended
}

async function firstReply(port: number): Promise<void> {
  for (const end = performance.now() + 20_000; performance.now() < end; ) {
    const reply = await ask(port).catch(() => null)
    if (reply !== null) return
    await pause(1)
  }
  throw new Error('the app has not answered within 20 s')
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10
}
