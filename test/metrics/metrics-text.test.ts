import { expect, it } from 'vitest'
import { Exposition } from '../../agent/metrics/exposition.ts'
import { exposedEdges, metricsText, type MetricsInput } from '../../agent/metrics/metrics-text.ts'
import { noFigures, noWaits, type ReleaseFigures } from '../../proxy/figures.ts'
import { edgesUs, observe } from '../../proxy/histogram.ts'
import { earlier } from '../../proxy/master/figures-sum.ts'
import { releaseKey } from '../../proxy/release-key.ts'
import { parseExposition, valueOf } from '../support/exposition-parser.ts'

function figuresOf(release: string, more: Partial<ReleaseFigures> = {}): ReleaseFigures {
  return { ...noFigures('shop', releaseKey('shop', release)), ...more }
}

function input(releases: readonly ReleaseFigures[], running: readonly string[]): MetricsInput {
  return {
    version: '1.2.3',
    figures: {
      services: [
        { service: 'shop', releases, violations: 0, lost: 4, waits: { ...noWaits('shop'), parks: 5, longestParkUs: 2_500, refused: { 'hold-full': 2 } } },
        { service: '', releases: [], violations: 0, lost: 0, waits: { ...noWaits(''), refused: { malformed: 7 } } },
      ],
      workers: [11, 12], startedAt: 1_700_000_000_500, restarts: { workers: 1, agent: 2 },
    },
    services: [{ name: 'shop', running: running.map((id) => ({ id, name: 'a "quoted"\\name\nof two lines', state: 'live' })), outcomes: { confirmed: 3, 'flipped-back': 1 }, restarts: 6 }],
  }
}

it('is text that a strict reader takes, whatever a name holds', () => {
  const families = parseExposition(metricsText(input([figuresOf('v1', { statuses: [1, 2, 3, 4, 5, 6] })], ['v1'])))
  expect(valueOf(families, 'gracer_requests_total', { service: 'shop', release: 'v1', class: '5xx' })).toBe(6)
  expect(valueOf(families, 'gracer_requests_total', { release: 'v1', class: 'none' })).toBe(1)
  expect(families.get('gracer_release_info')?.samples[0]?.labels['name']).toBe('a "quoted"\\name\nof two lines')
  expect(valueOf(families, 'gracer_refused_total', { service: '', code: 'malformed' })).toBe(7)
  expect(valueOf(families, 'gracer_swaps_total', { outcome: 'confirmed' })).toBe(3)
  expect(valueOf(families, 'gracer_swaps_total', { outcome: 'failed' })).toBe(0)
  expect(valueOf(families, 'gracer_longest_park_seconds')).toBe(0.0025)
  expect([valueOf(families, 'gracer_workers'), valueOf(families, 'gracer_worker_restarts_total'), valueOf(families, 'gracer_agent_restarts_total'), valueOf(families, 'gracer_restarts_total')]).toEqual([2, 1, 2, 6])
  expect(valueOf(families, 'gracer_lost_total', { service: 'shop' })).toBe(4)
})

it('exposes cumulative buckets at edges that are counted, and the whole in +Inf', () => {
  for (const edge of exposedEdges) expect(edgesUs).toContain(Math.round(edge * 1e6))
  const figures = figuresOf('v1')
  for (const us of [400, 500, 501, 9_000, 2e8]) observe(figures.total, us)
  const families = parseExposition(metricsText(input([figures], ['v1'])))
  const bucket = (le: string): number | undefined => valueOf(families, 'gracer_request_duration_seconds_bucket', { le })
  expect([bucket('0.0005'), bucket('0.001'), bucket('0.01'), bucket('100'), bucket('+Inf')]).toEqual([2, 3, 4, 4, 5])
  expect(valueOf(families, 'gracer_request_duration_seconds_sum')).toBeCloseTo(200.010401, 5)
})

it('stays bounded: series of what runs and of the newest that ended, none of what is folded together', () => {
  const ended = Array.from({ length: 50 }, (_, index) => figuresOf(`v${index + 1}`))
  const families = parseExposition(metricsText(input([figuresOf(earlier, { statuses: [0, 0, 9, 0, 0, 0] }), ...ended], ['v50', 'v3'])))
  const releases = new Set(families.get('gracer_requests_total')?.samples.map((sample) => sample.labels['release']))
  expect([...releases]).toEqual(['v3', 'v45', 'v46', 'v47', 'v48', 'v49', 'v50'])
})

it('writes no family without samples, and a reader as strict as ours sees what would be wrong', () => {
  const empty = new Exposition()
  empty.counter('a_total', 'None.', [])
  empty.histogram('b', 'None.', [])
  expect(empty.toString()).toBe('')
  for (const bad of ['a 1\n', '# HELP a x\n# TYPE a counter\na 1\n', '# HELP a x\n# TYPE a gauge\na 1\na 1\n', '# HELP a x\n# TYPE a gauge\na{b="c} 1\n', '# HELP a x\n# TYPE a gauge\na 1',
    '# HELP a x\n# TYPE a histogram\na_bucket{le="1"} 2\na_bucket{le="+Inf"} 1\na_sum 1\na_count 1\n']) expect(() => parseExposition(bad)).toThrow()
})
