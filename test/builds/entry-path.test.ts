import { mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ArchivePlan, type EntryHead } from '../../agent/builds/archive-plan.ts'
import { judgeLinkTarget, judgePath } from '../../agent/builds/entry-path.ts'
import { scratch } from './support.ts'

const part = fc.oneof({ weight: 3, arbitrary: fc.constantFrom('a', 'b', 'c') }, fc.constantFrom('..', '.', '', '...', '..a', ' ', '-rf', 'ü', '\\', 'C:'))
const path = fc.tuple(fc.constantFrom('', '', '', '/', './', '../'), fc.array(part, { maxLength: 6 })).map(([begin, parts]) => begin + parts.join('/'))

describe('a path from an archive', () => {
  it('that is accepted lies in the folder, and is written in one way only', () => {
    fc.assert(fc.property(fc.oneof(path, fc.string({ maxLength: 40, unit: 'binary' })), (written) => {
      const verdict = judgePath(written)
      if (!verdict.ok) return
      const full = resolve('/root/of/it', verdict.path)
      expect(full === '/root/of/it' || full.startsWith('/root/of/it/')).toBe(true)
      expect(full).toBe(resolve('/root/of/it', written))
      expect(judgePath(verdict.path)).toEqual(verdict)
      expect(verdict.path.split('/').some((one) => one === '.' || one === '..')).toBe(false)
    }), { numRuns: 5000 })
  })

  it('that has no "..", is relative and has printable characters is accepted', () => {
    fc.assert(fc.property(fc.array(fc.stringMatching(/^[A-Za-z0-9 _@+=,~-][A-Za-z0-9 ._@+=,~-]{0,20}$/), { minLength: 1, maxLength: 10 }), (parts) => {
      expect(judgePath(parts.join('/'))).toEqual({ ok: true, path: parts.join('/') })
    }))
  })
})

describe('symlinks of an archive', () => {
  const entry = fc.record({ path: fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/')), target: path, type: fc.constantFrom('SymbolicLink', 'SymbolicLink', 'Directory', 'File') })

  it('that are accepted lead to places inside, however they are followed, also through each other', () => {
    const root = scratch()
    let made = 0
    let accepted = 0
    fc.assert(fc.property(fc.array(entry, { minLength: 2, maxLength: 12 }), (entries) => {
      const plan = new ArchivePlan('it', { maxBytes: 1000, maxEntries: 1000 })
      const into = join(root, 'x/y/z', String(made++))
      mkdirSync(into, { recursive: true })
      for (const { path: at, target, type } of entries) {
        const head: EntryHead = { path: at, type, mode: 0o644, size: 0, linkTarget: target }
        let step
        try {
          step = plan.take(head)
        } catch {
          continue
        }
        for (const folder of plan.newFolders.splice(0)) mkdirSync(join(into, folder))
        if (step.do === 'file') writeFileSync(join(into, step.path), '')
      }
      for (const { path: at, target } of plan.symlinks) symlinkSync(target, join(into, at))
      for (const { path: at } of plan.symlinks) {
        let real: string
        try {
          real = realpathSync(join(into, at))
        } catch {
          continue
        }
        accepted += 1
        expect(real === into || real.startsWith(`${into}/`), `${at} -> ${real}`).toBe(true)
      }
    }), { numRuns: 300 })
    // It was not all refused, or dangling.
    expect(accepted).toBeGreaterThan(20)
  })

  it('that lead to a place inside by leading ".." alone are accepted', () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 0, max: 6 }), (depth, ups) => {
      const at = `${'d/'.repeat(depth)}link`
      expect(judgeLinkTarget(at, `${'../'.repeat(ups)}x`) === null).toBe(ups <= depth)
      expect(resolve('/r', dirname(at), `${'../'.repeat(ups)}x`).startsWith('/r/') || ups > depth).toBe(true)
    }))
  })
})
