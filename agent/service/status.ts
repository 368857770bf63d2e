import { basename } from 'node:path'
import type { CanaryStatus, Explanation, ReleaseStatus, ServiceStatus } from '../control/shapes.ts'
import type { Figures } from '../master-link.ts'
import { releaseFigures } from '../service-link.ts'
import { findRelease, labelOf, stateOf, type ReleaseRecord, type ServiceState } from '../swap/state.ts'
import { releaseTraffic, serviceTraffic } from './traffic.ts'

/** So many releases that no longer run are shown. */
const endedShown = 5

export interface StatusNotes {
  readonly unverified: ReadonlySet<string>
  readonly remarks: ReadonlyMap<string, string>
}

/** What `status` shows of a service: what runs, and the last few that do not. */
export function serviceStatus(state: ServiceState, figures: Figures | null, notes: StatusNotes, canary: CanaryStatus | null = null): ServiceStatus {
  const running = state.releases.filter((record) => record.process !== null || state.swap?.release === record.id || state.confirmed === record.id)
  const ended = state.releases.filter((record) => !running.includes(record)).slice(-endedShown)
  return {
    name: state.service,
    live: labelOf(findRelease(state, state.committed.live)),
    confirmed: state.committed.live !== null && state.committed.live === state.confirmed,
    canary,
    waiting: state.waiting === null ? null : (state.waiting.name ?? basename(state.waiting.source)),
    pausedUntil: state.paused == null ? null : new Date(state.paused).toISOString(),
    traffic: serviceTraffic(figures?.services.find((one) => one.service === state.service)?.waits),
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
    traffic: releaseTraffic(own),
    since: new Date(record.noticedAt).toISOString(),
    ...(record.process === null || record.boot?.ports === undefined ? {} : { ports: record.boot.ports }),
    verified: !notes.unverified.has(record.id),
    note: notes.remarks.get(record.id) ?? record.warning ?? record.outcome?.reason ?? null,
  }
}

export type Story = Explanation['story']
