import fc from 'fast-check'
import { expect, it } from 'vitest'
import { parseJsonText } from '../../agent/config/json-text.ts'

function failure(text: string): string {
  const result = parseJsonText(text)
  return result.ok ? 'no error' : `${result.line}:${result.column} ${result.message}`
}

it('reads everything that JSON.stringify writes', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.constantFrom(undefined, 2), (value, indent) => {
      const text = JSON.stringify(value, null, indent)
      expect(parseJsonText(text)).toEqual({ ok: true, value: JSON.parse(text) })
    }),
  )
})

it('accepts exactly the texts that JSON.parse accepts, but for keys given twice', () => {
  const pieces = fc.constantFrom('{', '}', '[', ']', ',', ':', '"a"', '"b"', '1', '-', '01', '1.5e3', 'true', 'nul', ' ', '\n', '"\\u00g0"', '"\t"', "'x'")
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 8 }), (parts) => {
      const text = parts.join('')
      const ours = parseJsonText(text)
      if (!ours.ok && ours.message.includes('a second time')) return
      let accepted = true
      try {
        JSON.parse(text)
      } catch {
        accepted = false
      }
      expect([text, ours.ok]).toEqual([text, accepted])
    }),
    { numRuns: 3_000 },
  )
})

it('names line and column of what is wrong, what was expected and what came', () => {
  expect(failure('{\n  "a": 1,\n  "b": }')).toBe('3:8 expected a value, got "}"')
  expect(failure('{\n  "a": 1\n  "b": 2 }')).toBe('3:3 expected "," or "}", got "\\""')
  expect(failure('{ "a": 1, }')).toBe('1:11 expected a key in double quotes, got "}"')
  expect(failure('{ a: 1 }')).toBe('1:3 expected a key in double quotes, got "a"')
  expect(failure('[1, 2')).toBe('1:6 expected "," or "]", got the end of the file')
  expect(failure('')).toBe('1:1 expected a value, got the end of the file')
  expect(failure('{} x')).toBe('1:4 expected the end of the file, got "x"')
})

it('refuses a key that is given twice, which JSON.parse would let pass', () => {
  expect(failure('{\n "workers": 1,\n "workers": 2 }')).toBe('3:2 the key "workers" stands here a second time')
})

it('ends with an error, not with a crash, on brackets without end', () => {
  expect(failure('['.repeat(100_000))).toContain('nested deeper than 64 levels')
})

it('takes a byte order mark for nothing', () => {
  expect(parseJsonText('\uFEFF{}')).toEqual({ ok: true, value: {} })
})

it('takes comments for blanks, except in strings, and keeps the positions of what is wrong', () => {
  expect(parseJsonText('// who\n{ "a": "// no", /* why\n  not */ "b": "\\"/* neither", "c": 1 } // end')).toEqual({ ok: true, value: { a: '// no', b: '"/* neither', c: 1 } })
  expect(failure('{ /* one\n two */ "a": }')).toBe('2:14 expected a value, got "}"')
  expect(failure('{ "a": 1 /* no end')).toContain('1:10 expected "," or "}", got "/"; this comment has no end')
  expect(failure('{ "a": 1, // trailing\n}')).toContain('2:1 expected a key in double quotes')
})
