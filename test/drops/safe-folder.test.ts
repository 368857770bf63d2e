import { describe, expect, it } from 'vitest'
import { clockIsOurs, isForeign, judgeFolder, judgeGroup } from '../../agent/drops/safe-folder.ts'

const us = { uid: 1000, gid: 1000 }
const good = { kind: 'folder', uid: 1000, gid: 1000, mode: 0o40755 } as const

describe('the releases folder', () => {
  it.each([
    ['ours', good, null], ["root's", { ...good, uid: 0 }, null], ['ours and our group may write', { ...good, mode: 0o40775 }, null],
    ["another user's", { ...good, uid: 1001 }, 'chown 1000'], ['writable by all', { ...good, mode: 0o40777 }, 'chmod o-w'],
    ['sticky, as /tmp', { ...good, uid: 0, mode: 0o41777 }, 'chmod o-w'], ['a symlink', { ...good, kind: 'link' as const }, 'leads to'], ['a file', { ...good, kind: 'other' as const }, 'Name a folder'],
  ])('%s', (_title, folder, hint) => {
    const unsafe = judgeFolder('/srv/releases', folder, us)
    if (hint === null) expect(unsafe).toBe(null)
    else expect(unsafe?.hint).toContain(hint)
    expect(unsafe?.message ?? '/srv/releases').toContain('/srv/releases')
  })

  it("that belongs to an ordinary user is refused to root, who would run that user's files", () => {
    expect(judgeFolder('/srv/releases', good, { uid: 0, gid: 0 })?.hint).toContain('chown 0')
  })

  it('tells when a group that is not ours may deploy', () => {
    expect(judgeGroup('/srv/releases', { ...good, gid: 50, mode: 0o40775 }, us)).toMatchObject({ code: 'group-writable' })
    expect(judgeGroup('/srv/releases', { ...good, mode: 0o40775 }, us)).toBe(null)
    expect(judgeGroup('/srv/releases', { ...good, gid: 50 }, us)).toBe(null)
  })

  it.each([['NFS', 0x6969, true], ['CIFS', 0xff534d42 | 0, true], ['FUSE', 0x65735546, true], ['ext4', 0xef53, false], ['overlay', 0x794c7630, false], ['tmpfs', 0x01021994, false], ['btrfs', 0x9123683e | 0, false]])('on %s has a foreign clock or not', (_name, type, foreign) => {
    expect(isForeign(type)).toBe(foreign)
  })

  it('on a local disk has our clock', async () => {
    expect(await clockIsOurs('/')).toBe(true)
  })
})
