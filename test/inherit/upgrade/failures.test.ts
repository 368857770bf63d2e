import { rmSync, writeFileSync, chmodSync, copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'

import { until } from '../../support/deadline.ts'
import { runs } from '../../support/standalone.ts'
import { cleanUp } from '../support.ts'
import { load, settled, start, upgraded } from './support.ts'

afterEach(cleanUp)

/** What the next generation does instead of serving, the code and what the reason says. */
const failures = [
  ['crash', 'exited', /ended with exit code 1 before it said that it is ready/, /the database is not there/],
  ['exit-0', 'exited', /ended with exit code 0 before it said that it is ready/, /nothing to do/],
  ['hang', 'timeout', /did not say that it is ready within 3000 ms/, undefined],
  ['nonsense', 'protocol', /no line of KEY=value/, undefined],
  ['version', 'protocol', /speaks version 99/, undefined],
  ['ready-then-die', 'exited', /right after it said that it is ready/, /I am fine/],
  ['ready-then-hang', 'timeout', /told to accept connections/, undefined],
  ['mute', 'protocol', /closed the notify descriptor/, undefined],
] as const

describe.each([['alone', false], ['with a parent in front', true]])('a successor that fails, %s', (_, front) => {
  test('is told of with its reason and last lines; nothing is lost, nothing is left, and the next upgrade works', async () => {
    // Long to settle: on a busy machine an exit right after READY takes its time.
    const program = await start({ serve: { front, startTimeoutMs: 3_000, settleMs: 1_000, pidFile: './pid' } })
    const { pid } = await program.self()
    const before = program.pids()
    const running = await load(program)
    // With the front it is the same attempt: three of them do.
    for (const [order, code, reason, lastLine] of front ? failures.slice(0, 3) : failures) {
      program.write('upgrade.txt', order)
      const result = await program.upgrade()
      expect(result, order).toMatchObject({ ok: false, code, reason: expect.stringMatching(reason) as string })
      if (lastLine !== undefined && !result.ok) expect(result.lines.join('\n')).toMatch(lastLine)
      expect(program.pids(), order).toEqual(before)
    }
    program.write('upgrade.txt', '')
    program.write('release.txt', 'r2')
    const next = await upgraded(program)
    expect(next).not.toBe(pid)
    expect(await program.get('/')).toBe('release r2\n')
    const report = await running.stop()
    expect({ failed: report.failed, failures: report.failures }).toEqual({ failed: 0, failures: [] })
    expect((await program.drained(pid)).cut).toBe(0)
    await settled(program, front ? 2 : 1)
  }, 60_000)

  test('one that dies right after it began to serve gives the control socket and the pid file back', async () => {
    const program = await start({ serve: { front, pidFile: './pid' } })
    const { pid } = await program.self()
    program.write('upgrade.txt', 'serve-then-die')
    expect(await program.upgrade()).toMatchObject({ ok: false, code: 'exited', reason: expect.stringContaining('exit code 7 right after it began to serve') as string })
    expect((await program.describe()).pid).toBe(pid)
    const named = (await import('node:fs')).readFileSync(join(program.folder, 'pid'), 'utf8')
    expect(named).toBe(`${front ? program.child.pid : pid}\n`)
    program.write('upgrade.txt', '')
    await upgraded(program)
  }, 40_000)
})

test('a successor that hangs while its output goes into a pipe: its last lines are known all the same', async () => {
  const program = await start({ serve: { startTimeoutMs: 2_000 }, command: ['/bin/sh', '-c', `"${process.execPath}" server.mjs 2>&1 | cat >> log`] })
  program.write('upgrade.txt', 'hang')
  expect(await program.upgrade()).toMatchObject({ code: 'timeout', lines: ['waiting for the database'] })
}, 40_000)

test('a second trigger while one is under way is told busy, and so is one while the generation before still answers', async () => {
  const program = await start()
  program.write('upgrade.txt', 'slow')
  const first = program.upgrade()
  await until('the upgrade to be under way', async () => (await program.describe()).state === 'upgrading')
  expect(await program.upgrade()).toMatchObject({ ok: false, code: 'busy', reason: 'an upgrade is under way' })
  program.child.kill('SIGUSR2')
  await until('both refusals in the log', () => program.log().split('gracer: no upgrade: an upgrade is under way').length === 3)
  const slow = program.get('/slow?ms=2000')
  expect(await first).toMatchObject({ ok: true, generation: 2 })
  expect(await program.upgrade()).toMatchObject({ ok: false, code: 'busy', reason: `generation 1 (pid ${program.child.pid}) has not left yet: it is still answering` })
  expect(await slow).toBe('waited 2000 ms\n')
  await settled(program)
  program.write('upgrade.txt', '')
  await upgraded(program)
}, 40_000)

test('a program whose file is gone, or whose node is not executable, is not started, and the old one serves on', async () => {
  const program = await start()
  rmSync(join(program.folder, 'server.mjs'))
  expect(await program.upgrade()).toMatchObject({ ok: false, code: 'spawn', reason: expect.stringContaining(`${join(program.folder, 'server.mjs')}, which this process was started from, is gone`) as string, hint: 'Put the new code there and try again.' })
  expect(await program.answers()).toBe(true)
}, 40_000)

test('a node that is gone, not executable, or another one by now', async () => {
  // A copy that can be taken away; by a relative name, as somebody types it.
  const program = await start({ command: ['./bin-node', 'server.mjs'], prepare: (folder) => copyFileSync(process.execPath, join(folder, 'bin-node')) })
  const node = join(program.folder, 'bin-node')
  rmSync(node)
  expect(await program.upgrade()).toMatchObject({ ok: false, code: 'spawn', reason: expect.stringContaining('command "./bin-node" was not found') as string })
  writeFileSync(node, 'not executable')
  chmodSync(node, 0o644)
  expect(await program.upgrade()).toMatchObject({ ok: false, code: 'spawn', reason: expect.stringContaining('may not be executed') as string })
  rmSync(node)
  writeFileSync(node, `#!/bin/sh\nexec ${process.execPath} "$@"\n`)
  chmodSync(node, 0o755)
  await upgraded(program)
  expect(await program.answers()).toBe(true)
}, 60_000)

test('kill -9 of the successor in the middle of its start: the old one serves on', async () => {
  const program = await start()
  const running = await load(program)
  program.write('upgrade.txt', 'hang')
  const result = program.upgrade()
  const [, child] = await until('the successor', () => (program.pids().length === 2 ? program.pids() : null))
  process.kill(child as number, 'SIGKILL')
  expect(await result).toMatchObject({ ok: false, code: 'exited', reason: expect.stringContaining('ended with SIGKILL') as string })
  program.write('upgrade.txt', '')
  await upgraded(program)
  expect(await running.stop()).toMatchObject({ failed: 0 })
}, 40_000)

test('kill -9 of the old one in the middle of its successor’s start: the successor serves what waits in the queue', async () => {
  const program = await start()
  program.write('upgrade.txt', 'slow')
  void program.upgrade().catch(() => {})
  await until('the successor', () => program.pids().length === 2)
  program.child.kill('SIGKILL')
  await program.exited
  // Nobody accepts at this moment; the socket lives on in the successor.
  expect(await program.get('/')).toBe('release r1\n')
  const { generation } = await program.self()
  expect(generation).toBe(2)
  await settled(program)
  program.write('upgrade.txt', '')
  await upgraded(program)
}, 40_000)

test('kill -9 of the old one in the middle of its drain: what was in flight on it is lost, the new one is at once free to upgrade', async () => {
  const program = await start()
  const slow = program.get('/slow?ms=20000').catch((error: NodeJS.ErrnoException) => error.code)
  await until('the slow request to have arrived', async () => (await program.get('/')) !== '')
  const pid = await upgraded(program)
  program.child.kill('SIGKILL')
  expect(await slow).toBe('ECONNRESET')
  await settled(program)
  expect(runs(pid)).toBe(true)
  expect(await program.upgrade()).toMatchObject({ ok: true, generation: 3 })
}, 40_000)

test('SIGTERM in the middle of an upgrade ends the successor and drains', async () => {
  const program = await start()
  program.write('upgrade.txt', 'hang')
  const result = program.upgrade().catch(() => null)
  await until('the successor', () => program.pids().length === 2)
  program.child.kill('SIGTERM')
  expect(await result).toMatchObject({ ok: false, code: 'aborted', reason: expect.stringContaining('this process was told to leave') as string })
  expect(await program.exited).toBe(0)
  expect(program.pids()).toEqual([])
}, 40_000)
