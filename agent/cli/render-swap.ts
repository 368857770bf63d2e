import type { CanaryReport, Failure, Outcome, Phase, Progress, Receipt } from '../control/shapes.ts'
import type { Palette } from './color.ts'
import { formatPercent } from '../canary/step-text.ts'
import { canaryFacts } from './render-canary.ts'
import { renderPairs } from './table.ts'
import { count, fit, printable, releaseLabel, took } from './text.ts'

/** Pure: what a swap looks like, from its events. */

const phaseWidth = 'flipping-back'.length

/** One line for a phase; `clockMs` is how long it has lasted, null where only its beginning is told. */
export function phaseLine(progress: Progress, clockMs: number | null, width: number, palette: Palette): string {
  const parts = [progress.phase.padEnd(phaseWidth), took(clockMs ?? progress.elapsedMs).padStart(8)]
  const draining = progress.draining === null ? null : `${count(progress.draining, 'request')} in flight`
  const rest = [draining, progress.detail === null ? null : printable(progress.detail)].filter((part) => part !== null).join(', ')
  const text = fit(`${parts.join(' ')}  ${rest}`.trimEnd(), width)
  return tint(progress.phase, palette)(text.slice(0, phaseWidth)) + text.slice(phaseWidth)
}

function tint(phase: Phase, palette: Palette): (text: string) => string {
  if (phase === 'flipping-back') return palette.bad
  return phase === 'flipped' || phase === 'confirmed' ? palette.good : palette.strong
}

/** The whole outcome; its first line says what is live now. */
export function outcomeText(outcome: Outcome, palette: Palette): string {
  const live = outcome.live === null ? 'nothing is live now' : `${printable(outcome.live)} is live now`
  const good = outcome.exitCode === 0
  const lines = [`${(good ? palette.good : palette.bad)(live)}: ${headline(outcome)}`]
  if (outcome.failure !== null) lines.push(...renderPairs(failureFacts(outcome.failure)), ...lastWords(outcome.failure, palette))
  if (outcome.receipt !== null) lines.push(...receiptLines(outcome.receipt, palette, outcome.message))
  if (outcome.hint !== null) lines.push(...renderPairs([['next', printable(outcome.hint)]]))
  return lines.join('\n')
}

/** What became of which release, and why; a failure is told once, here. */
function headline(outcome: Outcome): string {
  const message = printable(outcome.message)
  if (outcome.release === null) return message
  const label = releaseLabel(outcome.release, outcome.name)
  switch (outcome.outcome) {
    case 'failed':
      return outcome.failure === null ? message : `${label} failed at ${stageNames[outcome.failure.stage]}: ${message}`
    case 'flipped-back':
      return `${label} was live and was taken back: ${message}`
    case 'timed-out':
    case 'aborted':
      return outcome.exitCode === 0 ? message : `${label} is undone: ${message}`
    case 'superseded':
    case 'rolled-back':
      return `${label} was ${message}`
    case 'confirmed':
    case 'busy':
    case 'dry-run':
      return message
  }
}

const stageNames = { 'take-in': 'take-in', hook: 'a hook', boot: 'its boot', health: 'its health check', canary: 'its canary', flip: 'its flip', bake: 'its bake' } as const

/** What failed, attempts, the last reply, the child's own words, elapsed against the deadline. */
export function failureLines(failure: Failure, palette: Palette): readonly string[] {
  return [...renderPairs([['failed', `at ${stageNames[failure.stage]}: ${printable(failure.message)}`], ...failureFacts(failure)]), ...lastWords(failure, palette)]
}

function failureFacts(failure: Failure): [string, string][] {
  const pairs: [string, string][] = []
  if (failure.attempts > 0) pairs.push(['attempts', String(failure.attempts)])
  if (failure.lastStatus !== null) {
    const location = failure.lastLocation === null ? '' : `, Location: ${printable(failure.lastLocation)}`
    pairs.push(['last reply', `${failure.lastStatus}${location}`])
  }
  if (failure.lastError !== null) pairs.push(['last error', printable(failure.lastError)])
  if (failure.exit !== null) pairs.push(['exit', failure.exit.signal === null ? `code ${failure.exit.code ?? 'unknown'}` : `killed by ${failure.exit.signal}`])
  if (failure.deadlineMs !== null) pairs.push(['elapsed', `${took(failure.elapsedMs)} of ${took(failure.deadlineMs)}`])
  if (failure.logFile !== null) pairs.push(['log', failure.logFile])
  return pairs
}

function lastWords(failure: Failure, palette: Palette): readonly string[] {
  const said = failure.lastLines.map((line) => `    ${palette.dim('|')} ${printable(line)}`)
  return said.length === 0 ? [] : ['  its last lines:', ...said]
}

const phaseNames = { takeIn: 'take-in', prepare: 'prepare', release: 'release hook', emptying: 'old one out', boot: 'boot', health: 'health', canary: 'canary', flip: 'flip', drain: 'drain', bake: 'bake', stop: 'stop' } as const

/** Where something else has ended it (a newer swap, a rollback, the end of gracer) its mode is still that of the moment before. */
function howCanaryEnded(mode: CanaryReport['mode']): string {
  return mode === 'promoted' || mode === 'aborted' ? mode : 'ended'
}

/** The receipt as a small table; a reason that was told already is left out. */
export function receiptLines(receipt: Receipt, palette: Palette, told: string | null): readonly string[] {
  const phases = (Object.keys(phaseNames) as (keyof typeof phaseNames)[]).flatMap((key) => {
    const ms = receipt.phasesMs[key]
    return ms == null ? [] : [`${phaseNames[key]} ${took(ms)}`]
  })
  const pairs: [string, string][] = [
    ['release', `${releaseLabel(receipt.release, receipt.name)}${receipt.previous === null ? '' : `, before it ${printable(receipt.previous)}`}`],
  ]
  if (receipt.reason !== null && receipt.reason !== told) pairs.push(['reason', printable(receipt.reason)])
  if (phases.length > 0) pairs.push(['phases', phases.join(', ')])
  if (receipt.phasesMs.flip !== null) {
    pairs.push(['at the flip', `${receipt.inFlightAtFlip} in flight, longest park ${took(receipt.longestParkMs)}`])
    pairs.push(['requests', `${receipt.drained} drained, ${receipt.cut} cut, ${receipt.retried} retried`])
    pairs.push(['long-lived', `${count(receipt.streamsEnded, 'stream')} and ${count(receipt.upgradedEnded, 'WebSocket')} ended`])
  }
  if (receipt.outageMs !== undefined) pairs.push(['outage', palette.warn(`nothing answered for ${took(receipt.outageMs)}; requests that waited in vain (503): ${receipt.heldOut ?? 0}`)])
  if (receipt.canary !== undefined) pairs.push(['canary', `${howCanaryEnded(receipt.canary.mode)} at ${formatPercent(receipt.canary.share)}: ${receipt.canary.text}`], ...canaryFacts(receipt.canary).filter(([label]) => label !== 'waits for'))
  const clean = receipt.lost === 0 && receipt.violations === 0
  pairs.push(['lost', (clean ? palette.good : palette.bad)(`${receipt.lost}, violations: ${receipt.violations}`)])
  if (receipt.survivors.length > 0) pairs.push(['survived', palette.warn(`the stop: pid ${receipt.survivors.join(', ')}`)])
  return renderPairs(pairs)
}
