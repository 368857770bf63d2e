import type { Palette } from '../cli/color.ts'
import { count, printable, took } from '../cli/text.ts'
import type { DevFailure } from './failure.ts'

/** One save, from the event to the code that answers, or to the reason why none does. */
export interface Reload {
  readonly number: number
  readonly outcome: 'live' | 'styles' | 'failed'
  /** Relative to the folder. Empty: the first boot, or asked for by a key. */
  readonly changed: readonly string[]
  readonly cause: 'start' | 'save' | 'key'
  readonly buildMs: number | null
  readonly bootMs: number | null
  /** From the event of the save until new code answers. */
  readonly totalMs: number
  /** Boots that a later save of the same burst made useless. */
  readonly restarts: number
  /** Requests that waited for it, and the longest wait of them. */
  readonly held: number
  readonly longestWaitMs: number
  /** process.hrtime() when the save was noticed, in microseconds: comparable with other processes of the machine. */
  readonly noticedUs: number
  readonly failure: DevFailure | null
}

const mostNames = 3

/** The one line of a reload. */
export function reloadLine(reload: Reload, palette: Palette): string {
  const parts = [
    reload.buildMs === null ? '' : `build ${took(reload.buildMs)}`,
    reload.bootMs === null ? '' : `boot ${took(reload.bootMs)}`,
    reload.cause === 'save' && reload.outcome !== 'failed' ? `${took(reload.totalMs)} after the save` : '',
    reload.held === 0 ? '' : `${count(reload.held, 'request')} held, ${took(reload.longestWaitMs)} at most`,
    reload.restarts === 0 ? '' : `begun again ${count(reload.restarts, 'time')}`,
  ].filter((part) => part !== '')
  const what = { live: reload.cause === 'start' ? palette.good('serves') : palette.good('reloaded'), styles: palette.good('styles'), failed: palette.bad('failed') }[reload.outcome]
  const because = { start: '', key: 'by key', save: changedText(reload.changed) }[reload.cause]
  return [what, because, palette.dim(parts.join(' · '))].filter((part) => part !== '').join('  ')
}

/** What follows the line of a reload that failed. The error's own text has been shown as it came. */
export function failureLines(failure: DevFailure, served: 'page' | 'old code', palette: Palette): readonly string[] {
  const place = failure.place === null ? null : `${failure.place.file}:${failure.place.line}${failure.place.column === null ? '' : `:${failure.place.column}`}`
  return [
    palette.bad(failure.title),
    failure.error === null ? '' : `  ${printable(failure.error)}${place === null ? '' : palette.dim(`  ${place}`)}`,
    ...failure.source.filter((line) => line.hit).map((line) => palette.dim(`  ${line.number} | ${printable(line.text).trim()}`)),
    failure.hint === null ? '' : `  ${failure.hint}`,
    palette.dim(served === 'page' ? '  Requests get a page that says so; the next good save brings the app back.' : '  The old code goes on answering (--keep-old).'),
  ].filter((line) => line !== '')
}

export function changedText(paths: readonly string[]): string {
  const shown = paths.slice(0, mostNames).map(printable).join(', ')
  return paths.length <= mostNames ? shown : `${shown} and ${paths.length - mostNames} more`
}
