import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { GracerError } from '../../inherit/gracer-error.ts'
import type { Status } from '../../agent/control/shapes.ts'
import { afterTest, agentWith, explanation, gracer, receipt, root, scratch, status } from './support.ts'

it('shows the status as a table on stdout', async () => {
  const { run } = await agentWith()
  const { code, stdout, stderr } = await run('status').ended
  expect([code, stderr]).toEqual([0, ''])
  expect(stdout).toContain('default: blue is live, confirmed\n')
  expect(stdout).toMatch(/^v2 {7}blue {2}live/m)
})

it('gives the status as the agent does with --json, before or behind the command', async () => {
  const { run, state } = await agentWith()
  expect(JSON.parse((await run('status', '--json').ended).stdout)).toEqual(status)
  expect(JSON.parse((await gracer(['--json', '--state', state, 'status']).ended).stdout)).toEqual(status)
})

it('shows one service, and refuses one that is not there', async () => {
  const { run } = await agentWith()
  expect((await run('status', '--service', 'default').ended).code).toBe(0)
  const { code, stderr } = await run('status', '--service', 'shop').ended
  expect(code).toBe(2)
  expect(stderr).toBe('gracer: there is no service "shop"; expected one of default\n')
})

it('watches the status until it is interrupted, and says only what has changed', async () => {
  let asked = 0
  let violations = 0
  const { run } = await agentWith({ status: () => ({ ...status, violations: asked++ > 2 ? (violations = 1) : violations }) as Status })
  const command = run('status', '--watch', '--json')
  await command.says('"violations":1')
  command.child.kill('SIGINT')
  await command.ended
  expect(command.stdout.trim().split('\n').map((line) => (JSON.parse(line) as Status).violations)).toEqual([0, 1])
})

it('explains, and says what is live first', async () => {
  const { run } = await agentWith({ explain: (_service, release) => ({ ...explanation, release: release ?? 'v3' }) })
  const { code, stdout } = await run('explain', 'v7').ended
  expect(code).toBe(0)
  expect(stdout.split('\n')[0]).toBe('blue is live now; v7 of default: failed')
  expect(stdout).toContain('failed its health check\n  next  gracer swap v3 tries it again\n')
  expect(JSON.parse((await run('explain', '--json').ended).stdout)).toEqual(explanation)
})

it('passes on that there is no such release, with its exit code', async () => {
  const { run } = await agentWith({
    explain: () => {
      throw new GracerError('there is no release v9', { code: 'no-such-release', exitCode: 2 })
    },
  })
  expect(await run('explain', 'v9').ended).toMatchObject({ code: 2, stdout: '', stderr: 'gracer: there is no release v9\n' })
})

it('shows as much history as asked for', async () => {
  const { run } = await agentWith()
  const two = await run('history', '-n', '2').ended
  expect(two.code).toBe(0)
  expect(two.stdout.trim().split('\n')).toHaveLength(3)
  expect(JSON.parse((await run('history', '--json').ended).stdout)).toEqual({ schema: 1, receipts: [receipt, receipt, receipt] })
})

it('waits with "down" until gracer has ended', async () => {
  const master = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
  afterTest(() => void master.kill('SIGKILL'))
  let asked = false
  const agent = await agentWith({
    status: () => ({ ...status, proxy: { pid: master.pid ?? 0, version: '0.1.0', workers: [] } }),
    down: () => {
      asked = true
    },
  })
  const command = agent.run('down')
  await command.says('drains and then ends')
  // The agent goes before the master does: not yet the end.
  await agent.close()
  expect([asked, command.child.exitCode]).toEqual([true, null])
  master.kill('SIGKILL')
  await once(master, 'exit')
  expect(await command.ended).toMatchObject({ code: 0, stdout: 'nothing is live now: gracer has ended; "gracer up" starts it again\n' })
})

it('exits 3 without an agent, whatever is asked of it, and says what to do', { timeout: 60_000 }, async () => {
  const commands = [['status'], ['swap'], ['rollback'], ['restart'], ['explain'], ['history'], ['logs'], ['down']]
  const ends = await Promise.all(commands.map((args) => gracer(args).ended))
  for (const [index, end] of ends.entries()) {
    expect([commands[index], end.code]).toEqual([commands[index], 3])
    expect(end.stderr).toMatch(/^gracer: no agent answers on .*control\.sock \(ENOENT\)\n {2}Start one with "gracer up", or name its state folder: --state DIR\.\n$/)
  }
})

it('finds the agent beside the config, from a folder below, and by GRACER_STATE', async () => {
  const top = scratch()
  writeFileSync(join(top, 'gracer.json'), '{}')
  mkdirSync(join(top, 'a', 'b'), { recursive: true })
  const { state } = await agentWith()
  mkdirSync(join(top, '.gracer'), { mode: 0o700 })
  // A pointer as for a path that is too long.
  writeFileSync(join(top, '.gracer', 'control.path'), `${join(state, 'control.sock')}\n`)
  expect((await gracer(['status'], { cwd: join(top, 'a', 'b') }).ended).code).toBe(0)
  expect((await gracer(['status', '--config', join(top, 'gracer.json')]).ended).code).toBe(0)
  expect((await gracer(['status'], { env: { GRACER_STATE: state } }).ended).code).toBe(0)
})

it('checks the config and shows where each value comes from', async () => {
  const cwd = scratch()
  writeFileSync(join(cwd, 'gracer.json'), '{ "workers": 2 }')
  const { code, stdout } = await gracer(['check'], { cwd, env: { GRACER_STATE: '/s' } }).ended
  expect(code).toBe(0)
  expect(stdout).toMatch(/^workers +2 +file$/m)
  expect(stdout).toMatch(/^listen +127\.0\.0\.1:8080 +default$/m)
  expect(stdout).toMatch(/^state +\/s +GRACER_STATE$/m)
  const document = JSON.parse((await gracer(['check', '--json'], { cwd }).ended).stdout) as { values: unknown[] }
  expect(document).toMatchObject({ schema: 1, file: join(cwd, 'gracer.json') })
  expect(document.values).toContainEqual({ key: 'workers', value: 2, origin: 'file' })
})

it('warns of what is likely a mistake, with exit 0 and apart from the values', async () => {
  const cwd = scratch()
  writeFileSync(join(cwd, 'gracer.json'), '{ "command": ["no-such-tool"], "bake": "0s" }')
  const plain = await gracer(['check'], { cwd }).ended
  expect(plain.code).toBe(0)
  expect(plain.stderr).toMatch(/^warning: command: command "no-such-tool" was not found .*\nwarning: bake: 0s: /)
  expect(plain.stdout).not.toContain('warning')
  const { stdout, stderr } = await gracer(['check', '--json'], { cwd }).ended
  expect([JSON.parse(stdout), stderr]).toMatchObject([{ schema: 1, warnings: [{ path: 'command' }, { path: 'bake' }] }, ''])
})

it('checks the config and exits 2 with every error at once', async () => {
  const cwd = scratch()
  writeFileSync(join(cwd, 'gracer.json'), '{ "workers": 0, "worker": 2, "bake": 3 }')
  const plain = await gracer(['check'], { cwd }).ended
  expect([plain.code, plain.stdout]).toEqual([2, ''])
  expect(plain.stderr).toContain('3 errors')
  const { code, stdout } = await gracer(['check', '--json'], { cwd }).ended
  expect(code).toBe(2)
  expect((JSON.parse(stdout) as { problems: { path: string }[] }).problems.map(({ path }) => path).sort()).toEqual(['bake', 'worker', 'workers'])
})

it('says its version, that of Node, and the platform', async () => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
  expect((await gracer(['version']).ended).stdout).toBe(`gracer ${version}, node ${process.versions.node}, ${process.platform}-${process.arch}\n`)
  expect(JSON.parse((await gracer(['version', '--json']).ended).stdout)).toEqual({ schema: 1, version, node: process.versions.node, platform: `${process.platform}-${process.arch}` })
})

it('answers a usage error with exit 2 and one line that says what was expected and what came', async () => {
  const cases: [string[], string][] = [
    [['swpa'], "unknown command 'swpa' (Did you mean swap?); expected one of up, "],
    [['swap', '--untl', 'flip'], "unknown option '--untl' (Did you mean --until?); expected one of --until, --timeout"],
    [['swap', '--until', 'done'], "option '--until <phase>' argument 'done' is invalid. Allowed choices are flip, drained, confirmed."],
    [['swap', '--timeout', '90'], 'expected a duration from 1ms to 24h with its unit, such as "90s" or "2m", got "90"'],
    [['swap', '--canary', '100'], 'expected a percentage from 0 to 99.99 with at most two decimals, got "100"'],
    [['swap', '--canary', '0.001'], 'expected a percentage from 0 to 99.99 with at most two decimals, got "0.001"'],
    [['canary', 'set', '-1'], 'expected a percentage from 0 to 99.99'],
    [['canary', 'sett', '5'], "unknown command 'sett' (Did you mean set?); expected one of status, set, "],
    [['canary', 'set', '101'], 'expected a percentage from 0 to 99.99'],
    [['canary', 'set'], "missing required argument 'PERCENT'"],
    [['swap', 'a', 'b'], "too many arguments for 'swap'. Expected 1 argument but got 2"],
    [['history', '-n', 'x'], 'expected a whole number from 1 to 99999, got "x"'],
    [['logs', '-n', '-1'], 'expected a whole number from 0 to 9999999, got "-1"'],
    [['up', '--workers', '65'], 'expected a whole number from 1 to 64, got "65"'],
    [['up', 'node', 'x.js', '--port', '1'], "unknown option '--port'"],
    [['status', '--state'], "option '--state <dir>' argument missing"],
  ]
  const ends = await Promise.all(cases.map(([args]) => gracer(args).ended))
  for (const [index, end] of ends.entries()) {
    const [args, words] = cases[index] ?? [[], '']
    expect([args, end.code, end.stdout]).toEqual([args, 2, ''])
    expect(end.stderr).toMatch(/^gracer: [^\n]+\n$/)
    expect(end.stderr).toContain(words)
  }
})

it('tells a usage error with --json as a document on stdout, and takes no --json behind -- for its own', async () => {
  for (const args of [['swap', '--until', 'foo'], ['frob'], [], ['history', '-n', '-3']]) {
    const end = await gracer([...args, '--json']).ended
    expect([args, end.code]).toEqual([args, 2])
    expect(JSON.parse(end.stdout)).toMatchObject({ schema: 1, error: { code: 'usage', exitCode: 2 } })
  }
  const other = await gracer(['up', '--listen', 'nonsense', '--', 'node', 'x.js', '--json']).ended
  expect([other.code, other.stdout]).toEqual([2, ''])
})

it('gives help on stdout when asked, and on stderr with exit 2 when nothing is asked', async () => {
  expect(await gracer(['--help']).ended).toMatchObject({ code: 0, stdout: expect.stringContaining('rollback') as string, stderr: '' })
  expect(await gracer(['swap', '--help']).ended).toMatchObject({ code: 0, stdout: expect.stringContaining('--state <dir>') as string })
  expect(await gracer([]).ended).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('Usage: gracer') as string })
})

it('colors nothing without a terminal, unless FORCE_COLOR says so and --no-color does not', async () => {
  const { state } = await agentWith()
  const colored = async (args: string[], env: NodeJS.ProcessEnv): Promise<boolean> => (await gracer([...args, 'status', '--state', state], { env }).ended).stdout.includes('\u001b[')
  expect(await colored([], {})).toBe(false)
  expect(await colored([], { FORCE_COLOR: '1' })).toBe(true)
  expect(await colored([], { FORCE_COLOR: '0' })).toBe(false)
  expect(await colored(['--no-color'], { FORCE_COLOR: '1' })).toBe(false)
  expect(await colored(['--json'], { FORCE_COLOR: '1' })).toBe(false)
})

it('ends without a word when its reader has seen enough', async () => {
  const many = { ...status, services: Array.from({ length: 2_000 }, (_, index) => ({ ...status.services[0], name: `s${index}` })) } as Status
  const { run } = await agentWith({ status: () => many })
  const command = run('status')
  command.child.stdout.destroy()
  const { code, stderr } = await command.ended
  expect([code, stderr]).toEqual([0, ''])
})

it('starts fast: "version" and "status" load neither the schema nor the master', async () => {
  const { state } = await agentWith()
  const traced = join(scratch(), 'loaded.mjs')
  writeFileSync(traced, "import { register } from 'node:module'\nregister('data:text/javascript,' + encodeURIComponent('import { writeSync } from \"node:fs\"; export async function load(url, context, next) { writeSync(2, url + \"\\\\n\"); return next(url, context) }'))\n")
  for (const args of [['version'], ['status', '--state', state]]) {
    const { code, stderr } = await gracer(args, { env: { NODE_OPTIONS: `--import=${traced}` } }).ended
    expect(code).toBe(0)
    expect(stderr).toContain('dist/agent/cli/program.js')
    expect(stderr).not.toMatch(/node_modules\/(?:zod|pino|http-proxy|chokidar)\/|proxy\/master\/master/)
  }
})

it('says that something else listens where the agent should', async () => {
  const state = join(scratch(), 's')
  mkdirSync(state)
  const other = createServer((socket) => {
    socket.on('error', () => {})
    socket.end('SSH-2.0-x\r\n')
  }).listen(join(state, 'control.sock'))
  afterTest(() => void other.close())
  await once(other, 'listening')
  expect((await gracer(['status', '--state', state]).ended).code).toBe(3)
})
