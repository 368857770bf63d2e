import type { ConfigChange } from '../config/compare.ts'
import type { UpgradeReport } from '../../proxy/messages.ts'
import type { ShadowFigures } from '../canary/shadow-tally.ts'
import type { Verdict } from '../canary/verdict.ts'

/**
 * What the control socket says and takes: HTTP with JSON over a unix socket. Every answer carries `schema`.
 *
 *   GET    /v1/status                                  Status
 *   GET    /v1/history?service=&n=                     { schema, receipts: Receipt[] }  newest first
 *   GET    /v1/explain?service=&release=               Explanation
 *   GET    /v1/logs?service=&release=&since=           { schema, release, file, from }  where the backend's output lies; since: ms since 1970
 *   GET    /v1/events                                  NDJSON of Progress and Outcome, for as long as the connection lives
 *   POST   /v1/services/NAME/swap      SwapRequest     NDJSON of Progress, then one Outcome
 *   POST   /v1/services/NAME/rollback  {release?}      the same
 *   POST   /v1/services/NAME/restart   {}              the same
 *   GET    /v1/services/NAME/canary                    CanaryAnswer
 *   POST   /v1/services/NAME/canary    CanaryOrder     CanaryAnswer: {type: 'set', share} | {type: 'pause' | 'resume' | 'promote' | 'abort'}
 *   POST   /v1/services/NAME/canary/token {wish, forMs} CanaryToken
 *   POST   /v1/services/NAME/pause     {forMs}         PauseAnswer, when every worker holds the service's requests
 *   POST   /v1/services/NAME/resume    {}              PauseAnswer
 *   DELETE /v1/services/NAME/swap/RELEASE              Outcome: undoes a swap before its flip
 *   POST   /v1/down                    {}              { schema, ok }
 *   POST   /v1/reload                  {}              ReloadAnswer: the config read again, and what came of it
 *   GET    /v1/upgrade                                 UpgradeAnswer: how the last upgrade of gracer itself goes, or went
 *   POST   /v1/upgrade                 {root}          the same: begins one; the agent that answers is replaced by it
 *   GET    /metrics                                    text for Prometheus, no JSON
 *
 * An error before a stream begins is a status of 400 or above with ErrorBody.
 */
export const controlSchema = 1

export interface ReloadAnswer {
  readonly schema: 1
  readonly change: ConfigChange
}

export interface UpgradeAnswer {
  readonly schema: 1
  readonly report: UpgradeReport
}

export interface PauseAnswer {
  readonly schema: 1
  readonly service: string
  /** When it ends by itself; null: it is not paused. */
  readonly pausedUntil: string | null
  /** When it would have ended by itself before this order; null: it was not paused. */
  readonly pausedUntilBefore: string | null
}

export type Until = 'flip' | 'drained' | 'confirmed'

export interface SwapRequest {
  /** A release's name or number, or an absolute path; absent: the newest drop, or the same folder booted afresh. */
  readonly target?: string
  /** End with `superseded` for a swap under way instead of being answered `busy`. */
  readonly supersede?: boolean
  /** Bounds take-in to flip; milliseconds. */
  readonly timeoutMs?: number
  /** Say what would be done, and do nothing. */
  readonly dryRun?: boolean
  /** Begin with this share of the visitors, from 0 (testers only) to below 1; 'none': no canary, whatever the config says. */
  readonly canary?: number | 'none'
}

export type Phase =
  | 'queued' | 'taking-in' | 'preparing' | 'releasing' | 'emptying' | 'booting' | 'checking' | 'canary' | 'flipping' | 'flipped'
  | 'draining' | 'drained' | 'confirmed' | 'finishing' | 'stopping' | 'stopped' | 'flipping-back' | 'returning'

export interface Progress {
  readonly schema: 1
  readonly kind: 'phase'
  readonly service: string
  readonly release: string
  readonly name: string | null
  readonly phase: Phase
  /** Since the swap was taken in; milliseconds. */
  readonly elapsedMs: number
  /** For a person: '3 of 5 probes answered 503', 'pid 4711 on port 40001'. */
  readonly detail: string | null
  /** Requests still in flight on the old release, in phase 'draining'. */
  readonly draining: number | null
}

export type OutcomeName =
  | 'confirmed' | 'failed' | 'flipped-back' | 'rolled-back' | 'superseded' | 'aborted' | 'timed-out' | 'busy' | 'dry-run'

export interface Outcome {
  readonly schema: 1
  readonly kind: 'outcome'
  readonly service: string
  readonly release: string | null
  readonly name: string | null
  readonly outcome: OutcomeName
  /** As in the README: 0 done, 1 failed or flipped back, 2 usage, 4 busy or superseded, 124 timed out, 130 interrupted. */
  readonly exitCode: number
  /** The label of what is live now; null: nothing. */
  readonly live: string | null
  readonly message: string
  readonly hint: string | null
  readonly failure: Failure | null
  readonly receipt: Receipt | null
}

/** Why a release was not put live, or was taken back; from this a person can mend it. */
export interface Failure {
  readonly stage: 'take-in' | 'hook' | 'boot' | 'health' | 'canary' | 'flip' | 'bake'
  readonly message: string
  readonly attempts: number
  readonly lastStatus: number | null
  readonly lastLocation: string | null
  readonly lastError: string | null
  readonly elapsedMs: number
  readonly deadlineMs: number | null
  readonly exit: { readonly code: number | null; readonly signal: string | null } | null
  /** The child's own last lines. */
  readonly lastLines: readonly string[]
  readonly logFile: string | null
}

/** What is seen of a release as a canary, with the numbers of its verdict. Plain data, kept with the release. */
export interface CanaryReport {
  readonly mode: 'running' | 'paused' | 'held' | 'promoted' | 'aborted'
  /** One line: what can be said and what cannot. */
  readonly text: string
  /** From 0 to 1. */
  readonly share: number
  /** The step under way; `at` counts from 1, 0: a percentage that was set by hand. */
  readonly step: { readonly at: number; readonly of: number; readonly share: number; readonly minMs: number; readonly maxMs: number; readonly minUnits: number }
  readonly elapsedMs: number
  /** Empty at the end. */
  readonly waitsFor: readonly string[]
  readonly verdict: Verdict
  /** A first reply slower than this is slow; null: latency is not judged, and `note` says why. */
  readonly slowMs: number | null
  readonly note: string | null
  /** Events that the workers had no room for. */
  readonly dropped: number
  /**
   * How copies of bodyless GETs were answered before the first visitor came; `leftMs` until then, null: it is over, or waits
   * for a person. Absent: nothing was copied.
   */
  readonly shadow?: ShadowFigures & { readonly share: number; readonly leftMs: number | null }
}

export interface CanaryAnswer {
  readonly schema: 1
  readonly service: string
  /** The label of what is live. */
  readonly live: string | null
  /** What an order has done. */
  readonly message: string | null
  /** null: there is none. */
  readonly canary: CanaryStatus | null
}

/** An override for testers, signed. */
export interface CanaryToken {
  readonly schema: 1
  readonly service: string
  readonly wish: string
  readonly until: string
  /** Either of the two, as it is sent. */
  readonly header: string
  readonly cookie: string
}

/** One arm since the canary began. */
export interface ArmStatus {
  readonly release: string
  readonly name: string | null
  /** Distinct visitors in the phase under way, as far as they can be told apart. */
  readonly users: number
  readonly requests: number
  readonly errors: number
  readonly lost: number
  readonly errorRate: number | null
  /** To the head of the reply; null: nothing was answered. */
  readonly p50Ms: number | null
  readonly p99Ms: number | null
}

export interface CanaryStatus extends CanaryReport {
  readonly release: string
  readonly name: string | null
  readonly arms: { readonly canary: ArmStatus; readonly stable: ArmStatus }
}

export interface Receipt {
  readonly schema: 1
  readonly service: string
  readonly release: string
  readonly name: string | null
  readonly previous: string | null
  readonly outcome: OutcomeName
  readonly reason: string | null
  readonly startedAt: string
  /** null: the phase was not reached. */
  readonly phasesMs: {
    readonly takeIn: number | null
    readonly prepare?: number | null
    readonly release?: number | null
    /** The old release drained and stopped first, because the two cannot run beside each other. */
    readonly emptying?: number | null
    readonly boot: number | null
    readonly health: number | null
    /** From its first visitor to the order to flip. */
    readonly canary?: number | null
    readonly flip: number | null
    readonly drain: number | null
    readonly bake: number | null
    readonly stop: number | null
  }
  readonly inFlightAtFlip: number
  readonly longestParkMs: number
  readonly drained: number
  readonly cut: number
  readonly retried: number
  readonly streamsEnded: number
  readonly upgradedEnded: number
  readonly lost: number
  readonly violations: number
  /** Processes that survived the stop (double forks), by pid. */
  readonly survivors: readonly number[]
  /** What was seen of it as a canary; absent: it was none. */
  readonly canary?: CanaryReport
  /** Nothing answered for so long (milliseconds), because the old release had to end first; absent: something always did. */
  readonly outageMs?: number
  /** Requests that waited in vain (503 with Retry-After), over the whole swap; only beside outageMs. */
  readonly heldOut?: number
}

export type ReleaseState = 'booting' | 'live' | 'canary' | 'draining' | 'warm' | 'restarting' | 'stopped' | 'failed'

/** Milliseconds, from the pick; quantiles are read from buckets, ten a decade. */
export interface Latency {
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly mean: number
  /** Of so many replies. */
  readonly count: number
}

/** Counted since the master began, over all workers, those that are gone included. */
export interface ReleaseTraffic {
  readonly streams: number
  /** Replies by class; `none`: ended without one (lost, cut, or the client went away first). */
  readonly statuses: Readonly<Record<'none' | '1xx' | '2xx' | '3xx' | '4xx' | '5xx', number>>
  /** Errors by requests, 0 to 1; null: no requests. */
  readonly errorRate: number | null
  /** Until the whole reply was with the kernel; no streams, no WebSockets. null: no reply yet. */
  readonly latencyMs: Latency | null
  /** Until the head of the reply. */
  readonly firstByteMs: Latency | null
  readonly lost: number
  readonly cut: number
  readonly retried: number
  /** Hashed assets that it did not have and the release before it answered; not among its requests. */
  readonly missed: number
  readonly clientGone: number
  /** Connections it did not take, that it closed without a byte of a reply, and replies that could not be passed on or broke off. */
  readonly failures: { readonly dial: number; readonly reset: number; readonly slow: number; readonly badReply: number }
  /** Over the connections to it, heads included. */
  readonly bytes: { readonly toRelease: number; readonly fromRelease: number }
}

/** Requests that met no release at once. */
export interface ServiceTraffic {
  /** At this moment: for a flip, and for something that can answer. */
  readonly parked: number
  readonly held: number
  readonly parks: number
  readonly longestParkMs: number
  readonly holds: number
  readonly holdTimeouts: number
  /** Lines of the access log that could not be written. */
  readonly accessDropped: number
  /** What gracer answered itself without any release, by the code in its reply. */
  readonly refused: Readonly<Record<string, number>>
}

export interface ReleaseStatus {
  readonly id: string
  readonly name: string | null
  readonly state: ReleaseState
  readonly pid: number | null
  readonly port: number | null
  readonly inFlight: number
  readonly upgraded: number
  readonly requests: number
  readonly errors: number
  readonly traffic: ReleaseTraffic
  readonly since: string
  /** False where gracer could not read which process answers on the port. */
  readonly verified: boolean
  /** Further ports that it was given, by their variables. */
  readonly ports?: Readonly<Record<string, number>>
  readonly note: string | null
}

export interface ServiceStatus {
  readonly name: string
  /** The release's name where it has one, else its number. */
  readonly live: string | null
  readonly confirmed: boolean
  readonly canary: CanaryStatus | null
  /** The drop in the waiting slot. */
  readonly waiting: string | null
  /** Its requests are held until then; null or absent: they are not. */
  readonly pausedUntil?: string | null
  readonly traffic: ServiceTraffic
  readonly releases: readonly ReleaseStatus[]
}

export interface Status {
  readonly schema: 1
  readonly version: string
  readonly listen: readonly string[]
  /** `version` is the master's; the agent's stands above. They differ after `gracer upgrade`. */
  readonly proxy: { readonly pid: number; readonly version: string; readonly workers: readonly number[] }
  readonly agent: { readonly pid: number }
  readonly violations: number
  readonly lost: number
  /** What was answered before it could be said for which service, by the code in the reply. */
  readonly refused: Readonly<Record<string, number>>
  readonly services: readonly ServiceStatus[]
}

export interface Explanation {
  readonly schema: 1
  readonly service: string
  readonly release: string
  /** Why it is this one: it was named, its swap is under way, the one tried last failed, it is live, or there is only this. */
  readonly why: 'named' | 'under-way' | 'failed-last' | 'live' | 'newest'
  readonly name: string | null
  readonly state: ReleaseState
  readonly live: string | null
  /** The story from the journal, oldest first. */
  readonly story: readonly { readonly at: string; readonly what: string }[]
  readonly failure: Failure | null
  readonly receipt: Receipt | null
  readonly next: string
}

export interface ErrorBody {
  readonly schema: 1
  readonly error: { readonly code: string; readonly message: string; readonly hint: string | null; readonly exitCode: number }
}
