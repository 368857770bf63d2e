import type { ReadStream } from 'node:tty'

export type Key = 'reload' | 'open' | 'clear' | 'log' | 'quit' | 'help' | 'suspend'

const keys: ReadonlyMap<string, Key> = new Map([
  ['r', 'reload'], ['o', 'open'], ['c', 'clear'], ['l', 'log'], ['q', 'quit'], ['h', 'help'], ['?', 'help'],
  ['\u0003', 'quit'], ['\u0004', 'quit'], ['\u001a', 'suspend'],
])

export const keyHelp = 'r reload · o open in a browser · c clear · l last log · q quit · h help'

/** Reads single keys from a terminal; `restore` gives the terminal back as it was and may be called at any time. */
export class Keys {
  readonly #input: ReadStream
  readonly #onKey: (key: Key) => void
  #raw = false
  readonly #hear = (chunk: Buffer): void => {
    for (const character of chunk.toString('latin1')) {
      const key = keys.get(character.toLowerCase())
      if (key !== undefined) this.#onKey(key)
    }
  }

  constructor(input: ReadStream, onKey: (key: Key) => void) {
    this.#input = input
    this.#onKey = onKey
  }

  start(): void {
    this.#input.on('error', () => {})
    this.#input.on('data', this.#hear)
    this.resume()
  }

  /** Takes the keys again, after the process was stopped and goes on. */
  resume(): void {
    this.#set(true)
    this.#input.resume()
  }

  restore(): void {
    this.#set(false)
    this.#input.pause()
  }

  #set(raw: boolean): void {
    if (this.#raw === raw || !this.#input.isTTY) return
    try {
      this.#input.setRawMode(raw)
      this.#raw = raw
    } catch {
      // The terminal is gone.
    }
  }
}
