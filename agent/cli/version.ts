import { packageVersion } from '../version.ts'
import { writeData, writeJson } from './output.ts'

export async function runVersion(options: { readonly json: boolean }): Promise<number> {
  const facts = { version: packageVersion(), node: process.versions.node, platform: `${process.platform}-${process.arch}` }
  if (options.json) await writeJson({ schema: 1, ...facts })
  else await writeData(`gracer ${facts.version}, node ${facts.node}, ${facts.platform}\n`)
  return 0
}
