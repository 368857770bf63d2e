import { join } from 'node:path'

export interface Top {
  readonly name: string
  readonly isFolder: boolean
}

/** What archivers of macOS add beside what they were given. */
const chaff = /^(\._.*|\.DS_Store|__MACOSX)$/

/**
 * Where an unpacked archive is run: in the one folder at its top, where it has just one (`package/` of npm pack,
 * `name-1.2/`), else where it was unpacked. Where a word of the command names something by that folder
 * (`node dist/server.mjs` and an archive of `dist/`), the folder is not entered either.
 */
export function runFolder(root: string, tops: readonly Top[], command: readonly string[] | null, exists: (path: string) => boolean): string {
  const real = tops.filter((top) => !chaff.test(top.name))
  const [only] = real
  if (only === undefined || real.length > 1 || !only.isFolder) return root
  const inner = join(root, only.name)
  const named = (command ?? []).some((word) => {
    const path = word.replace(/^(\.\/)+/, '')
    return path.startsWith(`${only.name}/`) && exists(join(root, path)) && !exists(join(inner, path))
  })
  return named ? root : inner
}
