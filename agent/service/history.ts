import { appendFileSync, statSync } from 'node:fs'
import { replaceFile } from '../../proxy/atomic-file.ts'
import type { Receipt } from '../control/shapes.ts'
import { readLines } from './story.ts'

const mostBytes = 4 * 1024 * 1024
const keptWhenCut = 500

/** The receipts of a service, a line each. The same swap may stand twice: the later line is the fuller one. */
export class History {
  readonly #file: string

  constructor(file: string) {
    this.#file = file
  }

  add(receipt: Receipt): void {
    try {
      appendFileSync(this.#file, `${JSON.stringify(receipt)}\n`, { mode: 0o600 })
      if (statSync(this.#file).size > mostBytes) {
        const kept = this.newest(keptWhenCut).reverse()
        replaceFile(this.#file, kept.map((one) => `${JSON.stringify(one)}\n`).join(''), false)
      }
    } catch {
      // A full disk: the outcome stands in the journal all the same.
    }
  }

  /** By their start, the newest first, `n` at most. */
  newest(n: number): Receipt[] {
    const byswap = new Map<string, Receipt>()
    for (const receipt of readLines<Receipt>(this.#file)) byswap.set(`${receipt.release} ${receipt.startedAt}`, receipt)
    return [...byswap.values()].sort((a, b) => b.startedAt.localeCompare(a.startedAt)).slice(0, n)
  }

  of(release: string): Receipt | null {
    return this.newest(Infinity).find((receipt) => receipt.release === release) ?? null
  }
}
