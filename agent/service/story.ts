import { appendFileSync, readFileSync, renameSync, statSync } from 'node:fs'

/** A story file over this size is put aside as `.1`; the one before is dropped. */
const mostBytes = 1024 * 1024

export interface StoryLine {
  readonly at: string
  readonly release: string | null
  readonly what: string
}

/** What happened to the releases of a service, a line each, for `gracer explain`. Losing a line loses nothing else. */
export class Story {
  readonly #file: string

  constructor(file: string) {
    this.#file = file
  }

  add(release: string | null, what: string): void {
    try {
      appendFileSync(this.#file, `${JSON.stringify({ at: new Date().toISOString(), release, what } satisfies StoryLine)}\n`, { mode: 0o600 })
      if (statSync(this.#file).size > mostBytes) renameSync(this.#file, `${this.#file}.1`)
    } catch {
      // A full disk: the deploy itself is judged by the journal, not by the story.
    }
  }

  /** The lines of one release, oldest first. */
  of(release: string): StoryLine[] {
    return [`${this.#file}.1`, this.#file].flatMap(readLines<StoryLine>).filter((line) => line.release === release)
  }
}

/** The lines of a file of JSON lines; what cannot be read is left out. */
export function readLines<T>(file: string): T[] {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    return []
  }
  return text.split('\n').flatMap((line) => {
    try {
      return line === '' ? [] : [JSON.parse(line) as T]
    } catch {
      return []
    }
  })
}
