import type { ShadowNews } from './canary/shadow.ts'
import type { UnitEvent } from './canary/unit-event.ts'
import type { ProposedRoute, ReleaseId, ServiceName, ServicePlace, Table } from './table.ts'
import type { FrontSettings } from './front-settings.ts'
import type { ReleaseFigures, ServiceFigures, WorkerLedger } from './figures.ts'
import type { UserNews } from './users/user-news.ts'

/** Messages between master, workers and agent. All cross a process boundary as one JSON line each. */
export const protocolVersion = 3

/** Milliseconds each. What is still under way at its deadline is ended as the README's drain section says. */
export interface DrainDeadlines {
  readonly timeoutMs: number
  readonly streamsMs: number
  readonly upgradedMs: number
  readonly spreadMs: number
}

/**
 * Names one order to drain, over all agents. A release may be drained, taken up again and drained once more: the word
 * of the first drain says nothing about the second.
 */
export type DrainOrder = string

export type ToWorker =
  /** The committed table, given before the worker listens and to resynchronise. */
  | { readonly type: 'table'; readonly table: Table }
  /** Phase one: park new requests of this service and say so. */
  | { readonly type: 'prepare'; readonly flip: number; readonly service: ServiceName }
  /** Phase two: the table is written; let the parked requests go to where it says. */
  | { readonly type: 'commit'; readonly flip: number; readonly table: Table }
  /** The flip is off: let the parked requests go to where they would have gone. */
  | { readonly type: 'undo'; readonly flip: number }
  /** Say `quiet` with this order once the release has nothing in flight here; end what outlives the deadlines. */
  | { readonly type: 'drain'; readonly release: ReleaseId; readonly order: DrainOrder; readonly deadlines: DrainDeadlines }
  /** Answer with a ledger carrying this number. */
  | { readonly type: 'report'; readonly report: number }
  /** The release's process has ended: hand over its figures and keep nothing of it. */
  | { readonly type: 'forget'; readonly release: ReleaseId }
  /**
   * Stop accepting, finish what is under way, exit. `idle`: what becomes of connections without a request: closed soon,
   * because the port is closed as well; or kept for their keep-alive time, because others accept on it.
   */
  | { readonly type: 'leave'; readonly deadlines: DrainDeadlines; readonly idle: 'soon' | 'in-their-time' }

/** How the last `gracer upgrade` of this master went. Versions are those of package.json. */
export type UpgradeReport =
  | { readonly state: 'none' }
  | { readonly state: 'running'; readonly from: string; readonly to: string; readonly step: 'workers' | 'agent' }
  | {
      readonly state: 'done'
      readonly from: string
      readonly to: string
      /** The new version has another master: this one must be started again to have it. */
      readonly masterChanged: boolean
      readonly milliseconds: number
      readonly workers: { readonly before: readonly number[]; readonly now: readonly number[] }
      readonly agent: { readonly before: number | null; readonly now: number | null }
    }
  | {
      readonly state: 'failed'
      readonly from: string
      /** null: it was not found out. */
      readonly to: string | null
      readonly step: 'look' | 'workers' | 'agent'
      readonly code: string
      readonly exitCode: number
      readonly message: string
      readonly hint: string | null
    }

/** Comes with the public socket, for a worker that was started before there was one. */
export interface SocketForWorker {
  readonly type: 'socket'
}

export type FromWorker =
  | { readonly type: 'ready'; readonly protocol: number }
  | { readonly type: 'listening' }
  | { readonly type: 'listen-failed'; readonly code: string; readonly message: string }
  | { readonly type: 'prepared'; readonly flip: number }
  | { readonly type: 'committed'; readonly number: number; readonly flip: number; readonly longestParkMs: number }
  | { readonly type: 'quiet'; readonly release: ReleaseId; readonly order: DrainOrder }
  | { readonly type: 'ledger'; readonly report: number | null; readonly ledger: WorkerLedger }
  | { readonly type: 'forgotten'; readonly figures: ReleaseFigures }
  /** A dial to live failed and the fallback was used; `number` is the table's. */
  | { readonly type: 'fell-back'; readonly service: ServiceName; readonly release: ReleaseId; readonly number: number; readonly error: string }
  /** What the verdict on a canary is to know of its requests. `dropped`: what found no room since the last word. */
  | { readonly type: 'evidence'; readonly release: ReleaseId; readonly events: readonly UnitEvent[]; readonly dropped: number }
  /** Who asked the live release since the last word, and who of them met an error. */
  | ({ readonly type: 'users' } & UserNews)
  /** How copies of requests were answered by a release that has no visitor yet. */
  | ({ readonly type: 'shadow' } & ShadowNews)
  | { readonly type: 'alive' }

export interface BackendInfo {
  readonly service: ServiceName
  readonly release: ReleaseId
  readonly pid: number
  readonly port: number
  /** Taken over from a master that died: not our child, so its exit code cannot be known. */
  readonly adopted: boolean
}

export interface SpawnOrder {
  readonly service: ServiceName
  readonly release: ReleaseId
  readonly command: string
  readonly args: readonly string[]
  /** A real path, never through a symlink. */
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  /** inherit: the listening socket is passed down. port: the app gets a free number in PORT. */
  readonly socket: 'inherit' | 'port'
  /** Opened for appending; the backend's stdout and stderr. */
  readonly logFile: string
}

/** What the master knows of itself. */
export interface MasterFacts {
  /** Milliseconds of the wall clock. */
  readonly startedAt: number
  /** Processes that were started in the place of one that had ended unasked. */
  readonly restarts: { readonly workers: number; readonly agent: number }
}

/** One command of a hook, run by the master so that it has a parent whatever becomes of the agent. */
export interface HookOrder {
  readonly service: ServiceName
  /** Unique within the service, over all agents. */
  readonly run: number
  readonly release: ReleaseId
  readonly hook: string
  readonly command: string
  readonly args: readonly string[]
  /** A real path, never through a symlink. */
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  readonly logFile: string
  /** SIGTERM to its process group after this, SIGKILL `stopMs` later. */
  readonly timeoutMs: number
  readonly stopMs: number
}

/** How a hook has ended. */
export interface HookResult {
  readonly code: number | null
  readonly signal: string | null
  readonly timedOut: boolean
  readonly ms: number
  /** It could not be started. */
  readonly error: string | null
}

export interface HookInfo {
  readonly service: ServiceName
  readonly run: number
  /** null: it runs. */
  readonly result: HookResult | null
}

export type ToAgent =
  | {
      readonly type: 'hello'
      readonly protocol: number
      readonly epoch: number
      readonly table: Table
      readonly backends: readonly BackendInfo[]
      /** Hooks that run, and those that have ended under this master. */
      readonly hooks: readonly HookInfo[]
      readonly listen: readonly string[]
      readonly masterPid: number
      /** The master is new: nothing but what is in `backends` survived from before. */
      readonly masterIsNew: boolean
      /** The version that the master was started from. */
      readonly masterVersion: string
      readonly upgrade: UpgradeReport
    }
  /** The upgrade goes on, or has ended. */
  | { readonly type: 'upgrade'; readonly report: UpgradeReport }
  | { readonly type: 'committed'; readonly request: number; readonly number: number }
  | { readonly type: 'refused'; readonly request: number; readonly code: string; readonly message: string }
  /** All workers have let their parked requests go. */
  | { readonly type: 'flip-done'; readonly request: number; readonly longestParkMs: number }
  | { readonly type: 'spawned'; readonly release: ReleaseId; readonly pid: number; readonly port: number }
  | { readonly type: 'spawn-failed'; readonly release: ReleaseId; readonly code: string; readonly message: string; readonly hint: string | null }
  | { readonly type: 'notify'; readonly release: ReleaseId; readonly key: string; readonly value: string }
  | { readonly type: 'exited'; readonly release: ReleaseId; readonly pid: number; readonly code: number | null; readonly signal: string | null; readonly survivors?: readonly number[] }
  | { readonly type: 'hook-ended'; readonly release: ReleaseId; readonly run: number; readonly result: HookResult }
  | { readonly type: 'quiet'; readonly release: ReleaseId; readonly order: DrainOrder }
  | { readonly type: 'fell-back'; readonly service: ServiceName; readonly release: ReleaseId; readonly number: number; readonly error: string }
  | { readonly type: 'evidence'; readonly release: ReleaseId; readonly events: readonly UnitEvent[]; readonly dropped: number }
  | ({ readonly type: 'shadow' } & ShadowNews)
  | ({ readonly type: 'figures'; readonly request: number; readonly figures: readonly ServiceFigures[]; readonly workers: readonly number[] } & MasterFacts)
  /** Undo what is before its flip, take nothing new, then say `quiesced`. */
  | { readonly type: 'quiesce' }
  | { readonly type: 'exit' }

export type FromAgent =
  /** Everything is loaded: now it may be given its hello. */
  | { readonly type: 'loaded'; readonly protocol: number; readonly version: string }
  | { readonly type: 'ready' }
  | { readonly type: 'alive' }
  | { readonly type: 'route'; readonly epoch: number; readonly request: number; readonly route: ProposedRoute; readonly safe?: ProposedRoute | null }
  /** What the last route of the service named as safe, at once. The route that follows says the same. */
  | { readonly type: 'go-safe'; readonly epoch: number; readonly service: ServiceName }
  /** The services of the config and no others, and how the public port is served; answered as a route is. */
  | { readonly type: 'services'; readonly epoch: number; readonly request: number; readonly places: readonly ServicePlace[]; readonly front?: FrontSettings }
  | { readonly type: 'spawn'; readonly epoch: number; readonly order: SpawnOrder }
  | { readonly type: 'signal'; readonly epoch: number; readonly release: ReleaseId; readonly signal: 'SIGTERM' | 'SIGKILL' }
  | { readonly type: 'run-hook'; readonly epoch: number; readonly order: HookOrder }
  | { readonly type: 'end-hook'; readonly epoch: number; readonly service: ServiceName; readonly run: number }
  | { readonly type: 'drain'; readonly epoch: number; readonly release: ReleaseId; readonly order: DrainOrder; readonly deadlines: DrainDeadlines }
  | { readonly type: 'report'; readonly request: number }
  | { readonly type: 'quiesced'; readonly deadlines: DrainDeadlines; readonly stopMs: number }
  | { readonly type: 'down' }
  /** Replace workers and agent by the version in this folder. */
  | { readonly type: 'upgrade'; readonly root: string; readonly deadlines: DrainDeadlines }
