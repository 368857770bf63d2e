import { identityKey } from '../drop.ts'
import { currentMoved, judgeCurrent, type CurrentLink } from './current-link.ts'
import type { Findings, Listing } from './entry.ts'
import type { WatchedDrop } from './identity.ts'

/** What is known of the symlink `current`, and whether moving it made a drop. Touches no file. */
export class CurrentBook {
  private link: CurrentLink | null = null
  private drop: WatchedDrop | null = null
  /** The last there was, for a target that was out of sight for a moment. */
  private last: WatchedDrop | null = null
  private readonly announced = new Set<string>()
  private readonly folder: string

  constructor(folder: string) {
    this.folder = folder
  }

  /** Whether there is such a symlink; then folders beside it are not drops by themselves. */
  get stands(): boolean {
    return this.link !== null
  }

  get current(): WatchedDrop | null {
    return this.drop
  }

  listed(listing: Listing, nextSequence: () => number, found: Findings): void {
    const before = this.link
    const link = listing.current
    this.link = link
    if (link === null) {
      this.drop = null
      return
    }
    const moved = currentMoved(before, link)
    const verdict = judgeCurrent(this.folder, link)
    if (verdict.kind === 'refused') {
      this.drop = null
      if (moved || before?.target !== null && link.target === null) found.notices.push(verdict.notice)
      return
    }
    const { path, identity } = verdict
    if (!moved) {
      if (this.last?.path === path && this.last.identity.inode === identity.inode) this.drop = this.last
      return
    }
    this.drop = { identity, label: identity.name, path, complete: listing.initial ? 'initial' : 'moved', noticedAt: listing.at.wall, sequence: nextSequence() }
    this.last = this.drop
    const key = identityKey(identity)
    if (!listing.initial && !this.announced.has(key)) found.announce.push(this.drop)
    this.announced.add(key)
  }

  /** Makes its drop the newest. */
  moveToEnd(nextSequence: () => number): void {
    if (this.drop === null) return
    this.drop = { ...this.drop, sequence: nextSequence() }
    this.last = this.drop
  }

  cleared(): void {
    this.drop = null
  }
}
