import { mkdirSync, mkdtempSync, realpathSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { expect, it } from 'vitest'
import { readCurrent } from '../../agent/drops/current-link.ts'

// One move was announced as two: the link was read before it, its target after it.
it('a symlink that is moved while it is read is read as one of the two, never half and half', async () => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'gracer-current-')))
  try {
    for (const name of ['a', 'b']) mkdirSync(join(folder, name))
    symlinkSync('a', join(folder, 'current'))
    const links = new Map<string, string>()
    let target = 'a'
    for (let move = 0; move < 300; move += 1) {
      const reading = readCurrent(folder)
      // Somewhere in the reading: after none, one or two turns of the event loop.
      for (let turn = 0; turn < move % 3; turn += 1) await new Promise((resolve) => setImmediate(resolve))
      target = target === 'a' ? 'b' : 'a'
      symlinkSync(target, join(folder, 'next'))
      renameSync(join(folder, 'next'), join(folder, 'current'))
      for (const link of [await reading, await readCurrent(folder)]) {
        if (link?.target == null) continue
        const key = `${link.inode} ${link.stampMs}`
        const seen = basename(link.target.path)
        expect(links.get(key) ?? seen).toBe(seen)
        links.set(key, seen)
      }
    }
    expect(links.size).toBeGreaterThan(200)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
