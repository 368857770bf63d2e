import { mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach } from 'vitest'
import { SourceFile } from '../../agent/builds/source-file.ts'
import { unpack, type UnpackOptions, type Unpacked } from '../../agent/builds/unpack.ts'

const cleanups: (() => void)[] = []

afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup()
})

/** A folder of its own for one test. */
export function scratch(): string {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'gracer-builds-')))
  cleanups.push(() => rmSync(root, { recursive: true, force: true }))
  return root
}

export const roomy = { maxBytes: 16 * 1024 * 1024, maxEntries: 1000 }

/** Unpacks the bytes into `root`/into, from `root`/name. */
export async function unpackBytes(root: string, name: string, bytes: Buffer, options: Partial<UnpackOptions> = {}): Promise<Unpacked> {
  const path = join(root, name)
  writeFileSync(path, bytes)
  const into = join(root, 'into')
  mkdirSync(into)
  const file = await SourceFile.open(path)
  try {
    return await unpack(file, { into, name, limits: roomy, signal: new AbortController().signal, ...options })
  } finally {
    await file.close()
  }
}

/** Everything below a folder, sorted. */
export function treeOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()
}
