import type { ReleaseFigures, ServiceFigures } from '../../proxy/figures.ts'
import { countOf, countUpTo, type Histogram } from '../../proxy/histogram.ts'
import { earlier } from '../../proxy/master/figures-sum.ts'
import { numberOfKey } from '../../proxy/release-key.ts'
import type { OutcomeName } from '../control/shapes.ts'
import type { Figures } from '../master-link.ts'
import { Exposition, type HistogramSample, type Labels, type Sample } from './exposition.ts'

export interface MetricsService {
  readonly name: string
  /** What runs, and what `status` calls it. */
  readonly running: readonly { readonly id: string; readonly name: string | null; readonly state: string }[]
  readonly outcomes: Readonly<Partial<Record<OutcomeName, number>>>
  readonly restarts: number
}

export interface MetricsInput {
  readonly version: string
  readonly figures: Figures
  readonly services: readonly MetricsService[]
}

/** Edges of the exposed buckets, in seconds: every second or third of those that are counted. */
export const exposedEdges: readonly number[] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 100]
/** Series of so many releases that do not run any more are kept; older ones are in the sums of their service alone. */
const endedKept = 5

const classes = ['none', '1xx', '2xx', '3xx', '4xx', '5xx']
const outcomeNames: readonly OutcomeName[] = ['confirmed', 'failed', 'flipped-back', 'rolled-back', 'superseded', 'aborted', 'timed-out']

/**
 * All figures as Prometheus reads them. Nothing that is counted falls while the master lives: it keeps the sums, and what
 * the agent counts is kept in files. A release that left does not go into a series of another name, which would look
 * like traffic: its series end.
 */
export function metricsText(input: MetricsInput): string {
  const { figures } = input
  const out = new Exposition()
  out.gauge('gracer_info', 'The version of gracer.', [[{ version: input.version }, 1]])
  out.gauge('gracer_start_time_seconds', 'When the master began, in seconds since 1970.', [[{}, figures.startedAt / 1_000]])
  out.gauge('gracer_workers', 'Processes that forward requests.', [[{}, figures.workers.length]])
  out.counter('gracer_worker_restarts_total', 'Workers that were started in the place of one that had ended.', [[{}, figures.restarts.workers]])
  out.counter('gracer_agent_restarts_total', 'Agents that were started in the place of one that had ended.', [[{}, figures.restarts.agent]])
  addServices(out, input)
  addReleases(out, input)
  return out.toString()
}

function addServices(out: Exposition, { figures, services }: MetricsInput): void {
  const counted = new Map(figures.services.map((one) => [one.service, one]))
  const each = (value: (found: ServiceFigures | undefined, service: MetricsService) => number): Sample[] => services.map((service) => [{ service: service.name }, value(counted.get(service.name), service)])
  out.gauge('gracer_parked', 'Requests that wait for a flip at this moment.', each((found) => found?.waits.parked ?? 0))
  out.gauge('gracer_held', 'Requests that wait because nothing can answer, at this moment.', each((found) => found?.waits.held ?? 0))
  out.counter('gracer_parks_total', 'Requests that a flip made wait.', each((found) => found?.waits.parks ?? 0))
  out.gauge('gracer_longest_park_seconds', 'The longest that a flip made a request wait.', each((found) => (found?.waits.longestParkUs ?? 0) / 1e6))
  out.counter('gracer_holds_total', 'Requests that waited because nothing could answer.', each((found) => found?.waits.holds ?? 0))
  out.counter('gracer_hold_timeouts_total', 'Requests that waited in vain.', each((found) => found?.waits.holdTimeouts ?? 0))
  out.counter('gracer_access_log_dropped_total', 'Lines of the access log that could not be written.', figures.services.map(({ service, waits }): Sample => [{ service }, waits.accessDropped]))
  out.counter('gracer_lost_total', 'Requests that were picked and got no complete reply though their client stayed, over all releases.', each((found) => found?.lost ?? 0))
  out.counter('gracer_violations_total', 'Broken promises that gracer itself has seen; anything but 0 is a defect.', each((found) => found?.violations ?? 0))
  out.counter('gracer_refused_total', 'Replies of gracer itself, by code; without a service where it could not be said for which.',
    figures.services.flatMap(({ service, waits }) => Object.entries(waits.refused).map(([code, count]): Sample => [{ service, code }, count])))
  out.counter('gracer_swaps_total', 'Swaps by their outcome.', services.flatMap(({ name, outcomes }) => outcomeNames.map((outcome): Sample => [{ service: name, outcome }, outcomes[outcome] ?? 0])))
  out.counter('gracer_restarts_total', 'How often a live release was started again because its process had ended.', each((_, service) => service.restarts))
  out.gauge('gracer_release_info', 'The releases that run.', services.flatMap(({ name: service, running }) =>
    running.map(({ id, name, state }): Sample => [{ service, release: id, name: name ?? '', state }, 1])))
}

function addReleases(out: Exposition, { figures, services }: MetricsInput): void {
  const shown = figures.services.flatMap((service) => shownOf(service.releases, services.find((one) => one.name === service.service)))
  const labels = (one: ReleaseFigures): Labels => ({ service: one.service, release: numberOfKey(one.release) })
  const each = (value: (one: ReleaseFigures) => number): Sample[] => shown.map((one) => [labels(one), value(one)])
  out.counter('gracer_requests_total', 'Requests by the class of their reply; "none" ended without one.', shown.flatMap((one) => classes.map((name, index): Sample => [{ ...labels(one), class: name }, one.statuses[index] ?? 0])))
  out.gauge('gracer_in_flight', 'Requests under way, streams and WebSockets included.', each((one) => one.inFlight))
  out.gauge('gracer_streams', 'Event streams under way.', each((one) => one.streams))
  out.gauge('gracer_upgraded', 'WebSockets under way.', each((one) => one.upgraded))
  out.counter('gracer_release_lost_total', 'Requests that were picked and got no complete reply though their client stayed.', each((one) => one.lost))
  out.counter('gracer_cut_total', 'Requests that a drain deadline ended; they count as lost too.', each((one) => one.cut))
  out.counter('gracer_retries_total', 'Requests that were sent, got no byte of a reply, and were sent again.', each((one) => one.retried))
  out.counter('gracer_assets_from_previous_total', 'Hashed assets that the release did not have and the one before it answered.', each((one) => one.missed))
  out.counter('gracer_client_gone_total', 'Requests whose client went away first.', each((one) => one.clientGone))
  out.counter('gracer_upstream_failures_total', 'What the release did wrong: took no connection (dial), closed it without a byte (reset), did not begin its reply in time (slow), gave no reply that could be passed on or half of one (bad-reply).',
    shown.flatMap((one): Sample[] => [[{ ...labels(one), reason: 'dial' }, one.dialFailed], [{ ...labels(one), reason: 'reset' }, one.reset], [{ ...labels(one), reason: 'slow' }, one.slow], [{ ...labels(one), reason: 'bad-reply' }, one.badReply]]))
  out.counter('gracer_bytes_total', 'Over the connections to the release, heads included.',
    shown.flatMap((one): Sample[] => [[{ ...labels(one), direction: 'to-release' }, one.bytesToRelease], [{ ...labels(one), direction: 'from-release' }, one.bytesFromRelease]]))
  out.histogram('gracer_request_duration_seconds', 'From the pick until the whole reply is with the kernel; complete replies, no streams and no WebSockets.', shown.map((one) => sampleOf(labels(one), one.total)))
  out.histogram('gracer_first_byte_seconds', 'From the pick to the head of the reply.', shown.map((one) => sampleOf(labels(one), one.firstByte)))
}

/** What runs, and of what has ended the newest. */
function shownOf(releases: readonly ReleaseFigures[], service: MetricsService | undefined): ReleaseFigures[] {
  const running = new Set(service?.running.map((one) => one.id))
  const numberOf = (one: ReleaseFigures): number => Number(numberOfKey(one.release).slice(1))
  const known = releases.filter((one) => numberOfKey(one.release) !== earlier).sort((a, b) => numberOf(b) - numberOf(a))
  const ended = known.filter((one) => !running.has(numberOfKey(one.release))).slice(0, endedKept)
  return known.filter((one) => running.has(numberOfKey(one.release)) || ended.includes(one)).reverse()
}

function sampleOf(labels: Labels, histogram: Histogram): HistogramSample {
  return {
    labels,
    buckets: exposedEdges.map((edge) => [edge, countUpTo(histogram, Math.round(edge * 1e6))]),
    count: countOf(histogram),
    sum: histogram.sumUs / 1e6,
  }
}
