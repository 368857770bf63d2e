import type { Completeness } from '../drop.ts'
import type { CurrentLink } from './current-link.ts'
import type { FileFacts, Stamped, WatchedDrop } from './identity.ts'
import type { Instant } from './instant.ts'
import type { Notice } from './notice.ts'

/** One name of the folder, from its lstat. */
export interface Seen extends Stamped {
  readonly kind: 'folder' | 'file' | 'link' | 'other'
}

/** One reading of the folder. */
export interface Listing {
  /** When it began. */
  readonly at: Instant
  /** Every name in it. */
  readonly names: ReadonlySet<string>
  /** The lstat of those that were looked at: all that the book does not know, and those of which there was a hint. */
  readonly seen: ReadonlyMap<string, Seen>
  /** For names that are new or hinted at: a wall-clock time at which they were certainly not there (see pulse.ts). */
  readonly absentAt: ReadonlyMap<string, number>
  /** null: there is no such symlink. */
  readonly current: CurrentLink | null
  /** The first reading of a watch: what is whole in it is known, and not announced. */
  readonly initial: boolean
}

/** A look into the tree of one folder, or at one file. */
export interface Look {
  readonly name: string
  readonly inode: number
  readonly began: Instant
  /** Monotonic. */
  readonly endedMs: number
  /** The youngest ctime in it; wall clock. */
  readonly youngestMs: number
  /** Equal for trees in which nothing changed; null where the look was broken off because of something young. */
  readonly print: string | null
  /** Of a file: what it was in this look. */
  readonly file?: FileFacts | undefined
}

/** What the watch is asked to look into. */
export interface Due {
  readonly name: string
  readonly inode: number
  readonly ctimeMs: number
  /** The look may be broken off at the first ctime above this (wall clock). */
  readonly enoughAboveMs: number
  readonly initial: boolean
  /** It is known to be whole, so there is nothing to look for. */
  readonly sure: boolean
}

/** What comes of a reading or a look. */
export interface Findings {
  readonly announce: WatchedDrop[]
  readonly notices: Notice[]
}

export type Entry = RefusedEntry | PendingEntry | CompleteEntry

export interface RefusedEntry {
  readonly state: 'refused'
  /** 0 where the name alone is refused. */
  readonly inode: number
  readonly notice: Notice
  /** Monotonic; Infinity once told. Tools make names that live for microseconds (ln -sfn), which nobody need hear of. */
  tellAtMs: number
}

export interface PendingEntry {
  readonly state: 'pending'
  seen: Seen
  readonly noticed: Instant
  initial: boolean
  /** Monotonic; Infinity while it is being looked into. */
  lookAtMs: number
  print: { readonly text: string; readonly sinceMs: number } | null
  toldHeld: boolean
  toldStale: boolean
  /** Of a file that is whole, and waits for its NAME.sha256: how it is known to be, and what makes it another drop. null: it is not. */
  readonly whole: { readonly how: Completeness; readonly stamp: number | undefined } | null
  /** See CompleteEntry. */
  readonly again: number
}

export interface CompleteEntry {
  readonly state: 'complete'
  seen: Seen
  readonly drop: WatchedDrop
  /** Of the marker that was there, or came later; null: none so far. */
  markerCtimeMs: number | null
  /** Where completeness was a guess: it is looked into again. null: it was sure, and what changes in it is its own affair; or it is a file. */
  guess: Guess | null
  /** Of a file: how often in a row it was written anew soon after it had been taken for whole. */
  again: number
  /** Since when it is whole, or was written anew without being taken; monotonic. */
  sinceMs: number
}

export interface Guess {
  /** The print of the tree when the drop was announced. */
  base: string | null
  /** The next look takes the tree as it is for the base: what changed was the release's own doing. */
  rebase: boolean
  /** Something of ours runs in it. */
  running: boolean
  /** A marker appeared after the guess; its ctime. */
  markerCtimeMs: number | null
  readonly noticed: Instant
  lookAtMs: number
  /** How many looks found nothing new in a row; each doubles the pause. */
  calm: number
  print: { readonly text: string; readonly sinceMs: number } | null
  /** How many times the same folder was a new drop because it had changed. */
  readonly again: number
}
