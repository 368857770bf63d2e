import type { ReleaseState, ReleaseStatus, ServiceStatus, Status } from '../control/shapes.ts'
import { formatPercent } from '../canary/step-text.ts'
import type { Palette } from './color.ts'
import { renderTable } from './table.ts'
import type { Column } from './table.ts'
import { age, fit, localTime, printable, wrap } from './text.ts'

const columns: readonly Column[] = [
  { title: 'RELEASE', align: 'left', rank: 0 },
  { title: 'NAME', align: 'left', rank: 2 },
  { title: 'STATE', align: 'left', rank: 0 },
  { title: 'PID', align: 'right', rank: 8 },
  { title: 'PORT', align: 'right', rank: 9 },
  { title: 'IN FLIGHT', align: 'right', rank: 1 },
  { title: 'UPGRADED', align: 'right', rank: 10 },
  { title: 'REQUESTS', align: 'right', rank: 3 },
  { title: 'ERRORS', align: 'right', rank: 4 },
  { title: 'RATE', align: 'right', rank: 6 },
  { title: 'P50', align: 'right', rank: 7 },
  { title: 'P99', align: 'right', rank: 5 },
  { title: 'AGE', align: 'right', rank: 11 },
]

/** Pure: `gracer status` for a terminal `width` columns wide (Infinity: no terminal); `now` in milliseconds since 1970. */
export function statusText(status: Status, now: number, width: number, palette: Palette): string {
  const clean = status.lost === 0 && status.violations === 0
  const facts = [
    `listening on ${status.listen.length === 0 ? 'nothing' : status.listen.join(', ')}`,
    `master ${status.proxy.pid}, ${status.proxy.workers.length === 1 ? 'worker' : 'workers'} ${status.proxy.workers.join(' ') || 'none'}, agent ${status.agent.pid}`,
  ]
  const counters = fit(`lost: ${status.lost}, violations: ${status.violations}`, width)
  const head = [facts.join('; '), ...facts].find((line) => line.length <= width) === facts.join('; ') ? [facts.join('; ')] : facts.map((line) => fit(line, width))
  const services = status.services.flatMap((service) => ['', ...serviceLines(service, now, width, palette, status.services.length > 1)])
  return [...head, (clean ? palette.good : palette.bad)(counters), ...services].join('\n')
}

function serviceLines(service: ServiceStatus, now: number, width: number, palette: Palette, several: boolean): readonly string[] {
  const live = service.live === null ? 'nothing is live' : `${printable(service.live)} is live, ${service.confirmed ? 'confirmed' : 'not yet confirmed'}`
  const waiting = service.waiting === null ? '' : `; waiting: ${printable(service.waiting)}`
  const canary = service.canary === null ? '' : `; canary: ${printable(service.canary.name ?? service.canary.release)} at ${formatPercent(service.canary.share)}, ${service.canary.mode}`
  const paused = service.pausedUntil == null ? '' : `; PAUSED until ${localTime(service.pausedUntil)}, ${service.traffic.held} waiting`
  const title = fit(`${service.name}: ${live}${paused}${canary}${waiting}`, width)
  const next = nextStep(service, several).flatMap((step) => wrap(`  ${step}`, width).split('\n').map(palette.warn))
  if (service.releases.length === 0) return [palette.strong(title), ...next]
  const [heading = '', ...rows] = renderTable(columns, service.releases.map((release) => cells(release, now)), width)
  const tinted = rows.map((row, index) => tint(service.releases[index]?.state ?? 'stopped', palette)(row))
  return [palette.strong(title), palette.dim(heading), ...tinted, ...service.releases.flatMap((release) => notes(release, width, palette)), ...next]
}

/** What to type where a service answers nobody and nothing is under way that could change it. */
function nextStep(service: ServiceStatus, several: boolean): readonly string[] {
  const under = service.releases.some(({ state }) => state !== 'failed' && state !== 'stopped')
  if (service.live !== null || service.waiting !== null || under) return []
  const option = several ? ` --service ${service.name}` : ''
  if (service.releases.length > 0) return [`next: gracer explain${option} says why; gracer swap PATH${option} deploys another`]
  return [`next: gracer swap PATH${option} deploys a first build, or drop one into the folder that is watched`]
}

function cells(release: ReleaseStatus, now: number): readonly string[] {
  return [
    release.id,
    printable(release.name ?? '-'),
    release.state,
    release.pid === null ? '-' : String(release.pid),
    release.port === null ? '-' : String(release.port),
    String(release.inFlight),
    String(release.upgraded),
    String(release.requests),
    String(release.errors),
    release.traffic.errorRate === null ? '-' : share(release.traffic.errorRate),
    release.traffic.latencyMs === null ? '-' : latency(release.traffic.latencyMs.p50),
    release.traffic.latencyMs === null ? '-' : latency(release.traffic.latencyMs.p99),
    age(release.since, now),
  ]
}

/** A share of 0 to 1; what is not quite 0 is not shown as 0. */
function share(rate: number): string {
  if (rate === 0) return '0%'
  return rate < 0.0001 ? '<0.01%' : `${Number((rate * 100).toPrecision(2))}%`
}

function latency(ms: number): string {
  if (ms < 10) return `${ms.toFixed(1)}ms`
  return ms < 10_000 ? `${Math.round(ms)}ms` : `${Math.round(ms / 1_000)}s`
}

function notes(release: ReleaseStatus, width: number, palette: Palette): readonly string[] {
  const texts = [release.verified || release.pid === null ? null : 'which process answers on its port could not be read', release.note === null ? null : printable(release.note)]
  const ports = Object.entries(release.ports ?? {}).map(([name, port]) => `${name} ${port}`).join(', ')
  return [
    ...(ports === '' ? [] : [palette.dim(fit(`  ${release.id}: ${ports}`, width))]),
    ...texts.filter((text) => text !== null).map((text) => palette.warn(fit(`  ${release.id}: ${text}`, width))),
  ]
}

function tint(state: ReleaseState, palette: Palette): (text: string) => string {
  switch (state) {
    case 'live':
      return palette.good
    case 'failed':
      return palette.bad
    case 'restarting':
    case 'draining':
    case 'booting':
    case 'canary':
      return palette.warn
    case 'warm':
    case 'stopped':
      return palette.dim
  }
}
