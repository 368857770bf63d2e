import { readSource, type SourceLine } from './source-lines.ts'
import { findPlace } from './stack-place.ts'

/** Why there is no new code that answers, in the form in which page, JSON and terminal tell it. */
export interface DevFailure {
  readonly stage: 'config' | 'build' | 'boot' | 'crash'
  /** One sentence. */
  readonly title: string
  /** What to do next; null: the error says it. */
  readonly hint: string | null
  /** The error's own first line, such as "SyntaxError: Unexpected token ';'". */
  readonly error: string | null
  /** What the build or the app printed last, with the stack in it. */
  readonly output: readonly string[]
  /** The first line of the stack that lies in the folder; `file` is relative to it. */
  readonly place: { readonly file: string; readonly line: number; readonly column: number | null } | null
  /** That line among its neighbours. */
  readonly source: readonly SourceLine[]
  /** What was run. */
  readonly command: string
}

export interface FailureFacts {
  readonly stage: DevFailure['stage']
  readonly title: string
  readonly hint?: string | null
  readonly output: readonly string[]
  readonly folder: string
  readonly command: string
}

const mostShown = 60

/** The app has ended before it listened. */
export function bootExit(exit: { readonly code: number | null; readonly signal: NodeJS.Signals | null }, output: readonly string[], folder: string, command: string): DevFailure {
  const hint = exit.code === 0 ? 'An app must stay in the foreground for as long as it serves: does it call listen()?' : output.length === 0 ? 'It printed nothing. Run the command by hand to see more.' : null
  return describeFailure({ stage: 'boot', title: `The app ${howItEnded(exit)} before it listened.`, hint, output, folder, command })
}

/** The app has ended by itself after it had served. */
export function crashed(exit: { readonly code: number | null; readonly signal: NodeJS.Signals | null }, output: readonly string[], folder: string, command: string): DevFailure {
  return describeFailure({ stage: 'crash', title: `The app ${howItEnded(exit)} while it served.`, hint: 'It is booted again at the next save, or with the key r.', output, folder, command })
}

function howItEnded({ code, signal }: { readonly code: number | null; readonly signal: NodeJS.Signals | null }): string {
  return signal !== null ? `was ended by ${signal}` : `exited with code ${code ?? 0}`
}

/** Reads out of the output what the error is and where. */
export function describeFailure(facts: FailureFacts): DevFailure {
  const place = findPlace(facts.output, facts.folder)
  return {
    stage: facts.stage,
    title: facts.title,
    hint: facts.hint ?? hintOf(facts.output),
    error: errorLine(facts.output),
    output: facts.output.slice(-mostShown),
    place: place === null ? null : { file: place.file, line: place.line, column: place.column },
    source: place === null ? [] : readSource(facts.folder, place.file, place.line),
    command: facts.command,
  }
}

const errorPattern = /^(?:Uncaught\s+)?(?:[\w.$]*(?:Error|Exception|ERR_\w+)\b(?:\s\[[\w-]+\])?:?\s.*|[\w./@-]+\(\d+,\d+\): error .*|.*:\s(?:ERROR|error TS\d+):\s.*)$/

function errorLine(output: readonly string[]): string | null {
  const found = output.find((line) => errorPattern.test(line.trim()))
  // esbuild counts its errors in the first line (tsx, Vite); what they are stands below it, each behind its place.
  const counted = found !== undefined && /failed with \d+ errors?:$/.test(found.trim()) ? output.slice(output.indexOf(found) + 1).find((line) => /:\d+:\s+ERROR:\s/.test(line)) : undefined
  if (counted !== undefined) return counted.replace(/^.*?:\d+:\s+ERROR:\s/, '').trim()
  return found === undefined ? null : found.trim().replace(/^Uncaught\s+/, '')
}

function hintOf(output: readonly string[]): string | null {
  const text = output.join('\n')
  const taken = /EADDRINUSE[^\n]*?:(\d{2,5})\b/.exec(text)?.[1] ?? (/EADDRINUSE/.test(text) ? '' : null)
  if (taken !== null) {
    return `Port${taken === '' ? '' : ` ${taken}`} is taken. If the app's own old code holds it, start with --no-overlap: old code is then ended before new code boots. Otherwise stop what listens there ("ss -ltnp").`
  }
  const missing = /Cannot find (?:package|module) '([^'./][^']*)'/.exec(text)?.[1]
  if (missing !== undefined) return `The package ${missing} is not installed: run "npm install", or mend the import.`
  // The program itself: no file has asked for it.
  const noFile = /Cannot find module '(\/[^']+)'(?: imported from [^'\n]*\/$|\n\s+at [^\n]*_resolveFilename)/m.exec(text)?.[1]
  if (noFile !== undefined) return `There is no file ${noFile}: write it, or name the one that is meant (gracer dev -- node FILE).`
  if (/EACCES: permission denied, open/.test(text)) return 'A file may not be read by this user: mend its mode (chmod u+r).'
  return null
}
