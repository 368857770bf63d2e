import { formatDuration, longestDurationMs, parseDuration } from '../config/units.ts'
import { formatPercent, parsePercent } from './step-text.ts'

/** Before a canary gets its first visitor: so large a share of the bodyless GETs is copied to it for so long. */
export interface ShadowPlan {
  /** Above 0, to 1. */
  readonly share: number
  readonly forMs: number
}

/** "10% 1m"; undefined where the text is none. */
export function parseShadow(text: string): ShadowPlan | undefined {
  const [percent = '', duration = '', ...more] = text.trim().split(/\s+/)
  const share = parsePercent(percent)
  const forMs = parseDuration(duration)
  if (more.length > 0 || share === undefined || share === 0 || forMs === undefined || forMs < 1 || forMs > longestDurationMs) return undefined
  return { share, forMs }
}

export function formatShadow({ share, forMs }: ShadowPlan): string {
  return `${formatPercent(share)} ${formatDuration(forMs)}`
}
