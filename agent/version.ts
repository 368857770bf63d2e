import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { GracerError } from '../inherit/gracer-error.ts'

/** The version of the package this file belongs to, built or not. */
export function packageVersion(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); folder !== dirname(folder); folder = dirname(folder)) {
    const file = join(folder, 'package.json')
    if (existsSync(file)) return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
  }
  throw new GracerError('package.json of gracer is missing: the installation is damaged', { code: 'damaged-installation' })
}
