import { describe, expect, it } from 'vitest'
import { currentMoved, judgeCurrent, type CurrentLink } from '../../agent/drops/current-link.ts'

const link: CurrentLink = { inode: 5, stampMs: 100, target: { path: '/srv/builds/v1', inode: 9, isFolder: true } }

describe('what current leads to', () => {
  it('is a drop that carries the birth of the symlink', () => {
    expect(judgeCurrent('/srv/releases', link)).toEqual({ kind: 'drop', path: '/srv/builds/v1', identity: { name: 'v1', inode: 9, ctimeMs: 100, size: 0, digest: null } })
  })

  it.each([
    ['nothing', null, 'current-dangling'],
    ['a file', { path: '/srv/builds/v1', inode: 9, isFolder: false }, 'current-refused'],
    ['the releases folder itself', { path: '/srv/releases', inode: 9, isFolder: true }, 'current-refused'],
    ['a folder above it', { path: '/srv', inode: 9, isFolder: true }, 'current-refused'],
    ['the root', { path: '/', inode: 2, isFolder: true }, 'current-refused'],
    ['a name that is not allowed', { path: '/srv/builds/a b', inode: 9, isFolder: true }, 'current-refused'],
  ])('%s is refused', (_title, target, code) => {
    const verdict = judgeCurrent('/srv/releases', { ...link, target })
    expect(verdict).toMatchObject({ kind: 'refused', notice: { code, path: '/srv/releases/current' } })
  })
})

describe('current was moved', () => {
  const other = { path: '/srv/builds/v2', inode: 10, isFolder: true }
  it.each([
    ['when it appears', null, link, true],
    ['when it is made anew, even to the same folder', link, { ...link, inode: 6 }, true],
    ['when its inode number was given out again', link, { ...link, stampMs: 200 }, true],
    ['when a symlink behind it leads elsewhere', link, { ...link, target: other }, true],
    ['not when nothing happened', link, link, false],
    ['not when the folder behind it was replaced', link, { ...link, target: { ...other, path: '/srv/builds/v1' } }, false],
    ['not when the folder behind it vanished', link, { ...link, target: null }, false],
    ['not when the folder behind it appeared', { ...link, target: null }, link, false],
  ])('%s', (_title, before, after, moved) => {
    expect(currentMoved(before, after)).toBe(moved)
  })
})
