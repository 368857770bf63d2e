import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { freePort } from '../../inherit/ephemeral-socket.ts'
import { until } from '../support/deadline.ts'
import { root } from '../support/gracer-process.ts'

// The README's section "First run", done as it stands there: its file, its commands, and what they print.

interface Step {
  readonly command: string
  readonly output: string
}

const readme = readFileSync(join(root, 'README.md'), 'utf8')
const section = /^## First run\n([^]*?)^## /m.exec(readme)?.[1] ?? ''
const program = /```js\n([^]*?)```/.exec(section)?.[1] ?? ''
const steps: Step[] = [...section.matchAll(/```console\n([^]*?)```/g)].flatMap((block) => (block[1] ?? '').split(/^\$ /m).slice(1).map((text) => {
  const [command = '', ...output] = text.trimEnd().split('\n')
  return { command, output: output.join('\n') }
}))

let home: string
let port: number
let up: ChildProcess | undefined
let upSaid = ''

beforeAll(async () => {
  home = realpathSync(mkdtempSync(join(tmpdir(), 'gracer-readme-')))
  port = await freePort()
  mkdirSync(join(home, 'build'))
  symlinkSync(join(root, 'node_modules'), join(home, 'node_modules'))
  writeFileSync(join(home, 'package.json'), '{}')
  writeFileSync(join(home, 'build', 'server.mjs'), program)
  // The rollback must come within the bake, however slow the machine.
  writeFileSync(join(home, 'gracer.json'), '{ "bake": "5m" }')
})

afterAll(async () => {
  if (up !== undefined && up.exitCode === null && up.signalCode === null) {
    const ended = new Promise((resolve) => up?.once('close', resolve))
    up.kill('SIGTERM')
    await ended
  }
  rmSync(home, { recursive: true, force: true })
})

test('the section has every step of a first day', () => {
  const verbs = steps.map(({ command }) => /npx gracer (\w+)/.exec(command)?.[1] ?? command.split(' ')[0])
  expect(verbs).toEqual(expect.arrayContaining(['npm', 'up', 'cp', 'curl', 'status', 'swap', 'explain', 'rollback', 'history', 'down']))
  expect(program).toContain("from 'express'")
})

test('every command of the section prints what stands below it', async () => {
  for (const { command, output } of steps) {
    if (command.startsWith('npm ')) continue
    const here = command.replace('npx gracer', `'${process.execPath}' '${join(root, 'dist/agent/cli/main.js')}'`).replace('127.0.0.1:8080', `127.0.0.1:${port}`)
    if (command.includes('gracer up')) {
      up = spawn('sh', ['-c', `exec ${here.replace(' up ', ` up --listen 127.0.0.1:${port} `)}`], { cwd: home, stdio: ['ignore', 'pipe', 'pipe'] })
      for (const stream of [up.stdout, up.stderr]) stream?.setEncoding('utf8').on('data', (more: string) => (upSaid += more))
      await until('the first line of gracer up', () => upSaid.includes('\n'), 30_000)
      expect(plain(upSaid.split('\n')[0] ?? '')).toBe(plain(output))
      continue
    }
    // What only looks may look again: a drop is taken when it is whole, and not when `mv` returns.
    const looks = /^curl|gracer (status|explain|history)/.test(command)
    let said = await run(here)
    const deadline = performance.now() + 30_000
    while (looks && !pattern(output).test(plain(said)) && performance.now() < deadline) said = await run(here)
    expect(plain(said), `${command}\nprinted:\n${said}\nand the README says:\n${output}\n`).toMatch(pattern(output))
  }
  await until('gracer up to end after gracer down', () => up?.exitCode === 0, 30_000)
}, 180_000)

function run(command: string): Promise<string> {
  return new Promise((resolve) => {
    execFile('sh', ['-c', `{ ${command}; } 2>&1`], { cwd: home, timeout: 60_000 }, (_error, stdout) => resolve(stdout))
  })
}

/** Without what differs from run to run: times, durations, pids, ports, folders, the width of columns. */
function plain(text: string): string {
  return text
    .replaceAll(home, '/home/you/app')
    .replace(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g, 'TIME')
    .replace(/\b\d+ m \d+ s\b|\b\d+(\.\d+)? ?(ms|s)\b/g, 'LONG')
    .replace(/127\.0\.0\.1:\d+/g, '127.0.0.1:PORT')
    .replace(/\b(pid|port|master|worker|agent) \d+/g, '$1 N')
    .replace(/\b\d{4,}\b/g, 'N')
    .replace(/[ \t]+/g, ' ')
    .split('\n').map((line) => line.trim()).join('\n').trim()
}

/** A line `…` of the README stands for any lines. */
function pattern(output: string): RegExp {
  const lines = plain(output).split('\n').map((line) => (line === '…' ? '[^]*' : line.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')))
  return new RegExp(`^${lines.join('\n')}$`)
}
