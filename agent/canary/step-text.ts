import { GracerError } from '../../inherit/gracer-error.ts'
import { shareGrain } from '../../proxy/canary/split.ts'
import { formatDuration, longestDurationMs, parseDuration } from '../config/units.ts'

export interface Step {
  /** The canary's share of the units, above 0 and below 1. */
  readonly share: number
  /** It lasts so long at least … */
  readonly minMs: number
  /** … and after this, `onInconclusive` says what happens. */
  readonly maxMs: number
  /** So many units of the canary are to be expected at least: those of both arms times the share. */
  readonly minUnits: number
}

/** What a step has where its text does not say: ten times its minimum time, and half an hour at least. */
export const stepDefaults = Object.freeze({ minUnits: 20, maxFactor: 10, leastMaxMs: 30 * 60_000 })

const form = 'a step such as "5% 2m", "5% 2m-30m" (from two minutes to thirty) or "5% 2m 200 users"'

/** "5%", "0.25%" or "12" to a share from 0 to 1; undefined where it is none, or finer than 0.01%. */
export function parsePercent(text: string): number | undefined {
  if (!/^\d{1,3}(?:\.\d{1,2})?%?$/.test(text.trim())) return undefined
  const grains = Math.round(Number(text.trim().replace('%', '')) * 100)
  return grains <= 10_000 ? grains / 10_000 : undefined
}

export function formatPercent(share: number): string {
  return `${Number((share * 100).toFixed(2))}%`
}

/** @throws GracerError, code 'canary-step', where the text is no step. */
export function parseStep(text: string): Step {
  const match = /^\s*(\S+)\s+([^\s-]+)(?:\s*-\s*([^\s-]+))?(?:\s+(\d{1,9})\s+(?:users?|units?))?\s*$/.exec(text)
  if (match === null) throw wrong(text, `expected ${form}`)
  const [, percent = '', shortest = '', longest, units] = match
  const share = parsePercent(percent)
  if (share === undefined) throw wrong(text, `"${percent}" is no percentage from 0.01% to 99.99% with at most two decimals`)
  if (share < shareGrain || share >= 1) throw wrong(text, share >= 1 ? 'after the last step all traffic moves anyway: leave 100% out' : 'a step needs at least 0.01%')
  const minMs = duration(text, shortest)
  const maxMs = longest === undefined ? Math.min(longestDurationMs, Math.max(stepDefaults.leastMaxMs, minMs * stepDefaults.maxFactor)) : duration(text, longest)
  if (maxMs < minMs) throw wrong(text, `its longest time, ${formatDuration(maxMs)}, is below its shortest, ${formatDuration(minMs)}`)
  return { share, minMs, maxMs, minUnits: units === undefined ? stepDefaults.minUnits : Number(units) }
}

/** @throws GracerError, code 'canary-step' or 'canary-steps', where one is none or they do not rise. */
export function parseSteps(texts: readonly string[]): readonly Step[] {
  if (texts.length === 0) throw new GracerError('canary.steps: there is no step', { code: 'canary-steps', exitCode: 2, hint: `Give ${form}.` })
  const steps = texts.map(parseStep)
  for (const [index, step] of steps.entries()) {
    const before = steps[index - 1]
    if (before === undefined || step.share > before.share) continue
    throw new GracerError(`canary.steps: they must rise, but "${texts[index]}" comes after "${texts[index - 1]}"`, { code: 'canary-steps', exitCode: 2, hint: 'Order the steps from the smallest percentage to the largest, each once.' })
  }
  return steps
}

/** The step as it would be written. */
export function formatStep(step: Step): string {
  return `${formatPercent(step.share)} ${formatDuration(step.minMs)}-${formatDuration(step.maxMs)} ${step.minUnits} users`
}

function duration(step: string, text: string): number {
  const ms = parseDuration(text)
  if (ms === undefined || ms > longestDurationMs) throw wrong(step, `"${text}" is no duration up to ${formatDuration(longestDurationMs)} with its unit, such as "2m"`)
  return ms
}

function wrong(text: string, what: string): GracerError {
  return new GracerError(`canary.steps: ${JSON.stringify(text)}: ${what}`, { code: 'canary-step', exitCode: 2, hint: `Write ${form}.` })
}
