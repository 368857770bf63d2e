import { formatPercent } from '../canary/step-text.ts'
import { boundText, countedText, evidenceText } from '../canary/verdict-text.ts'
import type { ArmStatus, CanaryAnswer, CanaryReport, CanaryStatus, CanaryToken } from '../control/shapes.ts'
import type { Palette } from './color.ts'
import { renderPairs, renderTable, type Column } from './table.ts'
import { localTime, printable, releaseLabel, took } from './text.ts'

/** Pure: a canary and the release it is compared with, side by side, and how far the verdict is. */
export function canaryText(answer: CanaryAnswer, palette: Palette): string {
  const { canary } = answer
  const live = answer.live === null ? 'nothing is live' : `${printable(answer.live)} is live`
  if (canary === null) return `${live}; there is no canary`
  return [palette.strong(`${live}; ${headline(canary)}`), ...sideBySide(canary, palette), ...renderPairs(canaryFacts(canary))].join('\n')
}

function headline({ release, name, share, step, mode, elapsedMs, shadow }: CanaryStatus): string {
  if (shadow !== undefined && shadow.leftMs !== null) return `${releaseLabel(release, name)} is a canary without visitors yet, and gets copies of ${formatPercent(shadow.share)} of the GETs`
  const place = step.at === 0 ? 'set by hand' : `step ${step.at} of ${step.of}`
  return `${releaseLabel(release, name)} is a canary at ${formatPercent(share)}, ${place}, ${mode} ${mode === 'running' ? 'for' : 'after'} ${took(elapsedMs)}`
}

const columns: readonly Column[] = [
  { title: '', align: 'left', rank: 0 },
  { title: 'CANARY', align: 'right', rank: 0 },
  { title: 'STABLE', align: 'right', rank: 0 },
]

function sideBySide({ arms: { canary, stable } }: CanaryStatus, palette: Palette): readonly string[] {
  const row = (title: string, cell: (arm: ArmStatus) => string): string[] => [title, cell(canary), cell(stable)]
  const [heading = '', ...lines] = renderTable(columns, [
    row('release', (arm) => printable(arm.name ?? arm.release)),
    row('users, this step', (arm) => String(arm.users)),
    row('requests', (arm) => String(arm.requests)),
    row('errors', (arm) => String(arm.errors)),
    row('error rate', (arm) => (arm.errorRate === null ? '-' : `${(arm.errorRate * 100).toFixed(1)}%`)),
    row('p50', (arm) => (arm.p50Ms === null ? '-' : `${arm.p50Ms} ms`)),
    row('p99', (arm) => (arm.p99Ms === null ? '-' : `${arm.p99Ms} ms`)),
    row('lost', (arm) => String(arm.lost)),
  ], Infinity)
  return ['', palette.dim(`  ${heading}`), ...lines.map((line) => `  ${line}`), '']
}

/** The verdict with its numbers: for the live view, the receipt and `explain`. */
export function canaryFacts(report: CanaryReport): [string, string][] {
  const { numbers } = report.verdict
  const pairs: [string, string][] = numbers.metrics.map((one) => [
    one.metric, `${evidenceText(one)} needed to take it back, from ${countedText(one)}; ${one.within ? '' : 'it '}${boundText(one)}`,
  ])
  if (report.shadow !== undefined) pairs.push(['shadow', shadowText(report.shadow)])
  if (report.slowMs !== null) pairs.push(['slow', `a first reply after more than ${took(report.slowMs)}`])
  if (numbers.full) pairs.push(['evidence full', numbers.leftOut.full > 0 ? `${numbers.leftOut.full} events of more users are not counted` : 'more users of this step are not told apart'])
  if (numbers.leftOut.capped > 0) pairs.push(['capped', `${numbers.leftOut.capped} events of addresses that had brought in their part`])
  if (report.dropped > 0) pairs.push(['dropped', `${report.dropped} events that the workers had no room for`])
  if (report.note !== null) pairs.push(['note', report.note])
  if (report.waitsFor.length > 0) pairs.push(['waits for', report.waitsFor.join('; ')])
  return pairs
}

function shadowText({ copies, same, worse, skipped, liveMs, copyMs, leftMs }: NonNullable<CanaryReport['shadow']>): string {
  const time = ({ p50, p99 }: { p50: number | null; p99: number | null }): string => (p50 === null || p99 === null ? 'no reply' : `p50 ${p50} ms, p99 ${p99} ms`)
  const told = copies === 0 ? 'no copy has been answered' : `${copies} copies, ${same} with the same status, ${worse} worse; the copies ${time(copyMs)}, the old release ${time(liveMs)} to the head`
  return `${told}${skipped === 0 ? '' : `; ${skipped} not copied`}${leftMs === null ? '' : `; the first visitors in ${took(leftMs)}`}`
}

export function tokenText(token: CanaryToken): string {
  return [`until ${localTime(token.until)}, by either of the two, for as long as a canary runs:`, `  header  ${token.header}`, `  cookie  ${token.cookie}`].join('\n')
}
