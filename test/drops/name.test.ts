import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { changeMatters, escapeName, judgeName, nameAllowed, whyRefused } from '../../agent/drops/name.ts'

describe('the name of a drop', () => {
  it.each(['v1', '2026-11-20', '20261120101010', 'a', 'A.b_c-d', 'CON', 'x'.repeat(64), '1..2'])('%s is allowed', (name) => {
    expect(judgeName(name)).toEqual({ kind: 'drop' })
  })

  it.each([
    ['../x', 'letter or a digit'], ['', 'empty'], ['/abs', 'letter or a digit'], ['a/b', 'other than'], ['a\0b', 'other than'],
    ['x'.repeat(65), '65 characters'], ['x'.repeat(300), '300 characters'], ['-rf', 'letter or a digit'], ['v1\n', 'other than'], ['\nv1', 'letter or a digit'],
    ['v1 ', 'other than'], [' v1', 'letter or a digit'], ['vеrsion', 'other than'], ['ｖ1', 'letter or a digit'], ['_v1', 'letter or a digit'], ['v1\u202e', 'other than'], ['a\\b', 'other than'],
  ])('%j is refused, with the reason', (name, reason) => {
    expect(nameAllowed(name)).toBe(false)
    expect(whyRefused(name)).toContain(reason)
    expect(judgeName(name).kind).toBe(name.startsWith('.') ? 'ignored' : 'refused')
  })

  it.each(['.', '..', '.x', '.v1.swp', 'v1.tmp', 'v1.part', '-.sha256', '.ready', '-.ready', 'a b.ready', '-x.tmp'])('%s is passed over in silence', (name) => {
    expect(judgeName(name)).toEqual({ kind: 'ignored' })
  })

  it('knows the marker and the checksum of a drop, and the symlink', () => {
    expect(judgeName('v1.tgz.sha256')).toEqual({ kind: 'checksum', of: 'v1.tgz' })
    expect(changeMatters('v1.tgz.sha256')).toBe(true)
    expect(judgeName('v1.ready')).toEqual({ kind: 'marker', of: 'v1' })
    expect(judgeName('current')).toEqual({ kind: 'current' })
    expect(changeMatters('v1.ready')).toBe(true)
    expect(changeMatters('app.log')).toBe(false)
  })

  it('allows exactly what the contract says, and never a path', () => {
    fc.assert(fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.string(), fc.stringMatching(/^[A-Za-z0-9._-]{0,70}$/)), (name) => {
      const verdict = judgeName(name)
      if (verdict.kind === 'drop' || verdict.kind === 'marker') {
        const drop = verdict.kind === 'drop' ? name : verdict.of
        expect(drop).toMatch(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/)
        expect(drop).not.toMatch(/[/\0\n]/)
      }
    }), { numRuns: 2000 })
  })

  it('is shown in printable ASCII and in bounded length, whatever it is', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (name) => {
      const shown = escapeName(name)
      expect(shown.replace('…', '')).toMatch(/^[\x20-\x7e]*$/)
      expect(shown.length).toBeLessThan(80 * 6 + 40)
    }), { numRuns: 2000 })
    expect(escapeName('a\u001b[2Jb')).toBe('"a\\u001b[2Jb"')
    expect(escapeName('é\u202e')).toBe('"\\u00e9\\u202e"')
    expect(escapeName('x'.repeat(300))).toBe(`"${'x'.repeat(80)}"… (300 characters)`)
  })
})
