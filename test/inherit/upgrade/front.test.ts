import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'

import { until } from '../../support/deadline.ts'
import { runs, Standalone } from '../../support/standalone.ts'
import { cleanUp, onCleanUp } from '../support.ts'
import { settled, start, upgraded } from './support.ts'

afterEach(cleanUp)

test('the pid that a supervisor knows stays, and is the parent of every generation', async () => {
  const program = await start({ serve: { front: true, pidFile: 'pid' } })
  const front = program.child.pid ?? 0
  let before = (await program.self()).pid
  for (const how of ['control', 'signal to the front', 'signal to the generation', 'its own code'] as const) {
    const { generation } = await program.self()
    if (how === 'control') await upgraded(program)
    else if (how === 'its own code') expect(JSON.parse(await program.get('/upgrade-itself'))).toMatchObject({ generation: generation + 1 })
    else process.kill(how === 'signal to the front' ? front : before, 'SIGUSR2')
    const next = await until(`the next generation, by ${how}`, async () => {
      const self = await program.self()
      return self.generation === generation + 1 ? self : null
    })
    await settled(program, 2)
    expect(next.pid).not.toBe(before)
    expect(Number(/PPid:\s+(\d+)/.exec(readFileSync(`/proc/${next.pid}/status`, 'utf8'))?.[1])).toBe(front)
    before = next.pid
  }
  expect(readFileSync(join(program.folder, 'pid'), 'utf8')).toBe(`${front}\n`)
}, 60_000)

test('SIGTERM to the front drains: what is in flight is finished, then it exits 0 and nothing is left', async () => {
  const program = await start({ serve: { front: true, pidFile: 'pid' } })
  const slow = program.get('/slow?ms=1000')
  await until('a reply meanwhile', () => program.answers())
  program.child.kill('SIGTERM')
  expect(await slow).toBe('waited 1000 ms\n')
  expect(await program.exited).toBe(0)
  expect(program.pids()).toEqual([])
})

test('SIGTERM to all of them at once, as systemd sends it to a control group, is still one drain', async () => {
  const program = await start({ serve: { front: true } })
  const { pid } = await program.self()
  const slow = program.get('/slow?ms=1000')
  await until('a reply meanwhile', () => program.answers())
  for (const each of [program.child.pid ?? 0, pid]) process.kill(each, 'SIGTERM')
  expect(await slow).toBe('waited 1000 ms\n')
  expect(await program.exited).toBe(0)
})

test('a second SIGTERM cuts at once', async () => {
  const program = await start({ serve: { front: true } })
  const { pid } = await program.self()
  const slow = program.get('/slow?ms=60000').catch((error: NodeJS.ErrnoException) => error.code)
  await until('a reply meanwhile', () => program.answers())
  program.child.kill('SIGTERM')
  await until('the drain', async () => (await program.describe()).state === 'draining')
  program.child.kill('SIGTERM')
  expect(await slow).toBe('ECONNRESET')
  expect(await program.exited).toBe(0)
  expect((await program.drained(pid)).cut).toBe(1)
})

test('kill -9 of the generation: the front starts it again, and who connects meanwhile waits and is answered', async () => {
  const program = await start({ serve: { front: true } })
  const { pid } = await program.self()
  process.kill(pid, 'SIGKILL')
  await until('its end', () => !runs(pid))
  const { pid: next, generation } = await program.self()
  expect(next).not.toBe(pid)
  expect(generation).toBe(2)
  await until('the front to know it', async () => (await program.describe()).state === 'serving')
  await upgraded(program)
}, 40_000)

test('kill -9 of the generation in the middle of an upgrade: the successor serves all the same', async () => {
  const program = await start({ serve: { front: true } })
  const { pid } = await program.self()
  program.write('upgrade.txt', 'slow')
  const upgrade = program.upgrade()
  await until('the successor', () => program.pids().length === 3)
  process.kill(pid, 'SIGKILL')
  expect(await program.get('/')).toBe('release r1\n')
  expect(await upgrade).toMatchObject({ ok: true, generation: 2 })
  await settled(program, 2)
}, 40_000)

test('a start after a crash that fails is tried again, and the front stays', async () => {
  const program = await start({ serve: { front: true } })
  const { pid } = await program.self()
  program.write('upgrade.txt', 'crash')
  process.kill(pid, 'SIGKILL')
  await until('a failed start', () => program.log().includes('the database is not there') && program.log().includes('ended with SIGKILL'))
  expect(runs(program.child.pid ?? 0)).toBe(true)
  program.write('upgrade.txt', '')
  expect((await program.self()).generation).toBeGreaterThan(1)
}, 40_000)

test('a first start that fails ends the front at once, with the reason', async () => {
  const failed = Standalone.start({ serve: { front: true }, prepare: (folder) => writeFileSync(join(folder, 'upgrade.txt'), 'crash') })
  await expect(failed).rejects.toThrow(/it ended: [^]*the program did not come up: [^]*the database is not there/)
}, 40_000)

test('kill -9 of the front: the generation drains and leaves, so that a new one can have the address', async () => {
  const program = await start({ serve: { front: true } })
  const { pid } = await program.self()
  const slow = program.get('/slow?ms=700')
  await until('a reply meanwhile', () => program.answers())
  program.child.kill('SIGKILL')
  expect(await slow).toBe('waited 700 ms\n')
  await until('its end', () => !runs(pid))
  expect(program.pids()).toEqual([])
})

test('the program comes to its end by itself: so does the front', async () => {
  const program = await start({ serve: { front: true } })
  process.kill((await program.self()).pid, 'SIGTERM')
  expect(await program.exited).toBe(0)
  onCleanUp(() => expect(program.pids()).toEqual([]))
})
