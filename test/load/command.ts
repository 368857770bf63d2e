import { setTimeout as sleep } from 'node:timers/promises'
import { GracerError } from '../../inherit/gracer-error.ts'
import { readCommandLine, usage, type CommandOptions } from './command-options.ts'
import type { Entry } from './ledger.ts'
import { startLoad, type Load } from './load.ts'
import { exampleText, reportJson, reportText } from './print-report.ts'
import { example } from './report.ts'

/** Failures told as they happen; the report has the rest. */
const toldAtOnce = 10

/** What the command may touch of the process: a test hands in its own. */
export interface CommandIo {
  out(text: string): void
  /** Everything that is not the report. */
  err(text: string): void
  /** Is stderr a terminal? */
  readonly terminal: boolean
  /** Calls back once, at the first Ctrl-C. */
  onInterrupt(act: () => void): void
}

/** The load command. Resolves to its exit code; throws GracerError for a wrong command line or target. */
export async function runCommand(args: readonly string[], io: CommandIo): Promise<number> {
  const options = readCommandLine(args)
  if (options.help) {
    io.out(usage)
    return 0
  }
  if (options.load.plainPath === undefined) await requireContract(options)
  const startedAt = process.hrtime.bigint()
  let told = 0
  const load = startLoad({
    ...options.load,
    onFailure: (entry) => {
      if (told++ < toldAtOnce) tellFailure(entry, startedAt, io)
    },
  })
  io.onInterrupt(() => {
    io.err('\nload: waiting for what is in flight; once more to leave at once\n')
    void load.stop()
  })
  const stopProgress = io.terminal ? showProgress(load, startedAt, io) : null
  const report = await load.finished
  await stopProgress?.()
  const stale = report.staleAfterFlip()
  io.out(options.json ? reportJson(report, stale, startedAt) : reportText(report, stale))
  return report.failed > 0 || report.ok === 0 || (options.atomic && stale.length > 0) ? 1 : 0
}

/** One request before all others: a person who forgot --plain should be told so, and not by ten thousand failures. */
async function requireContract(options: CommandOptions): Promise<void> {
  const { ledger, finished } = startLoad({ url: options.url, kinds: ['keep-alive'], connections: 1, rate: 100, maxRequests: 1, connectTimeoutMs: 2000 })
  await finished
  const [entry] = ledger
  if (entry?.sentAt === null && entry.failure !== null) {
    throw new GracerError(`load: ${options.url} does not answer: ${entry.failure.detail}`, {
      code: 'load-target', exitCode: 2, hint: 'Start the server first: gracer up, or the app itself.',
    })
  }
  if (entry?.headAt !== null && entry?.release === null) {
    throw new GracerError(`load: the app at ${options.url} is not one of the load apps (no x-release in its reply)`, {
      code: 'load-target', exitCode: 2, hint: 'For an app of your own give a path that it answers: --plain /',
    })
  }
}

function tellFailure(entry: Entry, startedAt: bigint, io: CommandIo): void {
  const clear = io.terminal ? '\r\x1b[K' : ''
  io.err(`${clear}failed: ${entry.failure?.code}: ${exampleText(example(entry, startedAt))}\n`)
}

/** A line on the terminal that is written anew; the result takes it away. */
function showProgress(load: Load, startedAt: bigint, io: CommandIo): () => Promise<void> {
  const over = new AbortController()
  const drawing = (async () => {
    while (!over.signal.aborted) {
      const { ok, failed, inFlight, openConnections, releasesSeen } = load.counts()
      const elapsed = Number(process.hrtime.bigint() - startedAt) / 1e9
      const releases = releasesSeen.length === 0 ? '' : `, releases ${releasesSeen.join(' ')}`
      io.err(`\r\x1b[K${elapsed.toFixed(0)} s: ${ok} ok, ${failed} failed, ${inFlight} in flight on ${openConnections} connections${releases}`)
      await sleep(500, undefined, { signal: over.signal }).catch(() => {})
    }
    io.err('\r\x1b[K')
  })()
  return () => {
    over.abort()
    return drawing
  }
}
