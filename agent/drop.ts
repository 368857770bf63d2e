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
  /** Of a file, milliseconds: what is written to it later is another drop. Absent for a folder. */
  readonly mtimeMs?: number
}

/** How gracer came to believe that the drop is whole; see design 5. (a) and (b) are sure, (c) is a guess. */
export type Completeness = 'moved' | 'marker' | 'settled' | 'named' | 'initial'

export interface Drop {
  readonly identity: DropIdentity
  /** What people call it: the name of a folder, that of an archive or script without its ending. */
  readonly label: string
  /** Real path, no symlink in it. */
  readonly path: string
  readonly complete: Completeness
  /** Date.now() when the completing event was noticed, for the receipt. */
  readonly noticedAt: number
}

/** A string that is equal for equal identities. */
export function identityKey(identity: DropIdentity): string {
  const { name, inode, ctimeMs, size, mtimeMs, digest } = identity
  return `${name}:${inode}:${ctimeMs}:${size}${mtimeMs === undefined ? '' : `:${mtimeMs}`}:${digest ?? ''}`
}

/** The digest that an identityKey ends with; null: none is known, as of all that was dropped into a releases folder. */
export function digestInKey(key: string | null): string | null {
  return /:([0-9a-f]{64})$/.exec(key ?? '')?.[1] ?? null
}

/** What an identityKey says of a file that was dropped; null: it is that of a folder or of a watched path. */
export function fileInKey(key: string | null): { readonly inode: number; readonly size: number; readonly mtimeMs: number } | null {
  const found = /:(\d+):[\d.]+:(\d+):([\d.]+):$/.exec(key ?? '')
  return found === null ? null : { inode: Number(found[1]), size: Number(found[2]), mtimeMs: Number(found[3]) }
}
