import { realpathSync, statSync } from 'node:fs'
import { basename } from 'node:path'
import { GracerError } from '../../inherit/gracer-error.ts'
import { realFolder } from '../boot/plan.ts'
import { nameAllowed } from '../drops/name.ts'
import { kindOfFile, labelOfFile, whyNoBuild } from './kind.ts'

/**
 * The real path of a build that was named: a folder, an archive or a single file; and what it is called, where its name
 * may be that of a release. @throws GracerError 'source-missing', 'no-build'; both exit 2
 */
export function realBuild(path: string): { readonly source: string; readonly name: string | null } {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (stats === undefined) throw new GracerError(`there is no build at ${path}`, { code: 'source-missing', exitCode: 2, hint: 'Name a folder, an archive or a program that exists.' })
  if (stats.isDirectory()) return { source: realFolder(path), name: null }
  const source = realpathSync(path)
  const file = basename(source)
  if (!stats.isFile()) throw new GracerError(`${source} is neither a file nor a folder`, { code: 'no-build', exitCode: 2, hint: 'Name a folder, an archive or a program.' })
  if (kindOfFile(file, stats.mode) === null) {
    const { what, hint } = whyNoBuild(file)
    throw new GracerError(`${source} ${what}`, { code: 'no-build', exitCode: 2, hint })
  }
  const label = labelOfFile(file)
  return { source, name: nameAllowed(label) ? label : null }
}
