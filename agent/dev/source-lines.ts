import { closeSync, constants, fstatSync, openSync, readFileSync, realpathSync } from 'node:fs'
import { join, sep } from 'node:path'

export interface SourceLine {
  readonly number: number
  readonly text: string
  readonly hit: boolean
}

const around = 3
const largest = 1024 * 1024
const longestLine = 300

/** The line with its neighbours; [] where the file is not a text of the folder itself: no link leads out of it. */
export function readSource(folder: string, file: string, line: number): readonly SourceLine[] {
  let text: string
  try {
    const path = realpathSync(join(folder, file))
    if (!path.startsWith(realpathSync(folder) + sep)) return []
    const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    try {
      const stat = fstatSync(fd)
      if (!stat.isFile() || stat.size > largest) return []
      text = readFileSync(fd, 'utf8')
    } finally {
      closeSync(fd)
    }
  } catch {
    return []
  }
  if (text.includes('\0')) return []
  const lines = text.split(/\r?\n/)
  if (line > lines.length) return []
  const first = Math.max(1, line - around)
  return lines.slice(first - 1, line + around).map((one, index) => ({ number: first + index, text: one.slice(0, longestLine), hit: first + index === line }))
}
