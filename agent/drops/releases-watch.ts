import type { openHints } from './hints.ts'
import type { WatchedDrop } from './identity.ts'
import type { Notice } from './notice.ts'
import type { findHolders } from './open-files.ts'

export interface WatchReleasesOptions {
  readonly folder: string
  /** Rule (c): a build in which nothing has changed for this long is taken for whole. */
  readonly settleMs: number
  /** required: a file without NAME.sha256 beside it waits for it. Default: optional. */
  readonly checksums?: 'optional' | 'required' | undefined
  readonly signal?: AbortSignal | undefined
  /** Called once for each drop that becomes whole while the watch runs. Must not throw. */
  readonly onDrop: (drop: WatchedDrop) => void
  readonly onNotice: (notice: Notice) => void
}

export interface ReleasesWatch {
  /** The drop that the symlink `current` leads to; null: there is no such symlink, or it leads nowhere. */
  current(): WatchedDrop | null
  /** What the folder says should be live: the drop of `current` where there is that symlink, else the last one completed. */
  newest(): WatchedDrop | null
  /** All that are whole, the newest last. */
  list(): WatchedDrop[]
  /** The newest that people call so; else the file of that name. */
  find(name: string): WatchedDrop | null
  /**
   * To be called with true before something of ours runs in a drop (a migration, the release) and with false once it has
   * ended. A drop whose completeness was a guess is a new drop when it changes afterwards, but not by its own doing.
   */
  setRunning(path: string, running: boolean): void
  /** No callback is called from here on. */
  close(): Promise<void>
}

/** What the watch does to the world outside, so that tests can stand in for it. */
export interface WatchEdges {
  readonly openHints: typeof openHints
  readonly findHolders: typeof findHolders
  /** Between two readings without any event; milliseconds. */
  readonly rescanMs: number
  /** The same while events cannot be had, or the folder is gone. */
  readonly pollMs: number
  /** How long after events could not be had they are tried again. */
  readonly rearmMs: number
}
