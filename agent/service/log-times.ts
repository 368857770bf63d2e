import { appendFileSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'

/** Of a log's size at a moment. Below 0: that far before the beginning of the file, in what stands in `.1` now. */
export interface LogMark {
  readonly at: number
  readonly bytes: number
}

/** Beyond so many every second one goes: of an old log the times are known less exactly. */
const mostMarks = 4_096

/** Pure: where to begin so that nothing written at `since` (ms since 1970) or later is left out. null: at the very beginning. */
export function bytesBefore(marks: readonly LogMark[], since: number): number | null {
  return marks.findLast((mark) => mark.at <= since)?.bytes ?? null
}

/** Pure: the marks after so many bytes went from the front to `.1`; of what is in neither file any more one is left. */
export function shiftMarks(marks: readonly LogMark[], bytes: number): LogMark[] {
  const shifted = marks.map((mark) => ({ at: mark.at, bytes: mark.bytes - bytes }))
  const firstKept = shifted.findLastIndex((mark) => mark.bytes <= -bytes)
  return shifted.slice(Math.max(0, firstKept))
}

/** Pure. The newest stay as exact as they are. */
export function thinMarks(marks: readonly LogMark[], most = mostMarks): LogMark[] {
  if (marks.length <= most) return [...marks]
  const half = Math.floor(marks.length / 2)
  return [...marks.slice(0, half).filter((_, index) => index % 2 === 0), ...marks.slice(half)]
}

/**
 * When which part of a log was written, for backends that print no time themselves: its size is noted whenever it is
 * looked at and has grown. Kept in a file, because a log outlives an agent.
 */
export class LogTimes {
  readonly #file: string
  #marks: LogMark[]

  constructor(file: string) {
    this.#file = file
    this.#marks = read(file)
  }

  since(time: number): number | null {
    return bytesBefore(this.#marks, time)
  }

  /** The log has `bytes` at `at`, Date.now(). Throws what the file system throws. */
  note(at: number, bytes: number): void {
    const last = this.#marks.at(-1)
    // A log that was not written to since: all before it is still older than now.
    if (last?.bytes === bytes) return
    const mark = { at, bytes }
    this.#marks.push(mark)
    if (this.#marks.length <= mostMarks) return appendFileSync(this.#file, lineOf(mark), { mode: 0o600 })
    this.#marks = thinMarks(this.#marks)
    this.#write()
  }

  cut(bytes: number): void {
    this.#marks = shiftMarks(this.#marks, bytes)
    this.#write()
  }

  remove(): void {
    this.#marks = []
    rmSync(this.#file, { force: true })
  }

  #write(): void {
    writeFileSync(`${this.#file}.next`, this.#marks.map(lineOf).join(''), { mode: 0o600 })
    renameSync(`${this.#file}.next`, this.#file)
  }
}

const lineOf = ({ at, bytes }: LogMark): string => `${at} ${bytes}\n`

function read(file: string): LogMark[] {
  try {
    // A half-written last line is left out.
    return [...readFileSync(file, 'latin1').matchAll(/^(\d+) (-?\d+)\n/gm)].map(([, at, bytes]) => ({ at: Number(at), bytes: Number(bytes) }))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
