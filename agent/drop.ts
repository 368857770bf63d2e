/**
 * A drop is a build that somebody put where gracer looks. Its identity decides whether it was tried before:
 * the same name with another inode, ctime or size is another drop.
 */
export interface DropIdentity {
  readonly name: string
  readonly inode: number
  /** Milliseconds, as in stat's ctime. */
  readonly ctimeMs: number
  /** Bytes of all files together (for a folder), or of the file. */
  readonly size: number
  readonly digest: string | null
}

/** How gracer came to believe that the drop is whole; see design 5. (a) and (b) are sure, (c) is a guess. */
export type Completeness = 'moved' | 'marker' | 'settled' | 'named' | 'initial'

export interface Drop {
  readonly identity: DropIdentity
  /** Real path, no symlink in it. */
  readonly path: string
  readonly complete: Completeness
  /** Date.now() when the completing event was noticed, for the receipt. */
  readonly noticedAt: number
}

/** A string that is equal for equal identities. */
export function identityKey(identity: DropIdentity): string {
  return `${identity.name}:${identity.inode}:${identity.ctimeMs}:${identity.size}:${identity.digest ?? ''}`
}
