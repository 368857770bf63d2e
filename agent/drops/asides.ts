import type { Seen } from './entry.ts'

const mostHidden = 4096

/** What was seen under names that are ignored: markers, and the inodes of what may yet be renamed to a drop. */
export class Asides {
  private readonly names = new Set<string>()
  /** Inode to birth. It outlives the name, since the rename takes the name away. */
  private readonly births = new Map<number, number>()
  /** Drop to the ctime of its marker. */
  private readonly ready = new Map<string, number>()

  has(name: string): boolean {
    return this.names.has(name)
  }

  add(name: string): void {
    this.names.add(name)
  }

  /** Drops what is not among `names`. */
  keep(names: ReadonlySet<string>): void {
    for (const name of this.names) if (!names.has(name)) this.names.delete(name)
    for (const name of this.ready.keys()) if (!names.has(`${name}.ready`)) this.ready.delete(name)
  }

  hide(name: string, seen: Seen): void {
    this.names.add(name)
    if (seen.birthMs <= 0) return
    this.births.delete(seen.inode)
    this.births.set(seen.inode, seen.birthMs)
    const oldest = this.births.keys().next().value
    if (this.births.size > mostHidden && oldest !== undefined) this.births.delete(oldest)
  }

  hiddenBirth(inode: number): number | null {
    return this.births.get(inode) ?? null
  }

  mark(drop: string, ctimeMs: number): void {
    this.ready.set(drop, ctimeMs)
  }

  /** When the drop was marked, going by the ctime of its marker. */
  markedAt(drop: string): number | null {
    return this.ready.get(drop) ?? null
  }

  markers(): ReadonlyMap<string, number> {
    return this.ready
  }

  clear(): void {
    this.names.clear()
    this.births.clear()
    this.ready.clear()
  }
}
