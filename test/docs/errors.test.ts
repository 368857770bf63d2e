import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { root } from '../support/gracer-process.ts'

const page = readFileSync(join(root, 'docs/errors.md'), 'utf8')
const [ofCommands = '', ofReplies = ''] = page.split('## Replies of gracer itself')

/** The library's own errors stand in docs/library.md. */
const sources = ['agent', 'proxy', 'inherit'].flatMap((top) => readdirSync(join(root, top), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && !(top === 'inherit' && name.startsWith('upgrade')))
  .map((name) => readFileSync(join(root, top, name), 'utf8')))

/** Code and exit code of every error that is made. */
function errors(): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>()
  for (const text of sources) {
    for (const { index } of text.matchAll(/new GracerError\(/g)) {
      const made = text.slice(index, endOfCall(text, index))
      const code = /\bcode: '([a-z-]+)'/.exec(made)?.[1]
      if (code !== undefined) found.set(code, (found.get(code) ?? new Set()).add(/\bexitCode: (\d+)/.exec(made)?.[1] ?? '1'))
    }
  }
  return found
}

function endOfCall(text: string, from: number): number {
  for (let at = text.indexOf('(', from), depth = 0; at < text.length; at++) {
    if (text[at] === '(') depth++
    if (text[at] === ')' && --depth === 0) return at
  }
  return text.length
}

function rows(text: string): { readonly codes: readonly string[]; readonly numbers: readonly string[] }[] {
  return [...text.matchAll(/^\| (`[a-z`, -]+`) \| ([\d, ]+) \|/gm)].map(([, codes = '', numbers = '']) => ({ codes: [...codes.matchAll(/[a-z-]+/g)].map(String), numbers: numbers.split(', ') }))
}

it('every error of a command stands in docs/errors.md with its exit codes, and no other', () => {
  const made = errors()
  expect(made.size).toBeGreaterThan(60)
  const told = rows(ofCommands)
  const codes = told.flatMap((row) => row.codes)
  expect([...made.keys()].filter((code) => !codes.includes(code)), 'not in docs/errors.md').toEqual([])
  // Said where the arguments are read, before there is any error to throw.
  expect(codes.filter((code) => !made.has(code)), 'in docs/errors.md and not in the code').toEqual(['usage'])
  for (const { codes: of, numbers } of told) {
    const exits = new Set(of.flatMap((code) => [...(made.get(code) ?? ['2'])]))
    expect([of, [...exits].sort()]).toEqual([of, [...numbers].sort()])
  }
})

it('every reply of gracer itself stands there with its status', () => {
  const made = new Map(sources.flatMap((text) => [...text.matchAll(/\bstatus: (\d{3}),\s+code: '([a-z-]+)'/g)].map(([, status = '', code = '']) => [code, status] as const)))
  expect(made.size).toBeGreaterThan(15)
  const told = rows(ofReplies).flatMap(({ codes, numbers }) => codes.map((code, at) => [code, numbers[at] ?? numbers[0]]))
  expect(Object.fromEntries(told)).toEqual(Object.fromEntries(made))
})
