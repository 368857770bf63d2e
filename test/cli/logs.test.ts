import { spawn } from 'node:child_process'
import { appendFileSync, existsSync, mkdirSync, readFileSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { parseSince } from '../../agent/cli/since.ts'
import { GracerError } from '../../inherit/gracer-error.ts'
import type { ControlEvent, ControlHandlers } from '../../agent/control/handlers.ts'
import { serve } from '../control/support.ts'
import { afterTest, agentWith, main, outcome, progress, root, Run, scratch, until } from './support.ts'

/** Releases with a log each, one of them live, and a flip on demand. */
class Releases {
  readonly folder = scratch()
  readonly listeners = new Set<(event: ControlEvent) => void>()
  live: string | null = null
  asked = 0
  /** What the agent was asked for, and what it answers. */
  since: number | null = null
  from: number | null = null

  file(release: string): string {
    return join(this.folder, `${release}.log`)
  }

  print(release: string, text: string): void {
    appendFileSync(this.file(release), text)
  }

  flip(release: string, event: ControlEvent = progress('flipped')): void {
    this.live = release
    for (const listener of this.listeners) listener(event)
  }

  handlers(): Partial<ControlHandlers> {
    return {
      logs: (_service, named, since) => {
        this.asked++
        const release = named ?? this.live
        if (release === null) throw new GracerError('nothing is live', { code: 'nothing-live', exitCode: 2 })
        this.since = since
        return { release, file: this.file(release), ...(since === null ? {} : { from: this.from }) }
      },
      events: (listener) => {
        this.listeners.add(listener)
        return () => this.listeners.delete(listener)
      },
    }
  }
}

it('prints the last lines of the live release, or of the one named', async () => {
  const releases = new Releases()
  const { run } = await agentWith(releases.handlers())
  releases.live = 'v1'
  releases.print('v1', 'one\ntwo\nthree\n')
  releases.print('v2', 'other\n')
  expect(await run('logs', '-n', '2').ended).toMatchObject({ code: 0, stdout: 'two\nthree\n', stderr: '' })
  expect(await run('logs', 'v2').ended).toMatchObject({ code: 0, stdout: 'other\n' })
  expect((await run('logs', '--json', '-n', '1').ended).stdout).toBe('{"schema":1,"release":"v1","line":"three"}\n')
})

it('exits 1 where there is no log, and as the agent says where nothing is live', async () => {
  const releases = new Releases()
  const { run } = await agentWith(releases.handlers())
  expect((await run('logs').ended).code).toBe(2)
  releases.live = 'v1'
  expect(await run('logs').ended).toMatchObject({ code: 1, stderr: expect.stringContaining('v1 has no log') as string })
})

it('says so where nothing was printed, beside the data', async () => {
  const releases = new Releases()
  const { run } = await agentWith(releases.handlers())
  releases.live = 'v1'
  releases.print('v1', '')
  expect(await run('logs').ended).toEqual({ code: 0, stdout: '', stderr: `gracer: v1 has printed nothing; its log is ${releases.file('v1')}\n` })
})

it('hands on bytes as they are', async () => {
  const releases = new Releases()
  const { run } = await agentWith(releases.handlers())
  releases.live = 'v1'
  writeFileSync(releases.file('v1'), Buffer.from([0xff, 0x1b, 0x5b, 0x41, 0x0a]))
  const command = run('logs')
  command.child.stdout.setEncoding('latin1')
  expect((await command.ended).stdout).toBe('\u00ff\u001b[A\n')
})

it('follows one release across the truncation of its log', async () => {
  const releases = new Releases()
  const { run } = await agentWith(releases.handlers())
  releases.print('v1', 'a line before the size cap\n')
  const command = run('logs', 'v1', '-f')
  await command.says('before the size cap')
  truncateSync(releases.file('v1'))
  releases.print('v1', 'after\n')
  await command.says('after')
  expect(command.stderr).toContain('goes on with the oldest that is left')
})

it('follows whichever release is live, there and back, and repeats nothing', async () => {
  const releases = new Releases()
  const { run } = await agentWith(releases.handlers())
  releases.live = 'v1'
  releases.print('v1', 'v1 old\nv1 first\n')
  releases.print('v2', 'v2 boots\n')
  const command = run('logs', '-f', '-n', '1')
  await command.says('v1 first')
  await until(() => releases.listeners.size > 0, 'the subscription')
  releases.flip('v2')
  await command.says('v2 boots')
  releases.print('v1', 'v1 while it drains\n')
  releases.print('v2', 'v2 works\n')
  await command.says('v2 works')
  releases.flip('v1', outcome({ outcome: 'flipped-back' }))
  await command.says('v1 while it drains')
  releases.flip('v2')
  releases.print('v2', 'v2 again\n')
  await command.says('v2 again')
  expect(command.stdout).toBe('v1 first\nv2 boots\nv2 works\nv1 while it drains\nv2 again\n')
  command.child.kill('SIGINT')
  await command.ended
})

it('goes on following when the agent was away in between', async () => {
  const releases = new Releases()
  const { run, state, close } = await agentWith(releases.handlers())
  releases.live = 'v1'
  releases.print('v1', 'v1 first\n')
  releases.print('v2', 'v2 boots\n')
  const command = run('logs', '-f')
  await command.says('v1 first')
  await close()
  releases.live = 'v2'
  releases.print('v1', 'v1 without an agent\n')
  await command.says('v1 without an agent')
  await serve(releases.handlers(), { socketPath: join(state, 'control.sock') })
  await command.says('v2 boots')
})

it('prints what was printed since: from where the agent says, less lines that say themselves that they are older', async () => {
  const releases = new Releases()
  const { run } = await agentWith(releases.handlers())
  releases.live = 'v1'
  const noon = Date.parse('2026-11-25T12:00:00Z')
  const old = 'long ago\n'
  releases.from = old.length
  const timed = [`{"time":${noon - 1_000},"msg":"a second too early"}\n`, `[2026-11-25T11:59:59.900Z] too early\n`, `{"time":"2026-11-25T13:00:00+01:00"}\n`, 'no time\n', `{"time":${noon - 500},"msg":"late to be written"}\n`]
  releases.print('v1', old + timed.join(''))
  expect(await run('logs', '--since', '2026-11-25T12:00:00Z').ended).toMatchObject({ code: 0, stdout: timed.slice(2).join('') })
  expect(releases.since).toBe(noon)
  expect((await run('logs', '--since', '2026-11-25T12:00:00Z', '-n', '1').ended).stdout).toBe('')
  releases.from = null
  const before = Date.now()
  expect((await run('logs', '--since', '10m').ended).stdout).toBe(old + timed.join(''))
  expect((releases.since ?? 0) - before).toBeGreaterThanOrEqual(-600_000)
  expect(await run('logs', '--since', 'yesterday').ended).toMatchObject({ code: 2, stderr: expect.stringContaining('how long ago') as string })
})

it('ends without a word and with exit code 0 when its reader has seen enough', async () => {
  const releases = new Releases()
  const { state } = await agentWith(releases.handlers())
  releases.live = 'v1'
  releases.print('v1', 'one\ntwo\n')
  const shell = spawn('sh', ['-c', `{ '${process.execPath}' '${main}' logs -f --state '${state}'; echo "ended: $?" >&2; } | head -n 1`], { stdio: ['ignore', 'pipe', 'pipe'] })
  let [stdout, stderr] = ['', '']
  shell.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk))
  shell.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk))
  const printing = setInterval(() => releases.print('v1', 'more\n'), 20)
  afterTest(() => clearInterval(printing))
  await until(() => stderr.includes('ended'), 'the command to end')
  expect([stdout, stderr]).toEqual(['one\n', 'ended: 0\n'])
})

const consoleMain = join(root, 'dist', 'agent', 'cli', 'console-main.js')

function logLine(event: string, time = Date.now()): string {
  return `${JSON.stringify({ level: 'info', time: new Date(time).toISOString(), event })}\n`
}

function lockFor(state: string, pid: number): void {
  writeFileSync(join(state, 'lock'), JSON.stringify({ pid }))
}

it('shows gracer\'s log on stderr and the live backend\'s on stdout, as the console of "gracer up"', async () => {
  const releases = new Releases()
  const { state } = await agentWith(releases.handlers())
  mkdirSync(join(state, 'log'))
  const own = join(state, 'log', 'gracer.log')
  lockFor(state, process.pid)
  const current = logLine('up.listening')
  writeFileSync(own, logLine('from.yesterday', Date.now() - 86_400_000) + current)
  const command = new Run(consoleMain, [state])
  await command.says('up.listening')
  await until(() => releases.listeners.size > 0, 'the subscription')
  releases.print('v1', 'the backend speaks\n')
  releases.flip('v1')
  await command.says('the backend speaks')
  appendFileSync(own, logLine('swap.flipped', 1_800_000_000_000))
  await command.says('swap.flipped')
  expect(command.stdout).toBe('the backend speaks\n')
  expect(command.stderr).toBe(current + logLine('swap.flipped', 1_800_000_000_000))
})

it('leaves out of an old log what an earlier run wrote', async () => {
  const releases = new Releases()
  const { state } = await agentWith(releases.handlers())
  lockFor(state, process.pid)
  releases.live = 'v1'
  releases.print('v1', 'from an earlier run\n')
  utimesSync(releases.file('v1'), 1, 1)
  const command = new Run(consoleMain, [state])
  await until(() => releases.listeners.size > 0 && releases.asked > 0, 'the subscription')
  // One more question shows that the answer to the first was taken up.
  releases.flip('v1')
  await until(() => releases.asked > 1, 'the second question')
  releases.flip('v2')
  releases.print('v2', 'v2 boots\n')
  await command.says('v2 boots')
  releases.print('v1', 'from this run\n')
  releases.flip('v1')
  await command.says('from this run')
  expect(command.stdout).toBe('v2 boots\nfrom this run\n')
})

it('notices a release that became live without an event', async () => {
  const releases = new Releases()
  const { run } = await agentWith(releases.handlers())
  releases.live = 'v1'
  releases.print('v1', 'v1 first\n')
  const command = run('logs', '-f')
  await command.says('v1 first')
  releases.live = 'v2'
  releases.print('v2', 'v2 is here\n')
  await command.says('v2 is here')
})

it('survives Ctrl-C, and ends by itself after its parent has gone, with a last look at the log', async () => {
  const state = join(scratch(), 'state')
  mkdirSync(join(state, 'log'), { recursive: true })
  const own = join(state, 'log', 'gracer.log')
  const output = join(scratch(), 'output')
  writeFileSync(own, logLine('up.listening'))
  // A parent that does nothing but hold the console, whose pid it tells.
  const script = `const { spawn } = require('node:child_process'); const out = require('node:fs').openSync(${JSON.stringify(output)}, 'a'); const child = spawn(process.execPath, ${JSON.stringify([consoleMain, state])}, { stdio: ['ignore', out, out] }); require('node:fs').writeFileSync(${JSON.stringify(join(state, 'lock'))}, JSON.stringify({ pid: process.pid })); console.log(child.pid); setInterval(() => {}, 1000)`
  const parent = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  afterTest(() => void parent.kill('SIGKILL'))
  let text = ''
  parent.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  await until(() => text.endsWith('\n'), 'the pid of the console')
  const pid = Number(text)
  const shown = (): string => (existsSync(output) ? readFileSync(output, 'utf8') : '')
  await until(() => shown().includes('up.listening'), 'the first line')
  process.kill(pid, 'SIGINT')
  appendFileSync(own, logLine('down.draining'))
  await until(() => shown().includes('down.draining'), 'a line after Ctrl-C')
  appendFileSync(own, logLine('down.ended'))
  parent.kill('SIGKILL')
  await until(() => {
    try {
      // A zombie that nobody reaps has ended too.
      return /^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'))
    } catch {
      return true
    }
  }, 'the end of the console')
  expect(shown()).toContain('down.ended')
})

it('ends by itself where its parent was gone before it could look, with the log shown', async () => {
  const state = join(scratch(), 'state')
  mkdirSync(join(state, 'log'), { recursive: true })
  const line = logLine('up.failed')
  writeFileSync(join(state, 'log', 'gracer.log'), line)
  for (const pid of [null, 1]) {
    if (pid !== null) lockFor(state, pid)
    expect(await new Run(consoleMain, [state]).ended).toEqual({ code: 0, stdout: '', stderr: line })
  }
})

it('needs a state folder to be named', async () => {
  expect(await new Run(consoleMain, []).ended).toMatchObject({ code: 2, stderr: 'console-main: expected a state folder, got nothing\n' })
})

it('reads when from a time of day, a date, or how long ago; never from the future', () => {
  const now = new Date(2026, 10, 25, 14, 30).getTime()
  const at = (...parts: [number, number, number, number, number]): number => new Date(...parts).getTime()
  const cases: [string, number | undefined][] = [
    ['90s', now - 90_000], ['2h', now - 7_200_000], ['14:05', at(2026, 10, 25, 14, 5)], ['15:00', at(2026, 10, 24, 15, 0)], ['9:00:30', at(2026, 10, 25, 9, 0) + 30_000],
    ['2026-11-25', at(2026, 10, 25, 0, 0)], ['2026-11-24 08:15', at(2026, 10, 24, 8, 15)], ['2026-11-24T08:15:00Z', Date.parse('2026-11-24T08:15:00Z')],
    ['2027-01-01', undefined], ['25:00', undefined], ['2026-13-01', undefined], ['10', undefined], ['', undefined],
  ]
  expect(cases.map(([text]) => [text, parseSince(text, now)])).toEqual(cases)
})
