import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * Packages that are tested beside gracer and are no dependency of it, because something they need has an install script
 * (which is not run here either). Installed once into a folder that can be thrown away; null: that could not be done.
 */
export function throwAwayInstall(...packages: readonly string[]): string | null {
  const folder = join(tmpdir(), `gracer-beside-${packages.join('-').replace(/[^\w.-]/g, '_')}`)
  if (existsSync(join(folder, 'whole'))) return folder
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{"private":true}')
  const { status } = spawnSync('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock', '--fetch-retries=0', ...packages], { cwd: folder, stdio: 'ignore', timeout: 60_000 })
  if (status !== 0) return null
  writeFileSync(join(folder, 'whole'), '')
  return folder
}
