import { basename } from 'node:path'
import type { Explanation, ReleaseStatus, ServiceStatus } from '../control/shapes.ts'
import type { Figures } from '../master-link.ts'
import { findRelease, labelOf, stateOf, type ReleaseRecord, type ServiceState } from '../swap/state.ts'
import { releaseFigures } from './swap-record.ts'

/** So many releases that no longer run are shown. */
const endedShown = 5

export interface StatusNotes {
  readonly unverified: ReadonlySet<string>
  readonly remarks: ReadonlyMap<string, string>
}

/** What `status` shows of a service: what runs, and the last few that do not. */
export function serviceStatus(state: ServiceState, figures: Figures | null, notes: StatusNotes): ServiceStatus {
  const running = state.releases.filter((record) => record.process !== null || state.swap?.release === record.id || state.confirmed === record.id)
  const ended = state.releases.filter((record) => !running.includes(record)).slice(-endedShown)
  return {
    name: state.service,
    live: labelOf(findRelease(state, state.committed.live)),
    confirmed: state.committed.live !== null && state.committed.live === state.confirmed,
    canary: null,
    waiting: state.waiting === null ? null : (state.waiting.name ?? basename(state.waiting.source)),
    releases: [...running, ...ended].sort((a, b) => b.number - a.number).map((record) => releaseStatus(state, record, figures, notes)),
  }
}

function releaseStatus(state: ServiceState, record: ReleaseRecord, figures: Figures | null, notes: StatusNotes): ReleaseStatus {
  const own = releaseFigures(figures, state.service, record.id)
  return {
    id: record.id,
    name: record.name,
    state: stateOf(state, record),
    pid: record.process?.pid ?? null,
    port: record.process?.port ?? null,
    inFlight: own?.inFlight ?? 0,
    upgraded: own?.upgraded ?? 0,
    requests: own?.requests ?? 0,
    errors: own?.errors ?? 0,
    since: new Date(record.noticedAt).toISOString(),
    verified: !notes.unverified.has(record.id),
    note: notes.remarks.get(record.id) ?? record.outcome?.reason ?? null,
  }
}

/** What to type next, for a release in its state. */
export function nextStep(state: ServiceState, record: ReleaseRecord): string {
  const label = labelOf(record)
  switch (stateOf(state, record)) {
    case 'booting':
      return `It is not live yet. To undo it: gracer rollback. To watch it: gracer status --watch.`
    case 'live':
      return state.confirmed === record.id ? 'It is live and confirmed. To go back: gracer rollback.' : 'It is live and bakes; to go back at once: gracer rollback.'
    case 'restarting':
      return `It is being started again with a growing delay. Its output: gracer logs ${label}. To go back: gracer rollback.`
    case 'draining':
    case 'warm':
    case 'canary':
      return 'It gets no new requests. Nothing is to be done.'
    case 'failed':
      return `It will not be deployed by itself again. When it is mended: gracer swap ${record.name ?? record.source}. Its output: gracer logs ${label}.`
    case 'stopped':
      return `To deploy it again: gracer rollback ${label}.`
  }
}

export type Story = Explanation['story']
