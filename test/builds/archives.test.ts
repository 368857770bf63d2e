import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, lstatSync, mkdirSync, readFileSync, readlinkSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { roomy, scratch, treeOf, unpackBytes } from './support.ts'
import { pax, tar, tarEnd, tarEntry, tarHead, tgz, type TarEntry } from './tar-bytes.ts'

const server: TarEntry = { path: 'server.mjs', body: 'export {}\n' }

describe('a good archive', () => {
  it('is unpacked, compressed or not, whatever its name says, and hashed', async () => {
    for (const [name, bytes] of [['a.tgz', tgz([server])], ['b.tar', tar([server])], ['c.tar', tgz([server])], ['d.tgz', tar([server])]] as const) {
      const root = scratch()
      const unpacked = await unpackBytes(root, name, bytes)
      expect(unpacked).toMatchObject({ sha256: createHash('sha256').update(bytes).digest('hex'), tops: [{ name: 'server.mjs', isFolder: false }] })
      expect(readFileSync(join(root, 'into', 'server.mjs'), 'utf8')).toBe('export {}\n')
      expect(statSync(join(root, 'into', 'server.mjs')).mtimeMs).toBe(1_700_000_000_000)
    }
  })

  it('may hold folders (asked for or not, and twice), links that stay inside, hard links, long names and files that run', async () => {
    const root = scratch()
    const long = `${'d'.repeat(120)}/${'f'.repeat(120)}.mjs`
    const unpacked = await unpackBytes(root, 'v1.tgz', tgz([
      { path: './', type: '5' }, { path: './lib/', type: '5', mode: 0o700 }, { path: 'lib', type: '5' },
      { path: 'bin/start', body: '#!/bin/sh\n', mode: 0o755 }, { path: 'deep/er/x', body: 'x' }, { path: 'deep/er/up', type: '2', link: '../../bin/start' },
      { path: 'lib/self', type: '2', link: '.' }, { path: 'same', type: '1', link: './bin/start' }, pax({ path: long }), { path: 'short', body: 'long' },
      { path: 'empty', body: '' }, { path: 'f', prefix: 'pre/fix', body: 'p' },
    ]))
    const into = join(root, 'into')
    expect(unpacked.tops.map((top) => top.name).sort()).toEqual(['bin', 'd'.repeat(120), 'deep', 'empty', 'lib', 'pre', 'same'])
    expect(readlinkSync(join(into, 'deep/er/up'))).toBe('../../bin/start')
    expect(readFileSync(join(into, 'deep/er/up'), 'utf8')).toBe('#!/bin/sh\n')
    expect(statSync(join(into, 'same')).ino).toBe(statSync(join(into, 'bin/start')).ino)
    expect(readFileSync(join(into, long), 'utf8')).toBe('long')
    expect(statSync(join(into, 'bin/start')).mode & 0o777).toBe(0o755)
    expect(statSync(join(into, 'empty')).size).toBe(0)
    expect(readFileSync(join(into, 'pre/fix/f'), 'utf8')).toBe('p')
  })

  it('loses setuid, setgid, sticky and the right of others to write', async () => {
    const root = scratch()
    await unpackBytes(root, 'v1.tar', tar([{ path: 'run', body: 'x', mode: 0o7777 }, { path: 'unreadable', body: 'x', mode: 0 }, { path: 'd/', type: '5', mode: 0o7777 }]))
    expect(lstatSync(join(root, 'into', 'run')).mode & 0o7777).toBe(0o755)
    expect(lstatSync(join(root, 'into', 'unreadable')).mode & 0o7777).toBe(0o600)
    expect(lstatSync(join(root, 'into', 'd')).mode & 0o7777).toBe(0o755)
  })

  it('as the usual tools make it: tar of GNU and of Python, in each of their formats', async () => {
    const root = scratch()
    const tree = join(root, 'package')
    mkdirSync(join(tree, 'lib', 'ü'.repeat(40)), { recursive: true })
    writeFileSync(join(tree, 'lib', 'ü'.repeat(40), `${'n'.repeat(150)}.txt`), 'x'.repeat(70_000))
    symlinkSync('lib', join(tree, 'link'))
    const made: [string, () => void][] = ['gnu', 'pax', 'ustar'].flatMap((format): [string, () => void][] => [
      [`gnu-${format}.tgz`, () => execFileSync('tar', ['-C', root, `--format=${format}`, '-czf', join(root, `gnu-${format}.tgz`), ...(format === 'ustar' ? ['--exclude=*.txt'] : []), 'package'])],
      [`python-${format}.tar`, () => execFileSync('python3', ['-c', `import tarfile,sys\nt=tarfile.open(sys.argv[1],'w',format=tarfile.${format.toUpperCase()}_FORMAT)\nt.add(sys.argv[2],'package',filter=lambda m: None if ${format === 'ustar' ? 'True' : 'False'} and m.name.endswith('.txt') else m)\nt.close()`, join(root, `python-${format}.tar`), tree])],
    ])
    for (const [name, make] of made) {
      make()
      const own = scratch()
      const unpacked = await unpackBytes(own, name, readFileSync(join(root, name)))
      expect(unpacked.tops, name).toEqual([{ name: 'package', isFolder: true }])
      expect(treeOf(join(own, 'into')), name).toEqual(treeOf(root).filter((path) => path.startsWith('package') && (!name.includes('ustar') || !path.endsWith('.txt'))))
    }
  })
})

const refused: readonly (readonly [string, readonly TarEntry[], string])[] = [
  ['".." at the begin', [{ path: '../evil', body: 'x' }], 'leads out of the folder'],
  ['".." in the middle', [{ path: 'a/../../evil', body: 'x' }], 'leads out of the folder'],
  ['".." that would stay inside', [{ path: 'a/../evil', body: 'x' }], 'leads out of the folder'],
  ['a folder named ".."', [{ path: '..', type: '5' }], 'leads out of the folder'],
  ['an absolute path', [{ path: '/tmp/evil', body: 'x' }], 'is an absolute path'],
  ['an absolute path of a folder', [{ path: '//evil/', type: '5' }], 'is an absolute path'],
  ['an absolute path by its prefix', [{ path: 'evil', prefix: '/tmp', body: 'x' }], 'is an absolute path'],
  ['a pax header that overrides the path', [pax({ path: '../../evil' }), { path: 'good', body: 'x' }], 'leads out of the folder'],
  ['a pax header that makes it absolute', [pax({ path: '/etc/evil' }), { path: 'good', body: 'x' }], 'is an absolute path'],
  ['a long name of GNU that leads out', [{ path: '././@LongLink', type: 'L', body: '../evil\u0000' }, { path: 'good', body: 'x' }], 'leads out of the folder'],
  ['a newline in a name', [{ path: 'a\nb', body: 'x' }], 'control character'],
  ['an escape sequence in a name', [{ path: '\u001b[2Jx', body: 'x' }], 'control character'],
  ['a name that is not UTF-8', [{ path: Buffer.from([0x61, 0xff, 0x62]), body: 'x' }], 'UTF-8'],
  ['a symlink to an absolute path', [{ path: 'l', type: '2', link: '/etc/passwd' }], 'leads to the absolute path'],
  ['a symlink that leads out', [{ path: 'a/l', type: '2', link: '../../x' }], 'leads out of the folder'],
  ['a symlink that goes up behind a name', [{ path: 'd', type: '2', link: 'e' }, { path: 'l', type: '2', link: 'd/../../x' }], 'behind a name'],
  ['a symlink in place of the folder itself', [{ path: './', type: '2', link: 'x' }], 'take the place of the folder itself'],
  ['a pax header that overrides the target of a link', [pax({ linkpath: '../../../etc/passwd' }), { path: 'l', type: '2', link: 'good' }], 'leads out of the folder'],
  ['a file below a link (link, then write through it)', [{ path: 'd', type: '2', link: '.' }, { path: 'd/evil', body: 'x' }], 'which is a link'],
  ['a link in place of a folder that holds a file', [{ path: 'd/x', body: 'x' }, { path: 'd', type: '2', link: '.' }], 'stands in it twice'],
  ['a hard link to an absolute path', [{ path: 'h', type: '1', link: '/etc/passwd' }], 'is a hard link to'],
  ['a hard link that leads out', [{ path: 'h', type: '1', link: '../../etc/passwd' }], 'is a hard link to'],
  ['a hard link to a symlink', [{ path: 'l', type: '2', link: 'x' }, { path: 'h', type: '1', link: 'l' }], 'not a file that stands before it'],
  ['a hard link to what is not in it', [{ path: 'h', type: '1', link: 'nowhere' }], 'not a file that stands before it'],
  ['a file twice', [server, server], 'stands in it twice'],
  ['a file twice by another spelling', [server, { ...server, path: './/server.mjs' }], 'stands in it twice'],
  ['a file and a folder of one name', [{ path: 'a', body: 'x' }, { path: 'a/', type: '5' }], 'twice, once as a file'],
  ['a file below a file', [{ path: 'a', body: 'x' }, { path: 'a/b', body: 'x' }], 'lies below "a", which is a file'],
  ['a symlink twice', [{ path: 'l', type: '2', link: 'a' }, { path: 'l', type: '2', link: 'b' }], 'stands in it twice'],
  ['a FIFO', [{ path: 'queue', type: '6' }], 'is a FIFO'],
  ['a device', [{ path: 'null', type: '3' }], 'is a device'],
  ['a block device', [{ path: 'sda', type: '4' }], 'is a device'],
  ['a sparse file', [{ path: 'huge', type: 'S' }], 'kind that is not taken'],
  ['a type that nobody knows', [{ path: 'odd', type: 'Z' }], 'kind that is not taken'],
  ['deeper than anybody needs', [{ path: `${'d/'.repeat(45)}x`, prefix: 'e/'.repeat(50), body: 'x' }], 'folders deep'],
  ['a part longer than file systems take', [pax({ path: 'n'.repeat(256) }), { path: 'n', body: 'x' }], 'longer than 255 bytes'],
  ['a path longer than 1024 bytes', [pax({ path: `${'p'.repeat(200)}/`.repeat(6) }), { path: 'n', type: '5' }], 'longer than 1024 bytes'],
]

describe('a malicious archive is refused whole, whatever stood before the evil', () => {
  it.each(refused)('%s', async (_title, entries, says) => {
    const root = scratch()
    const attempt = unpackBytes(root, 'v1.tgz', tgz([{ path: 'first', body: 'x' }, ...entries]))
    await expect(attempt).rejects.toMatchObject({ code: 'archive-refused', message: expect.stringContaining(says) as string, hint: expect.stringContaining('Nothing of it was kept') as string })
    // Nothing was made outside, and nothing evil inside.
    expect(treeOf(root).filter((path) => !path.startsWith('into'))).toEqual(['v1.tgz'])
    expect(treeOf(join(root, 'into')).some((path) => path.includes('evil') || lstatSync(join(root, 'into', path)).isSymbolicLink())).toBe(false)
    expect(existsSync('/tmp/evil')).toBe(false)
  })
})

const whole = tar([{ path: 'a', body: 'a'.repeat(3000) }, { path: 'b', body: 'b' }])
const damaged: readonly (readonly [string, Buffer, string])[] = [
  ['empty', Buffer.alloc(0), 'it is no tar archive'],
  ['two bytes', Buffer.from('hi'), 'it is no tar archive'],
  ['garbage', Buffer.from('not even an archive '.repeat(200)), 'checksum failure'],
  ['a text of 512 zeros and no end', Buffer.alloc(512), 'it is no tar archive'],
  ['only an end', tarEnd, ''],
  ['only an end, compressed', gzipSync(tarEnd), ''],
  ['nothing but its own folder', tgz([{ path: './', type: '5' }]), 'it is empty'],
  ['cut within a file', whole.subarray(0, 2000), 'ends'],
  ['cut between two files', whole.subarray(0, 512 + 3072), 'ends after 1 files without the mark'],
  ['cut before its end', whole.subarray(0, whole.length - 1024), 'ends after 2 files without the mark'],
  ['cut within its end', whole.subarray(0, whole.length - 512), 'without the mark'],
  ['compressed and cut', gzipSync(whole).subarray(0, 60), 'it ends in the middle'],
  ['compressed and cut within its checksum', gzipSync(whole).subarray(0, -3), 'it ends in the middle'],
  ['compressed, a byte changed', flipped(gzipSync(whole)), ''],
  ['compressed, with something behind it', Buffer.concat([gzipSync(whole), Buffer.from('trailing')]), ''],
  ['compressed, with zeros behind it', Buffer.concat([gzipSync(whole), Buffer.alloc(100_000)]), 'something stands behind its end'],
  ['compressed twice', gzipSync(gzipSync(whole)), 'compressed twice'],
  ['a head whose checksum is wrong', tar([{ path: 'a', body: 'a', checksumOff: 1 }]), 'checksum failure'],
  ['a second head whose checksum is wrong', Buffer.concat([tarEntry(server), tarEntry({ ...server, path: 'x', checksumOff: 7 }), tarEnd]), 'checksum failure'],
  ['a negative size', tar([{ path: 'a', size: Buffer.from('ffffffffffffffffffffff9c', 'hex') }]), ''],
  ['a size beyond all numbers', tar([{ path: 'a', size: Buffer.from('80ffffffffffffffffffffff', 'hex') }]), ''],
  ['a size that is no number', tar([{ path: 'a', size: Buffer.from('99999999999\u0000') }]), ''],
  ['a folder with content', tar([{ path: 'd/', type: '5', size: 512, body: 'x'.repeat(512) }]), ''],
  ['a file that a pax header makes longer than the archive', tar([pax({ size: '4000' }), { path: 'a', body: 'x' }]), ''],
  ['a zip', Buffer.from('504b0304140000000800', 'hex'), 'it is no tar archive'],
]

function flipped(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes)
  const at = Math.floor(copy.length / 2)
  copy[at] = (copy[at] ?? 0) ^ 0xff
  return copy
}

describe('a damaged archive is refused, with the reason', () => {
  it.each(damaged)('%s', async (_title, bytes, says) => {
    const root = scratch()
    await expect(unpackBytes(root, 'v1.tgz', bytes)).rejects.toMatchObject({ name: 'GracerError', code: expect.stringMatching(/^archive-/) as string, message: expect.stringContaining(says) as string })
  })

  it('every cut of a small one', async () => {
    const small = tgz([server])
    for (let length = 0; length < small.length; length += 1) {
      await expect(unpackBytes(scratch(), 'v1.tgz', small.subarray(0, length)), `cut to ${length}`).rejects.toMatchObject({ code: 'archive-damaged' })
    }
  })
})

describe('the limits', () => {
  it('stop a bomb long before it is unpacked', async () => {
    const root = scratch()
    // 48 MiB of zeros in 50 kB.
    const bomb = gzipSync(Buffer.concat([tarHead({ path: 'zeros', size: 48 * 1024 * 1024 }), Buffer.alloc(48 * 1024 * 1024), tarEnd]))
    await expect(unpackBytes(root, 'bomb.tgz', bomb)).rejects.toMatchObject({ code: 'build-too-large', message: 'bomb.tgz holds more than 16 MiB' })
    expect(treeOf(join(root, 'into'))).toEqual([])
  })

  it('stop a bomb of heads that say nothing, and one whose heads lie', async () => {
    const longNames = Buffer.concat([...Array<Buffer>(4000).fill(tarEntry(pax({ comment: 'x'.repeat(400) }))), tarEnd])
    await expect(unpackBytes(scratch(), 'a.tgz', gzipSync(longNames))).rejects.toMatchObject({ code: 'build-too-large' })
    const zeros = gzipSync(Buffer.concat([tarEntry(server), tarEnd, Buffer.alloc(64 * 1024 * 1024)]))
    await expect(unpackBytes(scratch(), 'b.tgz', zeros)).rejects.toMatchObject({ code: 'build-too-large' })
  })

  it('count files, folders and the folders that no entry asks for', async () => {
    const limits = { ...roomy, maxEntries: 10 }
    const files = Array.from({ length: 11 }, (_, index) => ({ path: `f${index}`, body: '' }))
    await expect(unpackBytes(scratch(), 'a.tar', tar(files), { limits })).rejects.toMatchObject({ message: 'a.tar holds more than 10 files and folders' })
    await expect(unpackBytes(scratch(), 'b.tar', tar([{ path: 'a/b/c/d/e/f/g/h/i/j/k', body: '' }]), { limits })).rejects.toMatchObject({ code: 'build-too-large' })
    await unpackBytes(scratch(), 'c.tar', tar(files.slice(0, 10)), { limits })
  })

  it('leave the event loop its turns', async () => {
    const root = scratch()
    const body = Buffer.alloc(256 * 1024, 'x')
    const entries = [...Array.from({ length: 40 }, (_, index) => ({ path: `big/${index}`, body })), ...Array.from({ length: 300 }, (_, index) => ({ path: `small/${index}`, body: 'x' }))]
    const delays = monitorEventLoopDelay({ resolution: 1 })
    const bytes = tgz(entries)
    delays.enable()
    const began = performance.now()
    await unpackBytes(root, 'v1.tgz', bytes)
    const tookMs = performance.now() - began
    delays.disable()
    // Had it been done in one go, the longest turn would be the whole of it.
    expect(delays.max / 1e6).toBeLessThan(Math.max(60, tookMs / 3))
  })
})

it('a change of the archive while it is read is noticed', async () => {
  const root = scratch()
  const bytes = tar([{ path: 'a', body: Buffer.alloc(1024 * 1024, 'a') }])
  let changed = false
  await expect(unpackBytes(root, 'v1.tar', bytes, {
    progress: () => {
      if (changed) return
      changed = true
      writeFileSync(join(root, 'v1.tar'), 'x', { flag: 'a' })
    },
  })).rejects.toMatchObject({ code: 'build-changed' })
})
