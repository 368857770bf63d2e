import { lstat, realpath } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { GracerError } from '../../inherit/gracer-error.ts'
import type { Drop } from '../drop.ts'
import { identityOf } from './identity.ts'
import { escapeName, nameAllowed, whyRefused } from './name.ts'

/**
 * The drop for a folder named in a command; symlinks on the way are resolved. Its identity equals the one under which
 * a watch first announces the same folder. Throws GracerError with exit code 2: `no-such-drop`, `drop-not-a-folder`,
 * `name-refused`.
 */
export async function readDrop(path: string): Promise<Drop> {
  const wanted = resolve(path)
  const real = await realpath(wanted).catch((cause: unknown) => {
    throw new GracerError(`There is no build at ${wanted}.`, { code: 'no-such-drop', exitCode: 2, hint: 'Name a folder that exists, or a release that `gracer history` lists.', cause })
  })
  const stats = await lstat(real)
  if (!stats.isDirectory()) {
    throw new GracerError(`${real} is not a folder.`, { code: 'drop-not-a-folder', exitCode: 2, hint: 'Unpack it, and name the folder.' })
  }
  const name = basename(real)
  if (!nameAllowed(name)) {
    throw new GracerError(`The name ${escapeName(name)} ${whyRefused(name)}.`, { code: 'name-refused', exitCode: 2, hint: `Rename ${escapeName(real)}.` })
  }
  const identity = identityOf(name, { inode: stats.ino, birthMs: stats.birthtimeMs, ctimeMs: stats.ctimeMs })
  return { identity, label: name, path: real, complete: 'named', noticedAt: Date.now() }
}
