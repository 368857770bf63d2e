import type { HealthConfig } from '../config/types.ts'
import { pause } from './pause.ts'
import { probe, type ProbeResult } from './probe.ts'

/** So many failures in a row are no accident. */
export const sickAfter = 3
/** While it bakes, a release is looked at more often, so that three failures fit into one health interval. */
const bakePace = 0.6
const retryPace = 0.08

export interface WatchOptions {
  readonly port: number
  readonly health: HealthConfig
  readonly baking: boolean
  readonly signal: AbortSignal
  /** Told at every third failure in a row. */
  readonly sick: (result: ProbeResult, inRow: number) => void
  /** Told when it answers well again after that. */
  readonly well: () => void
}

/** Probes a live release until it is told to end. What follows from it is not decided here. */
export async function watchHealth(options: WatchOptions): Promise<void> {
  const { port, health, signal } = options
  const paceMs = health.intervalMs * (options.baking ? bakePace : 1)
  const retryMs = health.intervalMs * retryPace
  let inRow = 0
  while (!signal.aborted) {
    await pause(inRow > 0 && inRow < sickAfter ? retryMs : paceMs, signal)
    if (signal.aborted) return
    const result = await probe(port, health, signal)
    if (signal.aborted) return
    if (result.healthy) {
      if (inRow >= sickAfter) options.well()
      inRow = 0
      continue
    }
    inRow += 1
    if (inRow % sickAfter === 0) options.sick(result, inRow)
  }
}
