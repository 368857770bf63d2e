import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseChecksum, readChecksum } from '../../agent/builds/checksum.ts'
import { hashFile } from '../../agent/builds/source-file.ts'
import { scratch } from './support.ts'

const a = 'a'.repeat(64)
const b = 'b'.repeat(64)

describe('NAME.sha256', () => {
  it.each([
    ['bare hex', a, a], ['bare hex and a newline', `${a}\n`, a], ['upper case', `${a.toUpperCase()}\n`, a],
    ['sha256sum', `${a}  v1.tgz\n`, a], ['sha256sum -b', `${a} *v1.tgz\n`, a], ['sha256sum --tag', `SHA256 (v1.tgz) = ${a}\n`, a],
    ['a path', `${a}  ./out/v1.tgz\r\n`, a], ['several lines', `${b}  v0.tgz\n${a}  v1.tgz\n`, a], ['comments', `# of CI\n${a}  v1.tgz\n`, a], ['the same twice', `${a}  v1.tgz\n${a}  v1.tgz\n`, a],
    ['a byte order mark', `\ufeff${a}\n`, a],
  ])('%s', (_title, text, sha256) => {
    expect(parseChecksum(text, 'v1.tgz')).toEqual({ sha256 })
  })

  it.each([
    ['nothing', '\n', 'is empty'], ['another name', `${a}  v2.tgz\n`, 'does not name "v1.tgz", only "v2.tgz"'], ['half a digest', `${a.slice(1)}\n`, 'holds a line that is no SHA-256 digest'],
    ['another digest', `${'a'.repeat(128)}  v1.tgz\n`, 'no SHA-256'], ['two digests', `${a}  v1.tgz\n${b}  v1.tgz\n`, 'twice, with two digests'], ['two bare ones', `${a}\n${b}\n`, 'does not name'], ['a web page', '<!doctype html>', 'no SHA-256'],
  ])('refused: %s', (_title, text, why) => {
    expect(parseChecksum(text, 'v1.tgz')).toEqual({ sha256: null, why: expect.stringContaining(why) as string })
  })

  it('as sha256sum writes it says what gracer computes', async () => {
    const root = scratch()
    writeFileSync(join(root, 'v1.tgz'), 'x'.repeat(200_000))
    writeFileSync(join(root, 'v1.tgz.sha256'), execFileSync('sha256sum', ['v1.tgz'], { cwd: root }))
    expect(await readChecksum(join(root, 'v1.tgz'))).toBe(await hashFile(join(root, 'v1.tgz'), new AbortController().signal))
    expect(await readChecksum(join(root, 'none.tgz'))).toBeNull()
  })

  it('that is still empty is waited for, and one that says nothing is refused', async () => {
    const root = scratch()
    writeFileSync(join(root, 'v1.tgz.sha256'), '')
    const reading = readChecksum(join(root, 'v1.tgz'))
    setTimeout(() => writeFileSync(join(root, 'v1.tgz.sha256'), a), 60)
    expect(await reading).toBe(a)
    writeFileSync(join(root, 'v2.tgz.sha256'), 'moin')
    await expect(readChecksum(join(root, 'v2.tgz'))).rejects.toMatchObject({ code: 'checksum-unreadable', message: expect.stringContaining('v2.tgz.sha256 holds a line') as string })
    execFileSync('mkfifo', [join(root, 'v3.tgz.sha256')])
    await expect(readChecksum(join(root, 'v3.tgz'))).rejects.toMatchObject({ code: 'checksum-unreadable', message: expect.stringContaining('is not a file') as string })
  })
})
