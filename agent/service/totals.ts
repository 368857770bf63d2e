import { readJson, replaceFile } from '../../proxy/atomic-file.ts'
import type { OutcomeName } from '../control/shapes.ts'

interface Counts {
  readonly outcomes: Partial<Record<OutcomeName, number>>
  readonly restarts: number
}

/** How many swaps of a service ended how, and how often its live release was started again: kept in a file, so that a new agent goes on counting. */
export class Totals {
  readonly #file: string
  #counts: Counts

  constructor(file: string) {
    this.#file = file
    const found = readJson(file) as Partial<Counts> | null
    this.#counts = { outcomes: numbersOf(found?.outcomes), restarts: typeof found?.restarts === 'number' ? found.restarts : 0 }
  }

  get outcomes(): Readonly<Partial<Record<OutcomeName, number>>> {
    return this.#counts.outcomes
  }

  get restarts(): number {
    return this.#counts.restarts
  }

  ended(outcome: OutcomeName): void {
    const { outcomes } = this.#counts
    this.#keep({ ...this.#counts, outcomes: { ...outcomes, [outcome]: (outcomes[outcome] ?? 0) + 1 } })
  }

  restarted(): void {
    this.#keep({ ...this.#counts, restarts: this.#counts.restarts + 1 })
  }

  #keep(counts: Counts): void {
    this.#counts = counts
    try {
      replaceFile(this.#file, JSON.stringify(counts), false)
    } catch {
      // A full disk: this agent counts on, the next one goes on from what was written last.
    }
  }
}

function numbersOf(found: unknown): Partial<Record<OutcomeName, number>> {
  if (typeof found !== 'object' || found === null) return {}
  return Object.fromEntries(Object.entries(found).filter(([, count]) => typeof count === 'number'))
}
