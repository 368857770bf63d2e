import { readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { BuildHouse } from '../../agent/builds/house.ts'
import { takeInBuild, type TakeIn } from '../../agent/builds/take-in.ts'
import { fileInKey, identityKey } from '../../agent/drop.ts'
import { roomy, scratch } from './support.ts'

function takeIn(root: string, more: Partial<TakeIn> = {}): TakeIn {
  return {
    house: new BuildHouse(join(root, 'builds')), release: 'v1', source: join(root, 'app.mjs'), copy: null,
    config: { builds: { ...roomy, sha256: 'optional' }, command: null }, signal: new AbortController().signal, tell: () => undefined, ...more,
  }
}

it('takes a dropped file only as what it was when it was announced, and leaves nothing of another', async () => {
  const root = scratch()
  writeFileSync(join(root, 'app.mjs'), 'whole')
  const { ino, size, mtimeMs, birthtimeMs } = statSync(join(root, 'app.mjs'))
  const dropped = fileInKey(identityKey({ name: 'app.mjs', inode: ino, ctimeMs: birthtimeMs, size, mtimeMs, digest: null }))
  expect(dropped).toEqual({ inode: ino, size, mtimeMs })
  expect(await takeInBuild(takeIn(root, { dropped }))).toMatchObject({ file: 'app.mjs' })
  // It waited for its turn, and somebody has begun to write over it.
  writeFileSync(join(root, 'app.mjs'), 'half')
  await expect(takeInBuild(takeIn(root, { dropped, release: 'v2' }))).rejects.toMatchObject({ code: 'build-changed' })
  expect(readdirSync(join(root, 'builds'))).toEqual(['v1'])
})

it('knows of a folder and of a watched path that their keys say nothing of a file', () => {
  const folder = { name: 'v1', inode: 7, ctimeMs: 12.5, size: 0, digest: null }
  expect([identityKey(folder), identityKey({ ...folder, digest: 'a'.repeat(64) }), null].map(fileInKey)).toEqual([null, null, null])
})
