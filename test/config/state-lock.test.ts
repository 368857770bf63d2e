import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, expect, it } from 'vitest'
import { acquireLock } from '../../agent/state-lock.ts'
import type { LockRecord } from '../../agent/state-lock.ts'
import { root, scratch, until } from './support.ts'

/** Another process that tries locks on demand. */
class Starter {
  readonly child: ChildProcess
  readonly #lines: AsyncIterator<string>

  constructor(child: ChildProcess) {
    this.child = child
    if (child.stdout === null) throw new Error('no pipe')
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  }

  static async start(): Promise<Starter> {
    const starter = new Starter(spawn(process.execPath, [join(root, 'test', 'config', 'lock-holder.mjs')], { stdio: ['pipe', 'pipe', 'inherit'] }))
    started.push(starter.child)
    expect(await starter.answer()).toBe('ready')
    return starter
  }

  tell(line: string): void {
    this.child.stdin?.write(`${line}\n`)
  }

  async answer(): Promise<string> {
    const next = await this.#lines.next()
    return next.done === true ? 'gone' : next.value
  }

  async ask(line: string): Promise<string> {
    this.tell(line)
    return await this.answer()
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL')
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, 'exit')
  }
}

const started: ChildProcess[] = []

afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL')
})

function record(path: string): LockRecord {
  return JSON.parse(readFileSync(path, 'utf8')) as LockRecord
}

function rewrite(path: string, changes: Partial<LockRecord>): void {
  writeFileSync(path, JSON.stringify({ ...record(path), ...changes }))
}

function freshPath(): string {
  return join(scratch(), 'lock')
}

it('is held by one process: a second one gets exit code 4 and the pid', async () => {
  const path = freshPath()
  const holder = await Starter.start()
  expect(await holder.ask(path)).toBe('won')
  expect(() => acquireLock(path)).toThrowError(expect.objectContaining({ code: 'locked', exitCode: 4, message: expect.stringContaining(`pid ${holder.child.pid}`) as string }))
  expect(record(path)).toMatchObject({ pid: holder.child.pid })
  expect(statSync(path).mode & 0o777).toBe(0o600)
})

it('is free again once given back, and leaves nothing behind', async () => {
  const path = freshPath()
  const holder = await Starter.start()
  expect(await holder.ask(path)).toBe('won')
  expect(await holder.ask('release')).toBe('released')
  acquireLock(path).release()
  expect(readdirSync(join(path, '..'))).toEqual([])
})

it('is taken from a holder that was killed with -9', async () => {
  const path = freshPath()
  const holder = await Starter.start()
  expect(await holder.ask(path)).toBe('won')
  await holder.kill()
  const lock = acquireLock(path)
  expect(record(path).pid).toBe(process.pid)
  lock.release()
  expect(readdirSync(join(path, '..'))).toEqual([])
})

it('is not given back by a holder that has lost it', () => {
  const path = freshPath()
  const lock = acquireLock(path)
  rewrite(path, { nonce: '0123456789abcdef' })
  lock.release()
  expect(record(path).nonce).toBe('0123456789abcdef')
})

it('knows a pid that was given to another process by its start time', () => {
  const path = freshPath()
  acquireLock(path)
  rewrite(path, { start: '1', nonce: '0123456789abcdef' })
  acquireLock(path).release()
})

it('counts a zombie as dead', async () => {
  const path = freshPath()
  // The shell becomes a sleep, which never waits for the child it got with that.
  const script = join(root, 'test', 'config', 'lock-holder.mjs')
  const parent = spawn('sh', ['-c', 'exec 3<&0; "$0" "$1" <&3 & exec sleep 600', process.execPath, script], { stdio: ['pipe', 'pipe', 'inherit'] })
  started.push(parent)
  const holder = new Starter(parent)
  expect(await holder.answer()).toBe('ready')
  expect(await holder.ask(path)).toBe('won')
  const { pid } = record(path)
  process.kill(pid, 'SIGKILL')
  await until(() => readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z '), 'the holder is a zombie')
  acquireLock(path).release()
})

it('goes to exactly one of many who start at once, on a free lock and on a dead one', { timeout: 60_000 }, async () => {
  const dead = await Starter.start()
  const deadPath = freshPath()
  expect(await dead.ask(deadPath)).toBe('won')
  await dead.kill()
  const left = readFileSync(deadPath, 'utf8')
  const starters = await Promise.all(Array.from({ length: 6 }, () => Starter.start()))
  for (let round = 0; round < 60; round++) {
    const path = freshPath()
    if (round % 2 === 1) writeFileSync(path, left)
    for (const starter of starters) starter.tell(path)
    const answers = await Promise.all(starters.map((starter) => starter.answer()))
    expect(answers.filter((answer) => answer === 'won'), `round ${round}: ${answers.join(' ')}`).toHaveLength(1)
    const winner = starters[answers.indexOf('won')]
    expect(record(path).pid).toBe(winner?.child.pid)
    for (const answer of answers.filter((other) => other !== 'won')) expect(JSON.parse(answer)).toMatchObject({ code: 'locked', exitCode: 4 })
    expect(await winner?.ask('release')).toBe('released')
    expect(readdirSync(join(path, '..'))).toEqual([])
  }
})

it('is passed on along a chain of successors that died before they had taken it', () => {
  const path = freshPath()
  acquireLock(path)
  const first = { ...record(path), start: '1', nonce: 'aaaaaaaaaaaaaaaa' }
  writeFileSync(path, JSON.stringify(first))
  writeFileSync(`${path}.after-${first.nonce}`, JSON.stringify({ ...first, nonce: 'bbbbbbbbbbbbbbbb' }))
  const lock = acquireLock(path)
  expect(record(path).nonce).toBe(lock.record.nonce)
  expect(readdirSync(join(path, '..')).filter((name) => name.includes('after'))).toEqual([])
})

it('waits behind a successor that is about to take it', () => {
  const path = freshPath()
  acquireLock(path)
  const first = { ...record(path), start: '1', nonce: 'aaaaaaaaaaaaaaaa' }
  writeFileSync(`${path}.after-${first.nonce}`, readFileSync(path))
  writeFileSync(path, JSON.stringify(first))
  expect(() => acquireLock(path)).toThrowError(expect.objectContaining({ code: 'locked' }))
})

it('tells the living from the dead in another container on the same kernel by their pulse', async () => {
  const path = freshPath()
  const holder = await Starter.start()
  expect(await holder.ask(path)).toBe('won')
  rewrite(path, { pidNamespace: 'pid:[1]', host: 'other-container', pid: 1 })
  expect(() => acquireLock(path)).toThrowError('another gracer runs on this state folder: pid 1 on host other-container')
  await holder.kill()
  acquireLock(path).release()
})

it('says that it cannot decide, and does not steal, where the pulse is missing or the host is another', async () => {
  const path = freshPath()
  const holder = await Starter.start()
  expect(await holder.ask(path)).toBe('won')
  await holder.kill()
  rewrite(path, { pidNamespace: 'pid:[1]', nonce: 'aaaaaaaaaaaaaaaa' })
  expect(() => acquireLock(path)).toThrowError('cannot be decided')
  rewrite(path, { host: 'other-host', boot: 'other-boot' })
  expect(() => acquireLock(path)).toThrowError(expect.objectContaining({ code: 'locked', exitCode: 4, hint: expect.stringContaining(`remove ${path}`) as string }))
  expect(existsSync(path)).toBe(true)
})

it('is taken from before a reboot of the same host', () => {
  const path = freshPath()
  acquireLock(path)
  rewrite(path, { boot: 'the boot before', nonce: 'aaaaaaaaaaaaaaaa' })
  acquireLock(path).release()
})

it('refuses a lock file that is none of its own making', () => {
  const path = freshPath()
  writeFileSync(path, '4711\n')
  expect(() => acquireLock(path)).toThrowError(expect.objectContaining({ code: 'locked', exitCode: 4 }))
})

it('sweeps up what starters left that were killed half way', async () => {
  const path = freshPath()
  const holder = await Starter.start()
  expect(await holder.ask(path)).toBe('won')
  await holder.kill()
  const left = readFileSync(path, 'utf8')
  for (const name of ['tmp', 'ready']) writeFileSync(`${path}.bbbbbbbbbbbbbbbb.${name}`, left)
  acquireLock(path).release()
  expect(readdirSync(join(path, '..'))).toEqual([])
})
