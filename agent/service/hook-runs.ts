import { lastLines, sizeOf } from '../boot/last-lines.ts'
import { realFolder } from '../boot/plan.ts'
import { formatDuration } from '../config/units.ts'
import type { HookResult } from '../../proxy/messages.ts'
import type { ServiceLink } from '../service-link.ts'
import { failureAt } from '../swap/ends.ts'
import type { SwapEvent } from '../swap/events.ts'
import { commandOf } from '../swap/hooks.ts'
import type { HookEnd } from '../swap/recover.ts'
import type { ServiceState } from '../swap/state.ts'
import { withHint } from './boots.ts'

export interface HookRunsOptions {
  readonly link: ServiceLink
  readonly logFile: (release: string) => string
  readonly state: () => Readonly<ServiceState>
  readonly dispatch: (event: SwapEvent) => void
}

/** Has the master run the commands of hooks, and says how they ended. */
export class HookRuns {
  readonly #options: HookRunsOptions
  readonly #logFrom = new Map<number, number>()

  constructor(options: HookRunsOptions) {
    this.#options = options
  }

  start(run: number): void {
    const { link, logFile, state, dispatch } = this.#options
    const found = commandOf(state(), run)
    if (found === null) return
    const { hook, record, command: [command = '', ...args] } = found
    const file = logFile(record.id)
    try {
      const cwd = realFolder(record.copy?.folder ?? record.source)
      this.#logFrom.set(run, sizeOf(file))
      link.runHook({
        run, release: record.id, hook: hook.hook, command, args, cwd, env: record.boot?.env ?? {}, logFile: file,
        timeoutMs: record.boot?.hooks?.timeoutMs ?? 0, stopMs: record.boot?.stopMs ?? 0,
      })
    } catch (error) {
      const message = `its ${hook.hook} hook could not be started: ${withHint(error as Error)}`
      dispatch({ type: 'hook-ended', run, failure: failureAt('hook', message), detail: message })
    }
  }

  end(run: number): void {
    this.#options.link.endHook(run)
  }

  ended(run: number, result: HookResult): void {
    this.#options.dispatch({ type: 'hook-ended', run, ...this.outcome(run, result) })
    this.#logFrom.delete(run)
  }

  /** How a run ended, as a person should be told. */
  outcome(run: number, result: HookResult): HookEnd {
    const { state, logFile } = this.#options
    const found = commandOf(state(), run)
    if (found === null) return { failure: null, detail: '' }
    const { hook, record, command } = found
    const what = `${hook.hook} hook ${JSON.stringify(command.join(' '))}`
    if (result.code === 0 && !result.timedOut && result.error === null) return { failure: null, detail: `${command.join(' ')}: done in ${formatDuration(result.ms)}` }
    const limitMs = record.boot?.hooks?.timeoutMs ?? null
    const how = result.error !== null ? `could not be started: ${result.error}`
      : result.timedOut ? `had not ended within ${formatDuration(limitMs ?? result.ms)} (hooks.timeout), so it was ended`
      : result.code === null ? `was ended by ${result.signal ?? 'a signal'} after ${formatDuration(result.ms)}`
      : `exited with code ${result.code} after ${formatDuration(result.ms)}`
    const file = logFile(record.id)
    const failure = {
      ...failureAt('hook', `its ${what} ${how}`), elapsedMs: result.ms, deadlineMs: limitMs, logFile: file,
      exit: result.error === null ? { code: result.code, signal: result.signal } : null, lastLines: lastLines(file, this.#logFrom.get(run) ?? 0),
    }
    return { failure, detail: failure.message }
  }
}
