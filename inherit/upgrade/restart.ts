/** Delays before each start after a crash, in milliseconds; after so many starts in a row that did not last: give up. */
const delaysMs = [0, 1_000, 2_000, 5_000, 10_000] as const
/** A generation that has served for so long has shown that the program works: its crash begins a new count. */
const lastingMs = 10_000

/** How often in a row the program has failed, after one more failure. */
export function failuresAfter(before: number, servedMs: number): number {
  return servedMs >= lastingMs ? 1 : before + 1
}

/** What the front does after so many failures in a row. */
export function afterCrash(failures: number): { readonly delayMs: number } | 'give-up' {
  const delayMs = delaysMs[failures - 1]
  return delayMs === undefined ? 'give-up' : { delayMs }
}
