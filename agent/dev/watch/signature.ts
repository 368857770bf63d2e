import { statSync } from 'node:fs'

/** By which a file is known to be as it was: size, modification time and inode, links followed. */
export interface Signature {
  readonly mark: string
  /**
   * It was looked at so soon after its modification that another write could have left the same time: the kernel's clock
   * for files moves in steps of up to 10 ms. An event for such a file counts, whatever the mark says.
   */
  readonly fresh: boolean
}

const clockStepMs = 20

/** null: there is no such file (a link that leads nowhere is none either). */
export function lookAt(path: string): { readonly kind: 'file'; readonly signature: Signature; readonly modifiedMs: number } | { readonly kind: 'folder'; readonly inode: bigint } | null {
  let stat
  try {
    stat = statSync(path, { bigint: true, throwIfNoEntry: false })
  } catch {
    return null
  }
  if (stat === undefined) return null
  if (stat.isDirectory()) return { kind: 'folder', inode: stat.ino }
  if (!stat.isFile()) return null
  const modifiedMs = Number(stat.mtimeMs)
  return {
    kind: 'file',
    signature: { mark: `${stat.size}:${stat.mtimeNs}:${stat.ino}`, fresh: Math.abs(Date.now() - modifiedMs) < clockStepMs },
    modifiedMs: Math.max(modifiedMs, Number(stat.ctimeMs)),
  }
}

/** Did the file change between the two looks, as far as an event about it in between tells? */
export function differs(before: Signature | null, after: Signature | null): boolean {
  if (before === null || after === null) return before !== after
  return before.mark !== after.mark || before.fresh
}
