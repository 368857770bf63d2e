import { formatDuration } from '../config/units.ts'
import { formatPercent } from './step-text.ts'
import type { StepsState } from './steps.ts'
import type { MetricNumbers, Verdict, VerdictNumbers } from './verdict.ts'

/** What can be said so far and what cannot, as one line. */
export function verdictText(verdict: Verdict): string {
  const { numbers } = verdict
  const users = `${numbers.phase.units.canary} canary ${usersWord(numbers.phase.units.canary)}`
  switch (verdict.kind) {
    case 'abort': {
      const worst = numbers.metrics.find((one) => one.metric === verdict.metric)
      return worst === undefined ? `worse in ${verdict.metric}` : `worse in ${worst.metric}: ${evidenceText(worst)}; ${countedText(worst)}`
    }
    case 'within':
      return `as good as asked for: ${users}, ${numbers.metrics.map(boundText).join('; ')}`
    case 'open':
      return `inconclusive: ${users}, ${numbers.metrics.filter((one) => !one.within).map(boundText).join('; ')}`
  }
}

/** "cannot exclude 9 times as many affected", or what can be excluded where that is better. */
export function boundText(numbers: MetricNumbers): string {
  if (numbers.frozen) return `${numbers.metric} is not compared at this share`
  const metric = numbers.metric === 'errors' ? '' : ` in ${numbers.metric}`
  if (!numbers.within) return `cannot exclude ${timesText(numbers.excludedRatio, Math.floor)} as many affected${metric}`
  if (numbers.excludedRatio !== null && numbers.excludedRatio <= 100) return `${timesText(numbers.excludedRatio, Math.ceil)} as many affected${metric} and more are excluded`
  return `${percentText(numbers.excludedShare)} of its users affected${metric} and more are excluded`
}

export function evidenceText(numbers: MetricNumbers): string {
  return `evidence ${powerText(numbers.evidence)} of ${powerText(numbers.limit)}`
}

/** "3 users affected on the canary, 0 on stable". */
export function countedText({ counted }: MetricNumbers): string {
  return `${counted.canary} ${usersWord(counted.canary)} affected on the canary, ${counted.stable} on stable`
}

function usersWord(count: number): string {
  return count === 1 ? 'user' : 'users'
}

/** What the step waits for; empty where it waits for nothing but its next look. */
export function waitsFor(state: StepsState, numbers: VerdictNumbers): readonly string[] {
  const { step, elapsedMs, mode } = state
  if (mode.kind === 'promoted' || mode.kind === 'aborted') return []
  const waits: string[] = []
  if (mode.kind === 'paused') waits.push('`gracer canary resume`')
  if (numbers.phase.units.canary + numbers.phase.units.stable === 0) waits.push('the first user')
  if (elapsedMs < step.minMs) waits.push(`${formatDuration(Math.ceil((step.minMs - elapsedMs) / 1000) * 1000)} of its shortest time`)
  const missing = step.minUnits - numbers.expectedUnits
  if (missing > 0 && step.share > 0) waits.push(`${Math.ceil(missing / step.share)} more users, ${formatPercent(step.share)} of them on the canary`)
  for (const one of numbers.metrics) if (!one.within) waits.push(`evidence: it ${boundText(one)}`)
  return waits
}

/** Rounded to the side on which it stays true. */
function timesText(ratio: number | null, round: (value: number) => number): string {
  if (ratio === null) return 'any number of times'
  if (ratio > 100) return 'more than 100 times'
  return `${ratio >= 5 ? round(ratio) : Number((round(ratio * 10) / 10).toFixed(1))} times`
}

function percentText(share: number): string {
  return `${Number((share * 100).toPrecision(2))}%`
}

/** 10^power as people read it: 0.3, 7, 480, 2e+5. */
function powerText(power: number): string {
  const value = 10 ** power
  return value >= 10_000 || value < 0.01 ? value.toExponential(0) : String(Number(value.toPrecision(2)))
}
