import { StringDecoder } from 'node:string_decoder'

/** Longest line that is read, in characters; the rest of a longer one is dropped with it. */
export const longestNotifyLine = 4096

/**
 * Cuts what comes through a notify pipe into `KEY=value` lines (sd_notify(3)'s vocabulary). Memory is bounded by one
 * line: a peer that never sends a newline costs nothing.
 */
export class NotifyLines {
  /** Lines that were dropped: too long, or not of the form KEY=value. */
  dropped = 0
  readonly #decoder = new StringDecoder('utf8')
  #rest = ''
  #skipping = false

  /** The complete lines that this chunk ends, in order. */
  push(chunk: Buffer): [key: string, value: string][] {
    const lines: [string, string][] = []
    const parts = (this.#rest + this.#decoder.write(chunk)).split('\n')
    this.#rest = parts.pop() ?? ''
    for (const part of parts) {
      const line = this.#skipping ? undefined : parseLine(part)
      this.#skipping = false
      if (line === undefined) this.dropped++
      else lines.push(line)
    }
    if (this.#rest.length > longestNotifyLine) {
      this.#skipping = true
      this.#rest = ''
    }
    return lines
  }
}

function parseLine(line: string): [string, string] | undefined {
  if (line.length > longestNotifyLine) return undefined
  const match = /^([A-Z][A-Z0-9_]*)=(.*)$/s.exec(line.endsWith('\r') ? line.slice(0, -1) : line)
  return match === null ? undefined : [match[1] ?? '', match[2] ?? '']
}
