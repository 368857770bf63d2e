import { isAbsolute, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface Place {
  /** Relative to the folder. */
  readonly file: string
  readonly line: number
  readonly column: number | null
}

const patterns = [
  // file:///a/b.mjs:3:7, /a/b.js:3, src/b.ts:3:7
  /(?:^|[\s("'[])((?:file:\/\/)?(?:\.{0,2}\/)?[^\s()'"<>:[\]]+\.[A-Za-z]{1,8}):(\d{1,7})(?::(\d{1,7}))?/g,
  // tsc: src/b.ts(3,7)
  /(?:^|\s)([^\s()'"<>:]+\.[A-Za-z]{1,8})\((\d{1,7}),(\d{1,7})\)/g,
]

/** The first place in the output that lies below the folder and not in node_modules; null where there is none. */
export function findPlace(output: readonly string[], folder: string): Place | null {
  for (const line of output) {
    for (const pattern of patterns) {
      for (const match of line.matchAll(pattern)) {
        const file = inside(match[1] as string, folder)
        const number = Number(match[2])
        if (file !== null && number > 0) return { file, line: number, column: match[3] === undefined ? null : Number(match[3]) }
      }
    }
  }
  return null
}

function inside(named: string, folder: string): string | null {
  let path = named
  try {
    if (named.startsWith('file:')) path = fileURLToPath(named)
  } catch {
    return null
  }
  const file = relative(folder, isAbsolute(path) ? path : resolve(folder, path))
  if (file === '' || file.startsWith(`..${sep}`) || file === '..' || isAbsolute(file)) return null
  return file.split(sep).includes('node_modules') ? null : file
}
