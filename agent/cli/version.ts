import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { GracerError } from '../../inherit/gracer-error.ts'
import { writeData, writeJson } from './output.ts'

/** The version of the package this file belongs to, built or not. */
export function packageVersion(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); folder !== dirname(folder); folder = dirname(folder)) {
    const file = join(folder, 'package.json')
    if (existsSync(file)) return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
  }
  throw new GracerError('package.json of gracer is missing: the installation is damaged', { code: 'damaged-installation' })
}

export async function runVersion(options: { readonly json: boolean }): Promise<number> {
  const facts = { version: packageVersion(), node: process.versions.node, platform: `${process.platform}-${process.arch}` }
  if (options.json) await writeJson({ schema: 1, ...facts })
  else await writeData(`gracer ${facts.version}, node ${facts.node}, ${facts.platform}\n`)
  return 0
}
