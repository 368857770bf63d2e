import { Committer, type CommitterEffect, type CommitterInput } from '../../proxy/master/committer.ts'
import type { ToWorker } from '../../proxy/messages.ts'
import { withoutDeadTargets, type ReleaseId, type ServiceName, type Table } from '../../proxy/table.ts'
import type { HasVisitor } from '../../proxy/canary/visitor.ts'
import { WorkerRoutes, type Applied, type Decision } from '../../proxy/worker/routes.ts'
import { recover } from '../../agent/swap/recover.ts'
import { step } from '../../agent/swap/swap.ts'

export interface CommitterPart {
  readonly table: Table
  readonly epoch: number
  readonly violations: number
  readonly flipping: boolean
  handle(input: CommitterInput): CommitterEffect[]
}

export interface RoutesPart {
  readonly table: Table
  readonly anyPrepared: boolean
  isPaused: (service: ServiceName, until: number) => boolean
  apply(message: Extract<ToWorker, { type: 'table' | 'prepare' | 'commit' | 'undo' }>): Applied
  masterVanished(written: Table | null): Applied
  decide(service: ServiceName, failed: ReadonlySet<ReleaseId> | null, asker?: HasVisitor): Decision
}

/** What is simulated: the production reducers, and the duties of the shells around them. A test takes one away. */
export interface Parts {
  readonly committer: (table: Table) => CommitterPart
  readonly routes: () => RoutesPart
  readonly step: typeof step
  readonly recover: typeof recover
  readonly withoutDeadTargets: typeof withoutDeadTargets
  /** The journal is written before the effects of its step. */
  readonly journalsFirst: boolean
  /** The master obeys only the agent of its newest epoch. */
  readonly checksEpochs: boolean
  /** The master says 'quiet' when every worker has said so. */
  readonly awaitsQuiet: boolean
  /** Nothing is quiet before the workers of a dead master have left. */
  readonly countsOrphans: boolean
  /** An answer to an order to drain is only one to the newest order. */
  readonly numbersDrains: boolean
  /** The agent probes a release before it says 'healthy'. */
  readonly probesHealth: boolean
}

export const production: Parts = Object.freeze({
  committer: (table: Table) => new Committer(table),
  routes: () => new WorkerRoutes(),
  step, recover, withoutDeadTargets,
  journalsFirst: true, checksEpochs: true, awaitsQuiet: true, countsOrphans: true, numbersDrains: true, probesHealth: true,
})
