import type { FileFacts } from './identity.ts'

/** A file that is written anew again and again, each time within so many times `settle`, is no deploy. */
const shortly = 20

/** Whether something was written to the file between two looks. chmod, chown and another name write nothing. */
export function wasRewritten(before: FileFacts | undefined, now: FileFacts | undefined): boolean {
  return before !== undefined && now !== undefined && (before.size !== now.size || before.mtimeMs !== now.mtimeMs)
}

/** How often in a row it was written anew shortly after it had been taken for whole. `spanMs`: since then. */
export function timesInARow(before: number, spanMs: number, settleMs: number): number {
  return spanMs > shortly * settleMs ? 0 : before + 1
}
