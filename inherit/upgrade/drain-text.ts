import type { DrainReport } from '../soft-drain.ts'

/** A drain in one line. */
export function drainText(pid: number, report: DrainReport): string {
  const { finished, cut, upgraded, idle, milliseconds } = report
  const counts = [`${finished} finished`, `${cut} cut`, ...(upgraded > 0 ? [`${upgraded} upgraded`] : []), ...(idle > 0 ? [`${idle} idle closed`] : [])]
  return `pid ${pid} drained in ${(milliseconds / 1000).toFixed(1)} s: ${counts.join(', ')}`
}
