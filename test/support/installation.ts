import { cpSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root } from './gracer-process.ts'

const made = new Set<string>()

/** A second installation of gracer, as this checkout has built it, under another version. */
export function makeInstallation(version: string): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'gracer-installed-')))
  made.add(folder)
  for (const part of ['inherit', 'proxy', 'agent']) cpSync(join(root, 'dist', part), join(folder, 'dist', part), { recursive: true })
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<string, unknown>
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ ...manifest, version }))
  return folder
}

/** Puts text in place of other text in a file of an installation. @throws where the text is not there. */
export function change(folder: string, file: string, from: string, to: string): void {
  const path = join(folder, 'dist', file)
  const before = readFileSync(path, 'utf8')
  if (!before.includes(from)) throw new Error(`${file} does not contain ${JSON.stringify(from)}`)
  writeFileSync(path, before.replace(from, to))
}

/** For afterEach. */
export function removeInstallations(): void {
  for (const folder of made) rmSync(folder, { recursive: true, force: true })
  made.clear()
}
