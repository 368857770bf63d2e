import { GracerError } from '../../inherit/gracer-error.ts'

const known: Readonly<Record<string, readonly [what: string, hint: string]>> = Object.freeze({
  ENOSPC: ['no room is left on the disk', 'Make room (old releases, logs), or use a state folder on a larger disk: --state DIR.'],
  EDQUOT: ['the quota of the disk is used up', 'Make room, or use a state folder on another disk: --state DIR.'],
  EROFS: ['the disk can only be read', 'Use a state folder that can be written: --state DIR.'],
  EMFILE: ['gracer has too many files open', 'Raise the limit of open files (ulimit -n, LimitNOFILE).'],
  ENFILE: ['this machine has too many files open', 'Raise fs.file-max with sysctl.'],
  EIO: ['the disk fails', 'Look at the kernel\'s log (dmesg).'],
})

/** What went wrong while a private copy was made, in words, where it is the file system's doing. */
export function asBuildError(error: unknown, name: string, folder: string): unknown {
  const { code } = error as NodeJS.ErrnoException
  if (error instanceof GracerError || typeof code !== 'string' || !/^E[A-Z0-9]+$/.test(code)) return error
  const [what, hint] = known[code] ?? [(error as Error).message, 'The build was not taken; what is live was not touched.']
  return new GracerError(`${name} cannot be kept in ${folder}: ${what}`, { code: 'build-not-kept', hint, cause: error })
}
