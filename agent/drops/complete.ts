import type { Stamped } from './identity.ts'
import { clockSteady, type Instant } from './instant.ts'

/** Kernels stamp with a clock that ticks every 1 to 10 ms; that, and some. */
const slackMs = 50

/** The latest moment that a stamp may stand for: some file systems keep whole seconds only, or two (FAT). */
function atLatest(stampMs: number): number {
  return stampMs % 1000 === 0 ? stampMs + 2000 : stampMs
}

export interface ArrivalFacts {
  /** Wall-clock milliseconds; 0 where the file system keeps no birth. */
  readonly birthMs: number
  /** A wall-clock time at which this was certainly not in the folder while the watch was running; null: none is known. */
  readonly absentAtMs: number | null
  /** The birth of what bore the same inode under an ignored name (`.x`, `*.tmp`, `*.part`); null: the inode is new. */
  readonly hiddenBirthMs: number | null
  /** False where stamps come from another machine's clock, or from a file system that makes them up. */
  readonly clockIsOurs: boolean
}

/**
 * Rule (a): whether it was moved into the folder under this name, and so is whole. A thing created in place is absent
 * only before its birth. The inode alone proves nothing, since a freed number is given out again at once.
 */
export function wasMovedIn(facts: ArrivalFacts): boolean {
  if (facts.birthMs <= 0) return false
  if (facts.hiddenBirthMs === facts.birthMs) return true
  return facts.clockIsOurs && facts.absentAtMs !== null && atLatest(facts.birthMs) < facts.absentAtMs - slackMs
}

/**
 * Rule (b): whether the marker vouches for this. A marker older than a folder was left behind by another one
 * of the same name: believing it would start a build while it is being copied. A file can be written over, so it must not be
 * younger in any way.
 */
export function markerVouches(markerCtimeMs: number, { birthMs, ctimeMs, file }: Stamped): boolean {
  if (file !== undefined) return markerCtimeMs >= ctimeMs
  return birthMs <= 0 || markerCtimeMs >= birthMs
}

export interface QuietFacts {
  /** When the look into the tree began. */
  readonly at: Instant
  /** When the tree was noticed. */
  readonly noticed: Instant
  /** The youngest ctime in the tree; wall clock. */
  readonly youngestMs: number
  /** Since when looks have found the same; monotonic. */
  readonly unchangedSinceMs: number
  readonly settleMs: number
  readonly clockIsOurs: boolean
}

/**
 * Rule (c), first half: in how many milliseconds nothing will have changed for settleMs, if nothing changes; 0: now.
 * Two looks that find the same, settleMs apart, always do. One look does where the file system's clock is ours and
 * nobody set it: every change of a tree leaves a younger ctime somewhere in it, and no copying tool can set that back.
 */
export function quietIn(facts: QuietFacts): number {
  const byLooks = facts.settleMs - (facts.at.mono - facts.unchangedSinceMs)
  const believed = facts.clockIsOurs && clockSteady(facts.noticed, facts.at)
  // Stamps from before it was noticed may be those of a clock that was set since.
  const byClock = believed ? Math.max(atLatest(facts.youngestMs), facts.noticed.wall) + facts.settleMs - facts.at.wall : Infinity
  return Math.max(0, Math.min(byLooks, byClock))
}

/** A server's clock may be this far from ours before a tree that lay there at the start is misjudged. */
const foreignSlackMs = 60_000

/** Whether a tree found at the start is whole, going by its age alone. */
export function quietAtStart(youngestMs: number, wallMs: number, settleMs: number, clockIsOurs: boolean): boolean {
  return wallMs - atLatest(youngestMs) >= settleMs + (clockIsOurs ? 0 : foreignSlackMs)
}
