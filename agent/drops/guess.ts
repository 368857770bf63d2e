import { quietIn } from './complete.ts'
import type { Guess, Look, PendingEntry } from './entry.ts'
import type { Instant } from './instant.ts'
import type { Holder } from './open-files.ts'

export interface Settings {
  readonly settleMs: number
  readonly clockIsOurs: boolean
}

/** A folder that changes after every guess is let alone after this many. */
export const mostAgain = 3
/** Looks after a guess come after settle × 2, × 4 … × 128; then only when the folder's own ctime moves. */
const mostCalm = 7

/**
 * A drop that was announced because nothing moved in it may have been half copied: it is looked into again, and when
 * somebody else than the release itself has changed it, it is a new drop.
 */
export function newGuess(look: Look, at: Instant, settings: Settings, again: number): Guess {
  const lookAtMs = at.mono + 2 * settings.settleMs
  return { base: look.print, rebase: false, running: false, markerCtimeMs: null, noticed: at, lookAtMs, calm: 1, print: null, again }
}

/** In how many milliseconds the tree will have been quiet for settle; 0: it is. Remembers the look. */
export function waitFor(watch: PendingEntry | Guess, look: Look, settings: Settings): number {
  const same = watch.print !== null && watch.print.text === look.print ? watch.print : null
  watch.print = look.print === null ? null : (same ?? { text: look.print, sinceMs: look.endedMs })
  return quietIn({
    at: look.began, noticed: watch.noticed, youngestMs: look.youngestMs, settleMs: settings.settleMs,
    unchangedSinceMs: same?.sinceMs ?? look.began.mono, clockIsOurs: settings.clockIsOurs,
  })
}

/** 'quiet': it has changed, and settled again (or was marked). Otherwise the next look is set. */
export function weighGuess(guess: Guess, look: Look, settings: Settings): 'quiet' | 'not-yet' {
  if (guess.running && guess.markerCtimeMs === null) return 'not-yet'
  if (guess.rebase || look.print === guess.base) {
    guess.base = look.print
    guess.rebase = false
    guess.markerCtimeMs = null
    guess.print = null
    calmDown(guess, look.endedMs, settings)
    return 'not-yet'
  }
  if (guess.markerCtimeMs !== null) return 'quiet'
  const waitMs = waitFor(guess, look, settings)
  if (waitMs > 0) guess.lookAtMs = look.began.mono + waitMs
  return waitMs > 0 ? 'not-yet' : 'quiet'
}

/** What a change after a guess means, going by who works in the tree. */
export function judgeChange(guess: Guess, holders: readonly Holder[]): 'marked' | 'its-own' | 'held' | 'enough' | 'new-drop' {
  if (guess.markerCtimeMs !== null) return 'marked'
  // A release runs in it, and nobody told us: its own files are no new drop.
  if (holders.some((holder) => holder.resident)) return 'its-own'
  if (holders.length > 0) return 'held'
  return guess.again >= mostAgain ? 'enough' : 'new-drop'
}

/** What changed is the release's own doing: the next look takes the tree as it finds it. */
export function itsOwn(guess: Guess, monoMs: number, settings: Settings): void {
  guess.rebase = true
  calmDown(guess, monoMs, settings)
}

export function setRunning(guess: Guess, running: boolean, monoMs: number): void {
  guess.running = running
  guess.rebase = true
  guess.calm = 0
  guess.lookAtMs = running ? Infinity : monoMs
}

function calmDown(guess: Guess, monoMs: number, settings: Settings): void {
  guess.calm += 1
  guess.lookAtMs = guess.calm > mostCalm ? Infinity : monoMs + settings.settleMs * 2 ** guess.calm
}
