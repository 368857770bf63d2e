/**
 * How long nothing may have changed before a burst counts as over, in milliseconds: next to nothing for one saved file,
 * more for what looks like an editor that saves all, and more again for a checkout. `restarts`: boots of this burst that
 * were begun too early.
 */
export function quietMs(files: number, restarts: number): number {
  const base = files <= 1 ? 4 : files <= 10 ? 12 : files <= 50 ? 40 : 120
  return Math.min(300, base + (restarts === 0 ? 0 : 20 * 2 ** Math.min(restarts, 4)))
}
