import { extname } from 'node:path'

/** What a build may be. */
export type BuildKind = 'folder' | 'archive' | 'file'

const archiveEndings = ['.tar.gz', '.tgz', '.tar']

/** What runs a script, by the ending of its name. Everything else must be able to run by itself (the x bit). */
const interpreters: ReadonlyMap<string, string> = new Map([
  ['.mjs', 'node'], ['.cjs', 'node'], ['.js', 'node'], ['.py', 'python3'], ['.sh', 'sh'], ['.rb', 'ruby'], ['.pl', 'perl'], ['.php', 'php'],
])

/** What a file of this name and mode is as a build; null: none. What is in it is looked at when it is taken in. */
export function kindOfFile(name: string, mode: number): Exclude<BuildKind, 'folder'> | null {
  if (isArchiveName(name)) return 'archive'
  return interpreterFor(name) !== null || (mode & 0o111) !== 0 ? 'file' : null
}

export function isArchiveName(name: string): boolean {
  return archiveEndings.some((ending) => name.length > ending.length && name.toLowerCase().endsWith(ending))
}

export function interpreterFor(name: string): string | null {
  return interpreters.get(extname(name).toLowerCase()) ?? null
}

/** What people call the build in a file of this name: `build-43.tgz` is build-43, `server.mjs` is server. */
export function labelOfFile(name: string): string {
  const lower = name.toLowerCase()
  const ending = archiveEndings.find((one) => name.length > one.length && lower.endsWith(one)) ?? (interpreterFor(name) === null ? '' : extname(name))
  return name.slice(0, name.length - ending.length)
}

/** Why a file is no build, as the rest of the sentence "PATH …", and what to do about it. */
export function whyNoBuild(name: string): { readonly what: string; readonly hint: string } {
  if (/\.(zip|7z|rar|xz|txz|zst|tzst|bz2|tbz2?|tar\.\w+)$/i.test(name)) {
    return { what: 'is packed in a way that gracer does not unpack', hint: 'Drop a .tgz, .tar.gz or .tar, or unpack it elsewhere and move the folder there.' }
  }
  return {
    what: 'is a file that gracer cannot run: it has no x bit, and its name does not end like a script\'s or an archive\'s',
    hint: `If it is a program: chmod +x ${name}. Scripts end in ${[...interpreters.keys()].join(', ')}; archives in .tgz, .tar.gz or .tar.`,
  }
}
