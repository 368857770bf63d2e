import { execFileSync } from 'node:child_process'
import { constants, existsSync, closeSync, mkdtempSync, openSync, readdirSync, readFileSync, readSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { rotateAccessLog } from '../../agent/service/rotate-access.ts'
import { AccessLog } from '../../proxy/access/access-log.ts'
import { until } from '../support/deadline.ts'
import { record } from './record.ts'

let folder: string
const open: AccessLog[] = []

beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'gracer-access-')) })
afterEach(() => {
  for (const log of open.splice(0)) log.close()
  rmSync(folder, { recursive: true, force: true })
})

function start(file: string, more: { sample?: number } = {}) {
  const told: string[] = []
  const count = { dropped: 0 }
  const log = new AccessLog({ file, sample: 1, query: false, maxBytes: 1e9, keep: 3, ...more, dropped: (_service, lines) => { count.dropped += lines }, log: (event) => told.push(event) })
  open.push(log)
  return { log, told, count }
}

const linesOf = (file: string): string[] => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(0, -1) : [])

it('keeps the lines of several workers whole and loses none while the file is moved aside again and again', async () => {
  const file = join(folder, 'access.log')
  const workers = [0, 1, 2].map(() => start(file))
  await until('the file', () => existsSync(file))
  const each = 3_000
  const all = (): string[] => readdirSync(folder).flatMap((name) => linesOf(join(folder, name)))
  let moved = 0
  for (let index = 0; index < each; index += 1) {
    for (const [worker, { log }] of workers.entries()) log.write({ ...record, requestId: `${worker}-${index}` })
    if (index % 250 !== 249) continue
    if (index % 1_000 !== 749) {
      // No faster than the disk: what it cannot take would be dropped.
      await until('the disk to keep up', () => all().length === (index + 1) * 3)
      continue
    }
    // With lines under way.
    if (rotateAccessLog({ file, maxBytes: 100_000, keep: 50 })) moved += 1
    await until('it to be taken up anew', () => existsSync(file), 5_000)
  }
  await until('all lines', () => all().length >= each * 3, 10_000)
  expect(moved).toBeGreaterThan(1)
  expect(new Set(all().map((line) => (JSON.parse(line) as { requestId: string }).requestId)).size).toBe(each * 3)
  expect(statSync(file).mode & 0o777).toBe(0o600)
}, 30_000)

it('keeps so many files that were moved aside', () => {
  const file = join(folder, 'access.log')
  for (let round = 0; round < 5; round += 1) {
    execFileSync('sh', ['-c', `printf '${round}%02000d\n' 0 > "$1"`, 'sh', file])
    expect(rotateAccessLog({ file, maxBytes: 1_000, keep: 2 })).toBe(true)
  }
  expect(readdirSync(folder).sort()).toEqual(['access.log.1', 'access.log.2'])
  expect(linesOf(`${file}.1`)[0]?.[0]).toBe('4')
  expect(rotateAccessLog({ file, maxBytes: 1_000, keep: 2 })).toBe(false)
})

it('drops and counts what a full disk does not take, says so once, and nobody waits', async () => {
  const { log, told, count } = start('/dev/full')
  const begun = performance.now()
  for (let index = 0; index < 20_000; index += 1) log.write(record)
  expect(performance.now() - begun).toBeLessThan(5_000)
  await until('every line to be counted', () => count.dropped === 20_000)
  expect(told).toEqual(['access.not-written'])
})

it('drops and counts behind a reader that stalls, in bounded memory, and goes on when it reads', async () => {
  const pipe = join(folder, 'pipe')
  execFileSync('mkfifo', [pipe])
  const reader = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK)
  const { log, count } = start(pipe)
  log.write(record)
  await until('the pipe to be opened', () => { try { return readSync(reader, Buffer.alloc(1)) === 1 } catch { return false } })
  for (let index = 0; index < 20_000; index += 1) log.write(record)
  await until('lines to be dropped', () => count.dropped > 1_000)
  let text = ''
  const drain = (): boolean => {
    const chunk = Buffer.alloc(65_536)
    try {
      for (let read = readSync(reader, chunk); read > 0; read = readSync(reader, chunk)) text += chunk.toString('utf8', 0, read)
    } catch {
      // EAGAIN: empty for now.
    }
    return text.includes('"after"')
  }
  await until('a line that came later', () => {
    log.write({ ...record, requestId: 'after' })
    return drain()
  }, 10_000, 50)
  // What was torn by the stall stands alone: every line but such is whole.
  expect(text.split('\n').slice(1, -1).filter((line) => line.startsWith('{') && line.endsWith('}')).length).toBeGreaterThan(100)
  closeSync(reader)
}, 20_000)

it('takes its share of requests, and everything that went wrong', () => {
  const { log } = start(join(folder, 'access.log'), { sample: 0.2 })
  const share = Array.from({ length: 20_000 }, () => log.wants({ status: 200, end: 'complete' })).filter(Boolean).length / 20_000
  // Six standard deviations of 20,000 draws.
  expect(Math.abs(share - 0.2)).toBeLessThan(0.017)
  expect(Array.from({ length: 100 }, () => log.wants({ status: 502, end: 'lost' })).every(Boolean)).toBe(true)
})
