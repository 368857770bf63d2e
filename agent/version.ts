import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { GracerError } from '../inherit/gracer-error.ts'

/** The folder of the package this file belongs to, built or not. @throws GracerError 'damaged-installation' */
export function packageRoot(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); folder !== dirname(folder); folder = dirname(folder)) {
    if (existsSync(join(folder, 'package.json'))) return folder
  }
  throw new GracerError('package.json of gracer is missing: the installation is damaged', { code: 'damaged-installation' })
}

/** The version of that package. */
export function packageVersion(): string {
  return (JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string }).version
}
