import { link, mkdir, rename, rm, symlink, unlink, utimes, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compareManifest, diffManifests, takeManifest, type Manifest } from '../../agent/drops/manifest.ts'
import { atEnd, build, run, scratch } from './support.ts'

const options = { maxFiles: 1000 }

describe('a manifest', () => {
  it('holds path, size, mtime and inode of every file and symlink, sorted', async () => {
    const root = build(join(scratch(), 'v1'), 2)
    await symlink('lib/0.mjs', join(root, 'entry'))
    await link(join(root, 'server.mjs'), join(root, 'hard'))
    const manifest = await takeManifest(root, options)
    expect(manifest.root).toBe(root)
    expect(manifest.entries.map((entry) => [entry.path, entry.target])).toEqual([['entry', 'lib/0.mjs'], ['hard', null], ['lib/0.mjs', null], ['lib/1.mjs', null], ['server.mjs', null]])
    expect(manifest.bytes).toBe(10 + 10 + 19 + 19)
    expect(JSON.parse(JSON.stringify(manifest))).toEqual(manifest)
    expect(await compareManifest(manifest, root)).toBe(null)
  })

  it.each([
    ['a changed byte count', async (root: string) => writeFile(join(root, 'server.mjs'), 'export default 1\n'), { changed: ['server.mjs'], added: [], removed: [] }],
    ['a changed time', async (root: string) => utimes(join(root, 'server.mjs'), 1, 1), { changed: ['server.mjs'], added: [], removed: [] }],
    ['another inode of the same size and time', async (root: string) => {
      const old = (await takeManifest(root, options)).entries.find((entry) => entry.path === 'server.mjs')!
      await writeFile(join(root, 'twin'), 'export {}\n')
      await utimes(join(root, 'twin'), old.mtimeMs / 1000, old.mtimeMs / 1000)
      await rename(join(root, 'twin'), join(root, 'server.mjs'))
    }, { changed: ['server.mjs'], added: [], removed: [] }],
    ['a file more', async (root: string) => writeFile(join(root, 'lib', 'new'), ''), { changed: [], added: ['lib/new'], removed: [] }],
    ['a file less', async (root: string) => unlink(join(root, 'lib', '0.mjs')), { changed: [], added: [], removed: ['lib/0.mjs'] }],
    ['a symlink that leads elsewhere', async (root: string) => {
      await unlink(join(root, 'entry'))
      await symlink('lib/1.mjs', join(root, 'entry'))
    }, { changed: ['entry'], added: [], removed: [] }],
  ])('differs by %s', async (_title, change, expected) => {
    const root = build(join(scratch(), 'v1'), 2)
    await symlink('lib/0.mjs', join(root, 'entry'))
    const manifest = await takeManifest(root, options)
    await change(root)
    const difference = await compareManifest(manifest, root)
    expect(difference).toMatchObject(expected)
    const [path] = [...expected.changed, ...expected.added, ...expected.removed]
    expect(difference?.message).toContain(path)
  })

  it('names the first few of many and counts them all', async () => {
    const root = build(join(scratch(), 'v1'), 0)
    const manifest = await takeManifest(root, options)
    for (let i = 0; i < 20; i += 1) await writeFile(join(root, `n${i}`), '')
    const difference = await compareManifest(manifest, root)
    expect(difference?.added).toHaveLength(5)
    expect(difference?.counts.added).toBe(20)
    expect(difference?.message).toContain('20 added')
  })

  it('of a drop that is gone or too large is refused', async () => {
    const root = build(join(scratch(), 'v1'), 20)
    await expect(takeManifest(root, { maxFiles: 10 })).rejects.toMatchObject({ code: 'drop-too-large' })
    const manifest = await takeManifest(root, options)
    await rm(root, { recursive: true })
    await expect(compareManifest(manifest, root)).rejects.toMatchObject({ code: 'drop-gone' })
  })

  it('ends with the reason of its signal', async () => {
    const root = build(join(scratch(), 'v1'))
    await expect(takeManifest(root, { ...options, signal: AbortSignal.abort(new Error('stop')) })).rejects.toThrow('stop')
  })
})

describe('what may lie in a drop', () => {
  it.each([
    ['a relative symlink out of it', '../outside'], ['an absolute one', '/etc/passwd'], ['one that leads out through another', 'inner/../../outside'],
    ['one to a neighbour whose name begins with its own', '../v1-secret'], ['one that leads nowhere, outside', '../nothing'], ['one that leads to itself', 'bad'],
  ])('%s is refused by name', async (_title, target) => {
    const parent = scratch()
    const root = build(join(parent, 'v1'))
    await mkdir(join(parent, 'outside'))
    await mkdir(join(parent, 'v1-secret'))
    await mkdir(join(root, 'inner'))
    await symlink(target, join(root, 'bad'))
    await expect(takeManifest(root, options)).rejects.toMatchObject({ code: 'drop-refused', message: expect.stringContaining('"bad"') })
  })

  it('a symlink that stays inside is taken, one that leads nowhere as well', async () => {
    const root = build(join(scratch(), 'v1'), 1)
    await mkdir(join(root, 'node_modules', '.bin'), { recursive: true })
    await symlink('../../lib/0.mjs', join(root, 'node_modules', '.bin', 'tool'))
    await symlink(join(root, 'lib'), join(root, 'absolute'))
    await symlink('not/yet', join(root, 'later'))
    await symlink('.', join(root, 'self'))
    expect((await takeManifest(root, options)).entries.filter((entry) => entry.target !== null)).toHaveLength(4)
  })

  it('a symlink into a folder that the caller allows is taken', async () => {
    const parent = scratch()
    const root = build(join(parent, 'v1'))
    await mkdir(join(parent, 'shared', 'log'), { recursive: true })
    await symlink('../shared/log', join(root, 'log'))
    await expect(takeManifest(root, options)).rejects.toMatchObject({ code: 'drop-refused' })
    expect((await takeManifest(root, { ...options, alsoInside: [join(parent, 'shared')] })).entries).toContainEqual(expect.objectContaining({ target: '../shared/log' }))
  })

  it('a FIFO, a socket or a device is refused', async () => {
    const root = build(join(scratch(), 'v1'))
    await run('mkfifo', [join(root, 'pipe')])
    await expect(takeManifest(root, options)).rejects.toMatchObject({ code: 'drop-refused', message: expect.stringContaining('pipe') })
    await unlink(join(root, 'pipe'))
    const server = createServer().listen(join(root, 'sock'))
    atEnd(() => void server.close())
    await once(server, 'listening')
    await expect(takeManifest(root, options)).rejects.toMatchObject({ code: 'drop-refused', message: expect.stringContaining('sock') })
  })

  it('a name that is not UTF-8 is refused, since it could not be compared', async () => {
    const root = build(join(scratch(), 'v1'))
    await writeFile(Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0x61, 0xff])]), '')
    await expect(takeManifest(root, options)).rejects.toMatchObject({ code: 'drop-refused' })
  })

  it('a symlink put in the place of a folder is not followed', async () => {
    const parent = scratch()
    const root = build(join(parent, 'v1'))
    await symlink('lib', join(root, 'again'))
    const { entries } = await takeManifest(root, options)
    expect(entries.filter((entry) => entry.path.startsWith('again'))).toHaveLength(1)
  })
})

describe('the comparison', () => {
  const entry = fc.record({ path: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g'), size: fc.nat(2), mtimeMs: fc.nat(2), inode: fc.nat(2), target: fc.constantFrom(null, 'x') })
  const manifest = fc.uniqueArray(entry, { selector: ({ path }) => path }).map((entries): Manifest => ({ root: '/r', entries, bytes: 0 }))

  it('finds nothing between equal manifests, and mirrors itself', () => {
    fc.assert(fc.property(manifest, manifest, (a, b) => {
      expect(diffManifests(a, { ...a, entries: [...a.entries].reverse() })).toBe(null)
      const there = diffManifests(a, b)
      const back = diffManifests(b, a)
      expect(there === null).toBe(back === null)
      if (there === null || back === null) return
      expect(there.counts.changed).toBe(back.counts.changed)
      expect(there.counts.added).toBe(back.counts.removed)
      expect(there.counts.added - there.counts.removed).toBe(b.entries.length - a.entries.length)
    }))
  })
})
