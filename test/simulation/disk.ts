import { emptyTable, type Table } from '../../proxy/table.ts'
import type { ServiceState } from '../../agent/swap/state.ts'

/**
 * What survives everything. Each write replaces a file whole. A journal is only turned into text when the process
 * that wrote it dies: until then nobody reads it, and turning it into text at every step would be most of the work.
 */
export class Disk {
  table: Table = emptyTable
  readonly #journals = new Map<string, { live: ServiceState | null; text: string | null }>()

  writeJournal(state: ServiceState): void {
    this.#journals.set(state.service, { live: state, text: null })
  }

  /** The writer is gone, or is about to change the state without writing it. */
  freezeJournals(): void {
    for (const journal of this.#journals.values()) {
      if (journal.live === null) continue
      journal.text = JSON.stringify(journal.live)
      journal.live = null
    }
  }

  readJournal(service: string): ServiceState | null {
    const journal = this.#journals.get(service)
    if (journal === undefined) return null
    return JSON.parse(journal.text ?? JSON.stringify(journal.live)) as ServiceState
  }

  /** As it stands, to look at only. */
  journal(service: string): ServiceState | null {
    return this.#journals.get(service)?.live ?? this.readJournal(service)
  }
}
