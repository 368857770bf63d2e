import { kindOfFile } from '../builds/kind.ts'
import type { Completeness } from '../drop.ts'
import { Asides } from './asides.ts'
import { Checksums } from './checksums.ts'
import { markerVouches, quietAtStart, wasMovedIn } from './complete.ts'
import { CurrentBook } from './current-book.ts'
import type { CompleteEntry, Due, Entry, Findings, Listing, Look, PendingEntry, Seen } from './entry.ts'
import { itsOwn, judgeChange, mostAgain, newGuess, setRunning, waitFor, weighGuess, type Settings } from './guess.ts'
import { identityOf, labelFor, newestOf, type WatchedDrop } from './identity.ts'
import type { Instant } from './instant.ts'
import { Known } from './known.ts'
import { judgeName } from './name.ts'
import type { Notice } from './notice.ts'
import { checksumAwaited, currentDecides, keepsChanging, markerStale, nameRefused, notTaken, stillOpen } from './notices.ts'
import type { Holder } from './open-files.ts'
import { timesInARow, wasRewritten } from './rewritten.ts'

export interface BookOptions extends Settings {
  /** Real path of the releases folder. */
  readonly folder: string
  /** required: files without NAME.sha256 beside them wait for it. Default: optional. */
  readonly checksums?: 'optional' | 'required'
}

/** Refusals are told when the thing still lies there after this. */
const tellAfterMs = 250

/**
 * What is known of one releases folder, and every decision about it: told of readings and looks as plain data, it answers
 * with what is to be announced. It touches no file and reads no clock.
 */
export class FolderBook {
  private readonly entries = new Map<string, Entry>()
  private readonly asides = new Asides()
  private readonly checksums: Checksums
  private readonly known = new Known()
  private readonly currentBook: CurrentBook
  private toldCurrentDecides = false
  private sequence = 0
  private readonly options: BookOptions

  constructor(options: BookOptions) {
    this.options = options
    this.checksums = new Checksums({ settleMs: options.settleMs, checksums: options.checksums ?? 'optional' })
    this.currentBook = new CurrentBook(options.folder)
  }

  /** Whether the name was looked at, so that it need not be again without a hint. */
  knows(name: string): boolean {
    return this.entries.has(name) || this.asides.has(name)
  }

  /** All that are whole, the newest last; of a folder that `current` leads to, the drop that moving it made. */
  list(): WatchedDrop[] {
    const current = this.currentBook.current
    const drops = [...this.entries.values()].flatMap((entry) => (entry.state === 'complete' && entry.drop.path !== current?.path ? [entry.drop] : []))
    if (current !== null) drops.push(current)
    return drops.sort((a, b) => a.sequence - b.sequence)
  }

  current(): WatchedDrop | null {
    return this.currentBook.current
  }

  newest(): WatchedDrop | null {
    return this.currentBook.stands ? this.currentBook.current : newestOf(this.list())
  }

  /** A reading of the folder. */
  listed(listing: Listing): Findings {
    const found: Findings = { announce: [], notices: [] }
    for (const name of this.entries.keys()) if (!listing.names.has(name)) this.forget(name)
    this.asides.keep(listing.names)
    this.checksums.keep(listing.names)
    const builds: { name: string; seen: Seen }[] = []
    for (const name of listing.names) {
      const verdict = judgeName(name)
      const seen = listing.seen.get(name)
      if (verdict.kind === 'refused') {
        if (!this.entries.has(name)) this.refuse(name, 0, nameRefused(this.options.folder, name, verdict.reason), listing.at)
      } else if (seen === undefined) {
        continue
      } else if (verdict.kind === 'ignored' || verdict.kind === 'marker' || verdict.kind === 'checksum') {
        this.asides.hide(name, seen)
        if (verdict.kind === 'marker') this.asides.mark(verdict.of, seen.ctimeMs)
        if (verdict.kind === 'checksum') this.checksums.seen(verdict.of, seen.ctimeMs)
      } else if (verdict.kind === 'current' && seen.kind === 'link') {
        this.forget(name)
        this.asides.add(name)
      } else if (verdict.kind === 'current' || !isBuild(name, seen)) {
        this.refuse(name, seen.inode, notTaken(this.options.folder, name, seen.kind), listing.at)
      } else builds.push({ name, seen })
    }
    this.currentBook.listed(listing, () => this.nextSequence(), found)
    builds.sort((a, b) => a.seen.birthMs - b.seen.birthMs)
    for (const { name, seen } of builds) this.meet(name, seen, listing, found)
    this.checksumsCame(listing.at, found)
    for (const [name, ctimeMs] of this.asides.markers()) this.meetMarker(name, ctimeMs, listing.at, found)
    return found
  }

  /** The looks at what lay there at the start are done: the drop of `current` is the newest of it. */
  started(): void {
    this.currentBook.moveToEnd(() => this.nextSequence())
  }

  /** The folder itself was removed or replaced, or is not to be believed. */
  cleared(): void {
    for (const name of this.entries.keys()) this.forget(name)
    this.asides.clear()
    this.checksums.clear()
    this.currentBook.cleared()
  }

  /** Refusals that are due to be told. */
  tell(monoMs: number): Notice[] {
    const notices: Notice[] = []
    for (const entry of this.entries.values()) {
      if (entry.state !== 'refused' || entry.tellAtMs > monoMs) continue
      entry.tellAtMs = Infinity
      notices.push(entry.notice)
    }
    return notices
  }

  /** When there is next something to tell or to look into; monotonic, Infinity: never. */
  nextAt(): number {
    let at = Infinity
    for (const entry of this.entries.values()) at = Math.min(at, entry.state === 'refused' ? entry.tellAtMs : (looks(entry)?.lookAtMs ?? Infinity))
    return at
  }

  /** What is to be looked into now, oldest first. Each is not due again before its look was weighed. */
  due(at: Instant): Due[] {
    const due: (Due & { readonly birthMs: number })[] = []
    for (const [name, entry] of this.entries) {
      const watch = entry.state === 'refused' ? null : looks(entry)
      if (entry.state === 'refused' || watch === null || watch.lookAtMs > at.mono) continue
      watch.lookAtMs = Infinity
      const pending = entry.state === 'pending'
      const { inode, ctimeMs, birthMs } = entry.seen
      const initial = pending && entry.initial
      const sure = pending && (entry.whole !== null || initial && this.marked(name, entry.seen))
      const enoughAboveMs = pending && this.options.clockIsOurs ? at.wall - this.options.settleMs : Infinity
      due.push({ name, inode, ctimeMs, birthMs, initial, sure, enoughAboveMs })
    }
    return due.sort((a, b) => a.birthMs - b.birthMs)
  }

  /** Whether the tree is quiet, so that it is worth asking who has it open; then `settled` has to follow. */
  weighed(look: Look): 'quiet' | 'not-yet' {
    const entry = this.lookedAt(look)
    if (entry === null) return 'not-yet'
    if (entry.state === 'complete') return entry.guess === null ? 'not-yet' : weighGuess(entry.guess, look, this.options)
    if (entry.initial && quietAtStart(look.youngestMs, look.began.wall, this.options.settleMs, this.options.clockIsOurs)) return 'quiet'
    const waitMs = waitFor(entry, look, this.options)
    if (waitMs === 0) return 'quiet'
    entry.initial = false
    entry.lookAtMs = look.began.mono + waitMs
    return 'not-yet'
  }

  /** After `weighed` said quiet: who works in the tree. */
  settled(look: Look, holders: readonly Holder[], at: Instant): Findings {
    const found: Findings = { announce: [], notices: [] }
    const entry = this.lookedAt(look)
    if (entry?.state === 'complete') this.changed(look, entry, holders, at, found)
    if (entry?.state !== 'pending') return found
    const isFile = entry.seen.file !== undefined
    if (look.file !== undefined) {
      if (entry.whole !== null && wasRewritten(entry.seen.file, look.file)) this.rewritten(look.name, entry, seenIn(look, entry.seen), at, found)
      else entry.seen = seenIn(look, entry.seen)
    }
    if (entry.whole !== null) return this.waited(look.name, at, found)
    // At the start releases may be running where they lie, and their logs may be read: only a foreign writer counts then.
    const held = isFile ? holders.filter((holder) => holder.writing) : entry.initial ? holders.filter((holder) => holder.writing && !holder.resident) : holders
    if (held.length > 0) {
      entry.initial = false
      entry.lookAtMs = this.soon(at)
      if (!entry.toldHeld) found.notices.push(stillOpen(this.options.folder, look.name, held, isFile))
      entry.toldHeld = true
      return found
    }
    this.arrived(look.name, entry, entry.initial ? 'initial' : 'settled', at, found)
    const drop = this.entries.get(look.name)
    if (!entry.initial && !isFile && drop?.state === 'complete') drop.guess = newGuess(look, at, this.options, 0)
    return found
  }

  /** The look could not be made; it is tried again. */
  failed(name: string, monoMs: number): void {
    const entry = this.entries.get(name)
    const watch = entry === undefined || entry.state === 'refused' ? null : looks(entry)
    if (watch !== null) watch.lookAtMs = monoMs + Math.max(this.options.settleMs, 1000)
    if (entry?.state === 'pending') entry.initial = false
  }

  /** Something of ours starts (or no longer runs) in the folder, and what changes in it meanwhile is its own doing. */
  running(path: string, running: boolean, monoMs: number): void {
    for (const entry of this.entries.values()) {
      if (entry.state === 'complete' && entry.drop.path === path && entry.guess !== null) setRunning(entry.guess, running, monoMs)
    }
  }

  private meet(name: string, seen: Seen, listing: Listing, found: Findings): void {
    const entry = this.entries.get(name)
    if (entry !== undefined && entry.state !== 'refused' && entry.seen.inode === seen.inode && entry.seen.birthMs === seen.birthMs) {
      if (wasRewritten(entry.seen.file, seen.file)) return this.rewritten(name, entry, seen, listing.at, found)
      if (entry.state === 'complete' && entry.guess?.running === false && seen.ctimeMs !== entry.seen.ctimeMs) {
        entry.guess.lookAtMs = Math.min(entry.guess.lookAtMs, listing.at.mono + this.options.settleMs)
      }
      entry.seen = seen
      return
    }
    this.forget(name)
    const absentAtMs = listing.absentAt.get(name) ?? null
    const hiddenBirthMs = this.asides.hiddenBirth(seen.inode)
    const moved = !listing.initial && wasMovedIn({ birthMs: seen.birthMs, absentAtMs, hiddenBirthMs, clockIsOurs: this.options.clockIsOurs })
    const before = this.known.before(name, seen)
    // Out of sight for a moment (an unmounted disk) makes no new drop; being moved out and in again does.
    if (before !== undefined && (!moved || before.ctimeMs === seen.ctimeMs)) {
      this.entries.set(name, { state: 'complete', seen, drop: before.drop, markerCtimeMs: null, guess: null, again: 0, sinceMs: listing.at.mono })
      return
    }
    const entryNow = this.pend(name, seen, listing.at, { initial: listing.initial })
    if (moved) this.arrived(name, entryNow, 'moved', listing.at, found, before === undefined ? undefined : seen.ctimeMs)
  }

  /** Something was written to a file. What runs is a copy of what it was, so this is another build. */
  private rewritten(name: string, entry: PendingEntry | CompleteEntry, seen: Seen, at: Instant, found: Findings): void {
    if (entry.state === 'pending') {
      entry.seen = seen
      if (entry.whole !== null) this.pend(name, seen, at, { again: entry.again })
      return
    }
    const again = timesInARow(entry.again, at.mono - entry.sinceMs, this.options.settleMs)
    if (again <= mostAgain) {
      this.forget(name)
      this.pend(name, seen, at, { again })
      return
    }
    if (entry.again <= mostAgain) found.notices.push(keepsChanging(this.options.folder, name))
    Object.assign(entry, { seen, again, sinceMs: at.mono })
  }

  private pend(name: string, seen: Seen, at: Instant, more: Partial<PendingEntry>): PendingEntry {
    const lookAtMs = at.mono + (more.initial === true ? 0 : this.options.settleMs)
    const entry: PendingEntry = { state: 'pending', seen, noticed: at, initial: false, lookAtMs, print: null, toldHeld: false, toldStale: false, whole: null, again: 0, ...more }
    this.entries.set(name, entry)
    return entry
  }

  /** It is whole. A file may have to wait for its checksum before that is told. */
  private arrived(name: string, { seen, again }: PendingEntry, how: Completeness, at: Instant, found: Findings, stamp?: number): void {
    const waitMs = seen.file === undefined ? 0 : this.checksums.waitFor(name, how)
    if (waitMs > 0) this.pend(name, seen, at, { again, lookAtMs: at.mono + waitMs, whole: { how: how === 'initial' ? 'settled' : how, stamp } })
    else this.complete(name, seen, how, stamp, at, found).again = again
  }

  /** The checksums that files were waiting for. */
  private checksumsCame(at: Instant, found: Findings): void {
    for (const [name, entry] of this.entries) {
      if (entry.state !== 'pending' || entry.whole === null || !this.checksums.fresh(name)) continue
      this.complete(name, entry.seen, entry.whole.how, entry.whole.stamp, at, found).again = entry.again
    }
  }

  /** A file has waited for its checksum, and none came: it is taken without, where that is allowed. */
  private waited(name: string, at: Instant, found: Findings): Findings {
    const entry = this.entries.get(name)
    if (entry?.state !== 'pending' || entry.whole === null) return found
    const { whole, again, seen } = entry
    if (this.checksums.missing(name)) found.notices.push(checksumAwaited(this.options.folder, name))
    else this.complete(name, seen, whole.how, whole.stamp, at, found).again = again
    return found
  }

  private marked(name: string, seen: Seen): boolean {
    const ctimeMs = this.asides.markedAt(name)
    return ctimeMs !== null && markerVouches(ctimeMs, seen)
  }

  private meetMarker(name: string, ctimeMs: number, at: Instant, found: Findings): void {
    const entry = this.entries.get(name)
    if (entry === undefined || entry.state === 'refused') return
    const vouches = this.marked(name, entry.seen)
    if (entry.state === 'pending') {
      if (entry.whole?.how === 'marker') return
      if (vouches && !entry.initial) this.arrived(name, entry, 'marker', at, found)
      else if (!vouches && !entry.toldStale) {
        entry.toldStale = true
        found.notices.push(markerStale(this.options.folder, name))
      }
      return
    }
    const before = entry.markerCtimeMs
    entry.markerCtimeMs = ctimeMs
    if (before === null) {
      // The marker of a drop that was sure anyway says nothing new; that of a guess may say that the guess was wrong.
      if (entry.guess === null || !vouches) return
      entry.guess.markerCtimeMs = ctimeMs
      entry.guess.lookAtMs = at.mono
    } else if (ctimeMs - before > this.options.settleMs) {
      // Marked anew. Within settle it is the same marker still being written.
      this.complete(name, entry.seen, 'marker', ctimeMs, at, found)
    }
  }

  private changed(look: Look, entry: CompleteEntry, holders: readonly Holder[], at: Instant, found: Findings): void {
    const guess = entry.guess
    if (guess === null) return
    switch (judgeChange(guess, holders)) {
      case 'marked':
        return void this.complete(look.name, entry.seen, 'marker', at.wall, at, found)
      case 'its-own':
        return itsOwn(guess, at.mono, this.options)
      case 'held':
        return void (guess.lookAtMs = this.soon(at))
      case 'enough':
        entry.guess = null
        found.notices.push(keepsChanging(this.options.folder, look.name))
        return
      case 'new-drop':
        this.complete(look.name, entry.seen, 'settled', at.wall, at, found).guess = newGuess(look, at, this.options, guess.again + 1)
    }
  }

  private complete(name: string, seen: Seen, complete: Completeness, stamp: number | undefined, at: Instant, found: Findings): CompleteEntry {
    const path = `${this.options.folder}/${name}`
    // A file that is again what it was before has been another one meanwhile.
    const wasBefore = seen.file !== undefined && this.known.before(name, seen) !== undefined
    const identity = identityOf(name, seen, stamp ?? (wasBefore ? at.wall : undefined))
    const drop: WatchedDrop = { identity, label: labelFor(name, seen), path, complete, noticedAt: at.wall, sequence: this.nextSequence() }
    const entry: CompleteEntry = { state: 'complete', seen, drop, markerCtimeMs: this.asides.markedAt(name), guess: null, again: 0, sinceMs: at.mono }
    this.entries.set(name, entry)
    this.known.remember(name, seen, drop)
    this.checksums.taken(name)
    if (complete === 'initial') return entry
    if (!this.currentBook.stands) found.announce.push(drop)
    else if (!this.toldCurrentDecides && this.currentBook.current?.path !== path) {
      this.toldCurrentDecides = true
      found.notices.push(currentDecides(this.options.folder, name))
    }
    return entry
  }

  private refuse(name: string, inode: number, notice: Notice, at: Instant): void {
    const entry = this.entries.get(name)
    if (entry?.state === 'refused' && entry.inode === inode) return
    this.forget(name)
    this.entries.set(name, { state: 'refused', inode, notice, tellAtMs: at.mono + tellAfterMs })
  }

  private forget(name: string): void {
    const entry = this.entries.get(name)
    this.entries.delete(name)
    if (entry?.state === 'complete') this.known.remember(name, entry.seen, entry.drop)
  }

  private lookedAt(look: Look): PendingEntry | CompleteEntry | null {
    const entry = this.entries.get(look.name)
    return entry === undefined || entry.state === 'refused' || entry.seen.inode !== look.inode ? null : entry
  }

  private soon(at: Instant): number {
    return at.mono + Math.max(this.options.settleMs, tellAfterMs)
  }

  private nextSequence(): number {
    return (this.sequence += 1)
  }
}

function isBuild(name: string, { kind, file }: Seen): boolean {
  return kind === 'folder' || file !== undefined && kindOfFile(name, file.mode) !== null
}

/** The reading of the folder may be older than the look, and it is the look that found it whole. */
function seenIn({ youngestMs, file }: Look, seen: Seen): Seen {
  return file === undefined ? seen : { ...seen, ctimeMs: youngestMs, file }
}

function looks(entry: PendingEntry | CompleteEntry): { lookAtMs: number } | null {
  return entry.state === 'pending' ? entry : entry.guess
}
