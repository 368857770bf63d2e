import { basename } from 'node:path'
import type { HintListeners, Hints, openHints } from './hints.ts'
import { instantNow } from './instant.ts'
import { changeMatters } from './name.ts'
import { Pulse } from './pulse.ts'

export interface EarsOptions {
  readonly folder: string
  readonly open: typeof openHints
  /** Something may have happened. */
  readonly onHint: () => void
  /** From here on nothing is heard, until `listen` is called again. */
  readonly onDeaf: (error: NodeJS.ErrnoException) => void
}

/** What events say about the folder, gathered until the next reading takes it. */
export class Ears {
  /** Name to a wall-clock time at which it was certainly not there; null where the event does not tell. */
  private hinted = new Map<string, number | null>()
  private readonly pulse = new Pulse()
  private hints: Hints | null = null
  private deafSince: number | null = null
  private closed = false
  private readonly options: EarsOptions

  constructor(options: EarsOptions) {
    this.options = options
  }

  /** Since when there have been no events, monotonic; null: they come. */
  get deafSinceMs(): number | null {
    return this.deafSince
  }

  /** Begins to listen, anew where it did already. What cannot be had is told through onDeaf. */
  async listen(): Promise<void> {
    await this.stop()
    this.deafSince = null
    const listeners: HintListeners = {
      onHint: (name, entered) => this.hear(name, entered),
      onError: (error) => this.goDeaf(error),
    }
    this.hints = await this.options.open(this.options.folder, listeners)
    if (this.closed || this.deafSince !== null) await this.stop()
  }

  /** The names of which something was heard since the last time. */
  take(): ReadonlyMap<string, number | null> {
    const taken = this.hinted
    this.hinted = new Map()
    return taken
  }

  /** What was heard of the name and not yet taken. */
  absentAt(name: string): number | null {
    return this.hinted.get(name) ?? null
  }

  async close(): Promise<void> {
    this.closed = true
    this.pulse.stop()
    await this.stop()
  }

  private hear(name: string | null, entered: boolean): void {
    // Events of the folder itself bear its own name.
    if (!entered && name !== null && name !== basename(this.options.folder) && !changeMatters(name)) return
    if (name !== null) {
      const before = this.hinted.get(name)
      // The first event counts: what came after it cannot make the thing older.
      this.hinted.set(name, before ?? (entered ? this.pulse.notYetAt(instantNow()) : null))
    }
    this.options.onHint()
  }

  private goDeaf(error: NodeJS.ErrnoException): void {
    if (this.closed || this.deafSince !== null) return
    this.deafSince = performance.now()
    void this.stop()
    this.options.onDeaf(error)
  }

  private async stop(): Promise<void> {
    const hints = this.hints
    this.hints = null
    await hints?.close()
  }
}
