import { existsSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { GracerError } from '../../inherit/gracer-error.ts'

export const configName = 'gracer.json'

/**
 * The path of gracer.json in `cwd` or the nearest folder above it; null where there is none.
 * A config says which programs are run, so one found above `cwd` must belong to this user or to root:
 * a file that somebody else left in /tmp is not obeyed.
 * @throws GracerError 'config-not-ours' (exit 2)
 */
export function findConfig(cwd: string): string | null {
  for (const folder of foldersUpward(cwd)) {
    const candidate = join(folder, configName)
    if (!existsSync(candidate)) continue
    const { uid } = statSync(candidate)
    if (folder !== resolve(cwd) && uid !== 0 && process.getuid !== undefined && uid !== process.getuid()) {
      throw new GracerError(`${candidate} belongs to another user (uid ${uid}) and is not read`, {
        code: 'config-not-ours',
        exitCode: 2,
        hint: `If it is the right one, name it: --config ${candidate}`,
      })
    }
    return candidate
  }
  return null
}

/** `cwd` (made absolute) and every folder above it, nearest first. */
export function foldersUpward(cwd: string): readonly string[] {
  const folders: string[] = []
  for (let folder = resolve(cwd); ; folder = dirname(folder)) {
    folders.push(folder)
    if (dirname(folder) === folder) return folders
  }
}
