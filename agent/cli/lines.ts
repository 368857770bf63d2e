import { StringDecoder } from 'node:string_decoder'

/** A line longer than this is handed on in pieces. */
const longest = 1024 * 1024

/** Cuts chunks of bytes into whole lines, without their newline; UTF-8 characters cut in two are put together again. */
export class LineCutter {
  #decoder = new StringDecoder('utf8')
  #rest = ''

  push(chunk: Buffer): readonly string[] {
    const lines = (this.#rest + this.#decoder.write(chunk)).split('\n')
    this.#rest = lines.pop() ?? ''
    if (this.#rest.length > longest) {
      lines.push(this.#rest)
      this.#rest = ''
    }
    return lines
  }

  /** What stands after the last newline; the cutter is then as new. */
  end(): readonly string[] {
    const rest = this.#rest + this.#decoder.end()
    this.#rest = ''
    return rest === '' ? [] : [rest]
  }
}
