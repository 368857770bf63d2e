import { printable } from '../cli/text.ts'

const mostLines = 400
const longestLine = 2_000

/** The last lines that a process wrote, whole, in the order in which they came. */
export class OutputTail {
  #lines: string[] = []
  #rest = ''

  push(chunk: Buffer): void {
    const lines = (this.#rest + chunk.toString('utf8')).split(/\r?\n/)
    this.#rest = (lines.pop() ?? '').slice(-longestLine)
    for (const line of lines) this.#lines.push(line.slice(0, longestLine))
    if (this.#lines.length > mostLines * 2) this.#lines = this.#lines.slice(-mostLines)
  }

  /** Without escape sequences and control characters. */
  lines(): readonly string[] {
    const all = this.#rest === '' ? this.#lines : [...this.#lines, this.#rest]
    return all.slice(-mostLines).map(printable)
  }
}
