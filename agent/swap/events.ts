import type { BuildCopy } from '../builds/copy.ts'
import type { CanaryReport, Failure, Phase } from '../control/shapes.ts'
import type { BootPlan, DeployRequest, RouteIntent } from './state.ts'

/** What can happen to a service. Times are not in here: a timer is an event like any other. */
export type SwapEvent =
  | { readonly type: 'deploy'; readonly request: DeployRequest }
  | { readonly type: 'taken-in'; readonly release: string; readonly plan: BootPlan; readonly copy?: BuildCopy | null }
  | { readonly type: 'take-in-failed'; readonly release: string; readonly failure: Failure }
  | { readonly type: 'spawned'; readonly release: string; readonly pid: number; readonly port: number }
  | { readonly type: 'spawn-failed'; readonly release: string; readonly failure: Failure }
  | { readonly type: 'healthy'; readonly release: string; readonly pid: number }
  | { readonly type: 'unhealthy'; readonly release: string; readonly pid: number; readonly failure: Failure }
  | { readonly type: 'exited'; readonly release: string; readonly pid: number; readonly failure: Failure }
  /** Three probes in a row failed on a live release, or its users crossed the bake's rule. */
  | { readonly type: 'sick'; readonly release: string; readonly failure: Failure }
  | { readonly type: 'fallback-probed'; readonly release: string; readonly healthy: boolean }
  /** A worker's dial to live failed and it used the fallback. */
  | { readonly type: 'fell-back'; readonly release: string; readonly number: number; readonly error: string }
  | { readonly type: 'committed'; readonly number: number }
  | { readonly type: 'refused'; readonly message: string }
  | { readonly type: 'rested' }
  | { readonly type: 'quiet'; readonly release: string }
  /** `since` is the table number of the flip that the bake began with. */
  | { readonly type: 'bake-over'; readonly release: string; readonly since: number }
  /** The judge of a canary, or a person by way of it: the share is to be this from now on. */
  | { readonly type: 'canary-share'; readonly release: string; readonly share: number; readonly phase: number; readonly why: string }
  | { readonly type: 'canary-promote'; readonly release: string; readonly why: string }
  | { readonly type: 'canary-end'; readonly release: string; readonly how: 'failed' | 'aborted'; readonly failure: Failure }
  | { readonly type: 'canary-report'; readonly release: string; readonly report: CanaryReport }
  | { readonly type: 'restart-due'; readonly release: string }
  | { readonly type: 'rollback'; readonly to: string | null; readonly command: number | null }
  /** Hold requests until then, in milliseconds of the wall clock. */
  | { readonly type: 'pause'; readonly until: number }
  | { readonly type: 'resume' }
  | { readonly type: 'pause-over'; readonly until: number }
  /** Before the flip only: Ctrl-C, or the timeout of the command. */
  | { readonly type: 'undo'; readonly release: string; readonly how: 'aborted' | 'timed-out'; readonly reason: string }
  /** A hook's process group has ended; failure null: with code 0. */
  | { readonly type: 'hook-ended'; readonly run: number; readonly failure: Failure | null; readonly detail: string }
  | { readonly type: 'close' }

/** What the reducer wants done. All are safe to do twice: a restarted agent asks again for what it finds unfinished. */
export type SwapEffect =
  | { readonly do: 'take-in'; readonly release: string }
  | { readonly do: 'spawn'; readonly release: string }
  | { readonly do: 'check'; readonly release: string }
  /** Probe a live release on, at the pace of a bake or of every day. */
  | { readonly do: 'watch'; readonly release: string; readonly baking: boolean }
  | { readonly do: 'unwatch'; readonly release: string }
  | { readonly do: 'probe-fallback'; readonly release: string }
  | { readonly do: 'commit'; readonly route: RouteIntent }
  /** Begin, or begin again, to judge a canary by what the workers tell of it. */
  | { readonly do: 'judge'; readonly release: string }
  | { readonly do: 'drain'; readonly release: string }
  /** SIGTERM to the process group, SIGKILL at its deadline. */
  | { readonly do: 'stop'; readonly release: string }
  /** A process nobody knows: end it. */
  | { readonly do: 'stop-stray'; readonly release: string }
  | { readonly do: 'run-hook'; readonly release: string; readonly run: number }
  /** SIGTERM to its process group, SIGKILL at its deadline. */
  | { readonly do: 'end-hook'; readonly run: number }
  /** What was to run after its confirmation has ended, well or not. */
  | { readonly do: 'hooks-over'; readonly release: string }
  /** Say `pause-over` at this moment of the wall clock. */
  | { readonly do: 'pause-limit'; readonly until: number }
  | { readonly do: 'after'; readonly ms: number; readonly event: SwapEvent }
  | { readonly do: 'progress'; readonly release: string; readonly phase: Phase; readonly detail: string | null }
  /** The release's outcome is in its record: write the receipt, tell who waits. */
  | { readonly do: 'outcome'; readonly release: string }
  /** A command that began no swap. */
  | { readonly do: 'answer'; readonly command: number; readonly outcome: 'busy' | 'refused' | 'already'; readonly message: string; readonly release: string | null }
  /** A command waits for this release's outcome. */
  | { readonly do: 'follow'; readonly command: number; readonly release: string }
  /** Something to log and to keep in the story. */
  | { readonly do: 'note'; readonly release: string | null; readonly what: string }
