import { expect, it } from 'vitest'
import { kindOfFile, labelOfFile, whyNoBuild } from '../../agent/builds/kind.ts'

it.each([
  ['build-43.tgz', 0o644, 'archive', 'build-43'], ['v1.2.tar.gz', 0o644, 'archive', 'v1.2'], ['v1.TAR', 0o644, 'archive', 'v1'], ['v1.tgz', 0o755, 'archive', 'v1'],
  ['server.mjs', 0o644, 'file', 'server'], ['v43.py', 0o644, 'file', 'v43'], ['run.sh', 0o755, 'file', 'run'],
  ['server-43', 0o755, 'file', 'server-43'], ['server-1.2', 0o700, 'file', 'server-1.2'], ['server-43', 0o644, null, 'server-43'],
  ['notes.txt', 0o644, null, 'notes.txt'], ['build.zip', 0o644, null, 'build.zip'], ['.tgz', 0o644, null, '.tgz'], ['package.json', 0o644, null, 'package.json'],
] as const)('%s with mode %o is %s, called %s', (name, mode, kind, label) => {
  expect(kindOfFile(name, mode)).toBe(kind)
  expect(labelOfFile(name)).toBe(label)
})

it('what is no build is told what would be one', () => {
  expect(whyNoBuild('server-43').hint).toContain('chmod +x server-43')
  for (const packed of ['a.zip', 'a.tar.xz', 'a.tar.zst', 'a.7z', 'a.tbz2']) expect(whyNoBuild(packed).what, packed).toContain('does not unpack')
})
