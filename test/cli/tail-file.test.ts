import { appendFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { LineCutter } from '../../agent/cli/lines.ts'
import { FileTail } from '../../agent/cli/tail-file.ts'
import { scratch } from './support.ts'

async function rest(tail: FileTail): Promise<string> {
  const chunks: Buffer[] = []
  for (let chunk = await tail.read(); chunk !== null; chunk = await tail.read()) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

it('begins with the last lines, however long the file, with or without a newline at its end', async () => {
  const path = join(scratch(), 'log')
  const line = fc.string({ unit: fc.constantFrom('a', 'é', ' ', '€'), maxLength: 12 })
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 40 }), fc.nat(45), fc.boolean(), async (lines, wanted, open) => {
      const whole = lines.map((text) => `${text}\n`)
      if (open && lines.length > 0) whole[whole.length - 1] = 'open end'
      writeFileSync(path, whole.join(''))
      expect(await rest(await FileTail.at(path, wanted))).toBe(wanted === 0 ? '' : whole.slice(-wanted).join(''))
    }),
  )
  const many = Array.from({ length: 40_000 }, (_, index) => `line ${index}\n`)
  writeFileSync(path, many.join(''))
  expect(await rest(await FileTail.at(path, 30_000))).toBe(many.slice(-30_000).join(''))
})

it('goes on as the file grows', async () => {
  const path = join(scratch(), 'log')
  writeFileSync(path, 'one\n')
  const tail = await FileTail.at(path, 10)
  expect(await rest(tail)).toBe('one\n')
  appendFileSync(path, 'two\nth')
  expect(await rest(tail)).toBe('two\nth')
  appendFileSync(path, 'ree\n')
  expect([await rest(tail), tail.takeRestarted()]).toEqual(['ree\n', false])
})

it('begins anew when the file is truncated or replaced, and says so once', async () => {
  const path = join(scratch(), 'log')
  writeFileSync(path, 'a long first text\n')
  const tail = new FileTail(path)
  await rest(tail)
  truncateSync(path)
  appendFileSync(path, 'new\n')
  expect([await rest(tail), tail.takeRestarted(), tail.takeRestarted()]).toEqual(['new\n', true, false])
  writeFileSync(`${path}.next`, 'longer than what stood there before\n')
  renameSync(`${path}.next`, path)
  expect([await rest(tail), tail.takeRestarted()]).toEqual(['longer than what stood there before\n', true])
})

it('waits for a file that is not there yet, or no more', async () => {
  const path = join(scratch(), 'log')
  const tail = await FileTail.at(path, 5)
  expect(await tail.read()).toBe(null)
  writeFileSync(path, 'here\n')
  expect(await rest(tail)).toBe('here\n')
  rmSync(path)
  expect(await tail.read()).toBe(null)
})

it('cuts bytes into lines wherever the chunks end, in the middle of a character too', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: fc.constantFrom('a', 'é', '€', '😀'), maxLength: 6 }), { maxLength: 8 }), fc.integer({ min: 1, max: 7 }), (lines, size) => {
      const bytes = Buffer.from(lines.join('\n'))
      const cutter = new LineCutter()
      const seen: string[] = []
      for (let at = 0; at < bytes.length; at += size) seen.push(...cutter.push(bytes.subarray(at, at + size)))
      seen.push(...cutter.end())
      // Text after the last newline is a line only where there is some.
      expect(seen).toEqual(lines.at(-1) === '' ? lines.slice(0, -1) : lines)
    }),
  )
})
