import { access, mkdir, readdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { pruneReleases } from '../../agent/drops/prune.ts'
import { build, scratch } from './support.ts'

describe('pruning', () => {
  it('removes the folders and files it is given, and nothing else', async () => {
    const root = scratch()
    build(join(root, 'a'))
    build(join(root, 'b'))
    build(join(root, 'svc', 'c'))
    await writeFile(join(root, 'd.tgz'), 'x')
    const paths = [join(root, 'a'), join(root, 'd.tgz'), join(root, 'svc', 'c'), join(root, 'gone'), join(root, 'no', 'where')]
    expect(await pruneReleases(root, paths)).toEqual({ removed: expect.arrayContaining(paths), failed: [] })
    expect((await readdir(root)).sort()).toEqual(['b', 'svc'])
    expect(await readdir(join(root, 'svc'))).toEqual([])
  })

  it('does not follow symlinks in what it removes', async () => {
    const root = scratch()
    const outside = build(join(scratch(), 'precious'))
    build(join(root, 'a'))
    await symlink(outside, join(root, 'a', 'link'))
    await symlink(join(outside, 'server.mjs'), join(root, 'a', 'file'))
    await pruneReleases(root, [join(root, 'a')])
    expect(await readdir(root)).toEqual([])
    expect(await readdir(join(outside, 'lib'))).toHaveLength(5)
    await access(join(outside, 'server.mjs'))
  })

  it.each([
    ['the root itself', (root: string) => root], ['a path outside of it', () => '/usr/nowhere'], ['one that climbs out', (root: string) => `${root}/../x`], ['a relative one', () => 'a'],
    ['a neighbour whose name begins with its own', (root: string) => `${root}-other`], ['a symlink', (root: string) => join(root, 'link')],
    ['a path through a symlink', (root: string) => join(root, 'link', 'lib')], ['a symlink to a file', (root: string) => join(root, 'file')], ['one with a trailing slash', (root: string) => `${root}/a/`],
  ])('refuses %s before anything is touched', async (_title, bad) => {
    const parent = scratch()
    const root = join(parent, 'private')
    build(join(root, 'a'))
    build(join(parent, 'private-other'))
    const outside = build(join(parent, 'outside'))
    await symlink(outside, join(root, 'link'))
    await symlink(join(outside, 'server.mjs'), join(root, 'file'))
    await expect(pruneReleases(root, [join(root, 'a'), bad(root)])).rejects.toMatchObject({ code: 'prune-refused' })
    expect((await readdir(root)).sort()).toEqual(['a', 'file', 'link'])
    expect((await readdir(parent)).sort()).toEqual(['outside', 'private', 'private-other'])
    expect(await readdir(join(outside, 'lib'))).toHaveLength(5)
  })

  it('finishes what a crash left half removed', async () => {
    const root = scratch()
    build(join(root, '.gracer-removed-v1-123-456'))
    await mkdir(join(root, '.other'))
    await pruneReleases(root, [])
    expect(await readdir(root)).toEqual(['.other'])
  })
})
