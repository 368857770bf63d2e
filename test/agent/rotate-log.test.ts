import { spawn, spawnSync } from 'node:child_process'
import { closeSync, openSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { FileTail } from '../../agent/cli/tail-file.ts'
import { bytesBefore, LogTimes, shiftMarks, thinMarks, type LogMark } from '../../agent/service/log-times.ts'
import { rotateLog } from '../../agent/service/rotate-log.ts'
import { afterTest, scratch } from '../control/support.ts'

const lines = 60_000
const mostBytes = 300_000

/** Writes numbered lines, each in a write of its own, to the descriptor it was given: as a backend does. */
const backend = `const fs = require('node:fs'); let n = 0
const burst = () => { for (let i = 0; i < 200 && n < ${lines}; i++) fs.writeSync(1, 'line ' + n++ + ' ${'x'.repeat(60)}\\n'); if (n < ${lines}) setTimeout(burst, 1) }
burst()`

function startBackend(file: string): Promise<void> {
  const fd = openSync(file, 'a')
  const child = spawn(process.execPath, ['-e', backend], { stdio: ['ignore', fd, 'inherit'] })
  closeSync(fd)
  afterTest(() => void child.kill('SIGKILL'))
  return new Promise((resolve) => child.once('exit', () => resolve()))
}

async function drain(tail: FileTail, into: string[]): Promise<void> {
  for (let bytes = await tail.read(); bytes !== null; bytes = await tail.read()) into.push(bytes.toString('latin1'))
}

/** Whether this file system and machine can cut the front off a file. */
function canCollapse(folder: string): boolean {
  const probe = join(folder, 'probe')
  writeFileSync(probe, Buffer.alloc(200_000))
  return process.platform === 'linux' && spawnSync('fallocate', ['--collapse-range', '--offset', '0', '--length', '65536', probe]).status === 0
}

it('loses no line of a backend that writes all the while, and a follower gets each once and in order', async (context) => {
  const folder = scratch()
  if (!canCollapse(folder)) return context.skip('the front of a file cannot be cut off here: it is copied and truncated, which may lose lines')
  const file = join(folder, 'v1.log')
  let over = false
  const ended = startBackend(file).then(() => {
    over = true
  })
  const tail = new FileTail(file)
  const seen: string[] = []
  let rotations = 0
  while (!over) {
    const rotation = await rotateLog(file, mostBytes)
    if (rotation !== null) {
      rotations++
      expect(rotation.lossless).toBe(true)
    }
    await drain(tail, seen)
  }
  await ended
  await drain(tail, seen)
  expect(rotations).toBeGreaterThan(3)
  expect(tail.takeRestarted()).toBe(false)
  const numbers = seen.join('').split('\n').slice(0, -1).map((line) => Number(/^line (\d+) x{60}$/.exec(line)?.[1] ?? 'torn'))
  expect(numbers.length).toBe(lines)
  expect(numbers.every((number, index) => number === index)).toBe(true)
  expect(statSync(file).size).toBeLessThan(lines * 66)
}, 60_000)

it('lets a reader that fell behind finish what was cut, and shows the last lines across the cut', async () => {
  const file = join(scratch(), 'v1.log')
  const all = Array.from({ length: 10_000 }, (_, index) => `line ${index}\n`)
  writeFileSync(file, all.join(''))
  const slow = new FileTail(file)
  const first = (await slow.read())?.toString() ?? ''
  const quick = new FileTail(file)
  const read: string[] = []
  await drain(quick, read)
  expect(await rotateLog(file, 50_000)).not.toBe(null)
  const rest: string[] = []
  await drain(slow, rest)
  expect(first + rest.join('')).toBe(all.join(''))
  const more: string[] = []
  await drain(quick, more)
  expect([more.join(''), slow.takeRestarted(), quick.takeRestarted()]).toEqual(['', false, false])
  const last: string[] = []
  await drain(await FileTail.at(file, 9_000), last)
  expect(last.join('')).toBe(all.slice(-9_000).join(''))
})

it('tells a reader whose lines were cut away before it read them, and goes on with the oldest that is left', async () => {
  const file = join(scratch(), 'v1.log')
  const text = (name: string): string => Array.from({ length: 10_000 }, (_, index) => `${name} ${index}\n`).join('')
  writeFileSync(file, text('one'))
  const tail = new FileTail(file)
  await tail.read()
  await rotateLog(file, 50_000)
  writeFileSync(file, text('two'), { flag: 'a' })
  await rotateLog(file, 50_000)
  const seen: string[] = []
  await drain(tail, seen)
  expect(tail.takeRestarted()).toBe(true)
  expect(readFileSync(`${file}.1`, 'utf8') + readFileSync(file, 'utf8')).toBe(seen.join(''))
})

it('finishes the rotation of an agent that was killed between the cut and its name, and undoes one before the cut', async () => {
  const file = join(scratch(), 'v1.log')
  writeFileSync(file, 'a\nb\n')
  writeFileSync(`${file}.1.next`, 'older\n')
  const tail = await FileTail.at(file, null)
  expect(await rotateLog(file, 1_000)).toMatchObject({ bytes: 6 })
  expect(readFileSync(`${file}.1`, 'utf8')).toBe('older\n')
  const seen: string[] = []
  await drain(tail, seen)
  expect(seen.join('')).toContain('a\nb\n')
  writeFileSync(`${file}.1.next`, 'a\n')
  expect(await rotateLog(file, 1_000)).toBe(null)
  expect([readFileSync(`${file}.1`, 'utf8'), readFileSync(file, 'utf8')]).toEqual(['older\n', 'a\nb\n'])
  expect(() => statSync(`${file}.1.next`)).toThrow('ENOENT')
})

it('begins where all that was written since stands, whatever the order of looks, lines and rotations', () => {
  const step = fc.oneof(fc.record({ write: fc.integer({ min: 1, max: 50 }) }), fc.record({ look: fc.constant(true) }), fc.record({ cut: fc.integer({ min: 0, max: 60 }) }))
  fc.assert(fc.property(fc.array(step, { maxLength: 40 }), fc.nat(45), (steps, since) => {
    let marks: LogMark[] = []
    let [end, base] = [0, 0]
    const written: { at: number; from: number }[] = []
    steps.forEach((one, at) => {
      if ('write' in one) {
        written.push({ at, from: end })
        end += one.write
      } else if ('look' in one) marks = thinMarks([...marks, { at, bytes: end - base }], 8)
      else {
        const bytes = Math.min(one.cut, end - base)
        base += bytes
        marks = shiftMarks(marks, bytes)
      }
    })
    const begin = bytesBefore(marks, since)
    const first = written.find((one) => one.at > since)
    if (first !== undefined && begin !== null) expect(begin).toBeLessThanOrEqual(first.from - base)
  }))
})

it('keeps the times of a log for the next agent', () => {
  const folder = scratch()
  const file = join(folder, 'v1.log.times')
  const times = new LogTimes(file)
  times.note(1_000, 10)
  times.note(2_000, 10)
  times.note(3_000, 90_000)
  const next = new LogTimes(file)
  expect([0, 1_500, 2_500, 9_000].map((time) => next.since(time))).toEqual([null, 10, 10, 90_000])
  next.cut(65_536)
  expect([1_500, 9_000].map((time) => new LogTimes(file).since(time))).toEqual([10 - 65_536, 90_000 - 65_536])
  next.remove()
  expect(new LogTimes(file).since(9_000)).toBe(null)
})
