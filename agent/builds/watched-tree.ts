import { isWithin } from '../drops/identity.ts'

const versionControl = new Set(['.git', '.hg', '.svn'])

/** Whether this is not part of the build that a watched folder is: version control, and what gracer itself keeps there. */
export function notOfTheBuild(path: string, name: string, ours: readonly string[]): boolean {
  return versionControl.has(name) || ours.some((folder) => isWithin(folder, path))
}
