import { identityKey } from '../drop.ts'
import type { Seen } from './entry.ts'
import { identityOf, type WatchedDrop } from './identity.ts'

/** What was whole once, so that nothing is announced again because it was out of sight for a moment. */
export class Known {
  /** By the identity that inode and birth give; with the folder's ctime when it was last seen. */
  private readonly drops = new Map<string, { readonly drop: WatchedDrop; readonly ctimeMs: number }>()

  /** The drop that this folder was when it was last seen. */
  before(name: string, seen: Seen): { readonly drop: WatchedDrop; readonly ctimeMs: number } | undefined {
    return this.drops.get(identityKey(identityOf(name, seen)))
  }

  remember(name: string, seen: Seen, drop: WatchedDrop): void {
    this.drops.set(identityKey(identityOf(name, seen)), { drop, ctimeMs: seen.ctimeMs })
  }
}
