import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { parseEnvFile, readEnvFile } from '../../agent/config/env-file.ts'
import { scratch } from './support.ts'

function values(text: string): Record<string, string> {
  const { values: found, problems } = parseEnvFile(text)
  expect(problems).toEqual([])
  return Object.fromEntries(found)
}

it('reads keys and values, with export before them, blank lines and comments', () => {
  expect(values('# why\n\nA=1\nexport B=two words\n  C = 3 \r\nD=\nE=a=b#c # not this\nF= # nothing\n')).toEqual({ A: '1', B: 'two words', C: '3', D: '', E: 'a=b#c', F: '' })
})

it('takes single quotes as they are and reads escapes in double quotes', () => {
  expect(values(String.raw`A='a\n"b" # c'` + '\n' + String.raw`B="a\nb \"c\" \\ \$d \x" # why`)).toEqual({ A: String.raw`a\n"b" # c`, B: 'a\nb "c" \\ $d \\x' })
})

it('reads a quoted value over several lines', () => {
  expect(values('KEY="-----BEGIN\nabc\n-----END"\nNEXT=1')).toEqual({ KEY: '-----BEGIN\nabc\n-----END', NEXT: '1' })
})

it('expands nothing', () => {
  expect(values('A=$HOME ${B} `c`')).toEqual({ A: '$HOME ${B} `c`' })
})

it('names every bad line at once and repeats none of their text, which may be secret', () => {
  const { problems } = parseEnvFile('A=1\nhunter2\n2B=hunter2\nC="hunter2\nD=\'x\' hunter2\n')
  expect(problems.map(({ line }) => line)).toEqual([2, 3, 4, 5])
  expect(JSON.stringify(problems)).not.toContain('hunter2')
})

it('refuses a value that no environment can hold', () => {
  expect(parseEnvFile('A=x\u0000y').problems).toEqual([{ line: 1, message: 'the value of A holds a NUL character' }])
})

it('throws with exit code 2 for a file that is not there or has bad lines', () => {
  const folder = scratch()
  expect(() => readEnvFile(join(folder, '.env'))).toThrowError(expect.objectContaining({ code: 'env-file-unreadable', exitCode: 2 }))
  writeFileSync(join(folder, '.env'), 'A=1\nB\n')
  expect(() => readEnvFile(join(folder, '.env'))).toThrowError(expect.objectContaining({ code: 'env-file-invalid', exitCode: 2, message: `${join(folder, '.env')}:2: expected KEY=value, got no "="` }))
})
