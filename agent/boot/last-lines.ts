import { closeSync, fstatSync, openSync, readSync } from 'node:fs'

const mostBytes = 16 * 1024
const mostLines = 20
const longestLine = 500

/** The last lines that a process wrote to its log since `from` (bytes); [] where it wrote none. Control characters are shown escaped. */
export function lastLines(file: string, from: number): string[] {
  let fd: number
  try {
    fd = openSync(file, 'r')
  } catch {
    return []
  }
  try {
    const { size } = fstatSync(fd)
    // A log that was cut meanwhile begins anew.
    const begin = Math.max(size < from ? 0 : from, size - mostBytes)
    const buffer = Buffer.alloc(Math.max(0, size - begin))
    readSync(fd, buffer, 0, buffer.length, begin)
    return buffer.toString('utf8').split(/\r?\n/).filter((line) => line !== '').slice(-mostLines).map(printable)
  } finally {
    closeSync(fd)
  }
}

/** A child's words go to a terminal: escape sequences must not work there. */
function printable(line: string): string {
  return line.slice(0, longestLine).replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`)
}

/** Bytes of the log so far; 0 where there is none. */
export function sizeOf(file: string): number {
  try {
    const fd = openSync(file, 'r')
    try {
      return fstatSync(fd).size
    } finally {
      closeSync(fd)
    }
  } catch {
    return 0
  }
}
