import type { Report } from './load.ts'
import { example, type FailureExample } from './report.ts'
import type { StaleReply } from './stale.ts'

/** Examples of stale replies that are printed. */
const staleExamples = 5

/** The report for a person: the verdict first. */
export function reportText(report: Report, stale: readonly StaleReply[]): string {
  const lines = [
    `${report.requests} requests in ${seconds(report.durationMs)}: ${report.ok} ok, ${report.failed} failed${extras(report)}`,
    `connections ${report.connections} (${report.peakOpen} open at most, ${report.opened} made, ${report.refused} refused); longest time without a reply ${report.longestGapMs} ms`,
    '',
    row(['', 'requests', 'ok', 'failed', 'ended', 'p50 ms', 'p99 ms', 'max ms']),
    ...Object.entries(report.kinds).map(([kind, tally]) => row([kind, tally.requests, tally.ok, tally.failed, tally.ended, tally.p50Ms, tally.p99Ms, tally.maxMs])),
  ]
  for (const { release, replies, firstMs, lastMs } of report.releases) {
    lines.push(`release ${release}: ${replies} replies, from ${seconds(firstMs)} to ${seconds(lastMs)}`)
  }
  if (report.releases.length > 1) lines.push(`replies of an earlier release after one of a later: ${stale.length}`)
  for (const { entry, newer } of stale.slice(0, staleExamples)) {
    lines.push(`  ${entry.kind} answered by ${entry.release} ${Number(entry.sentAt! - newer.completedAt) / 1e6} ms after the first full reply of ${newer.release}`)
  }
  for (const { code, count, examples } of report.failures) {
    lines.push(`failed: ${code} × ${count}`, ...examples.map((one) => `  ${exampleText(one)}`))
  }
  return `${lines.join('\n')}\n`
}

export function exampleText({ kind, connection, atMs, sentMs, release, status, detail }: FailureExample): string {
  const sent = sentMs === null ? 'not sent' : `sent ${seconds(sentMs)}`
  const from = release === null ? '' : `, release ${release}`
  return `${seconds(atMs)} ${kind} on connection ${connection} (${sent}${from}${status === null ? '' : `, status ${status}`}): ${detail}`
}

/** What goes to stdout with --json. */
export function reportJson(report: Report, stale: readonly StaleReply[], startedAt: bigint): string {
  const examples = stale.slice(0, staleExamples).map(({ entry, newer }) => ({
    ...example(entry, startedAt), newer: newer.release, afterMs: Number(entry.sentAt! - newer.completedAt) / 1e6,
  }))
  return `${JSON.stringify({ ...report, stale: { count: stale.length, examples } })}\n`
}

function extras({ ended, aborted }: Report): string {
  return `${ended > 0 ? `, ${ended} ended by the server in order` : ''}${aborted > 0 ? `, ${aborted} broken off by the client` : ''}`
}

function row(cells: readonly (string | number)[]): string {
  return cells.map((cell, index) => (index === 0 ? String(cell).padEnd(19) : String(cell).padStart(9))).join('')
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`
}
