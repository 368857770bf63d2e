import { expect, it } from 'vitest'
import { colored, plain, wantsColor } from '../../agent/cli/color.ts'
import { displayOn } from '../../agent/cli/display.ts'
import type { Screen } from '../../agent/cli/display.ts'
import { prettyLine, timeOfLine } from '../../agent/cli/pretty-log.ts'
import { reloadText } from '../../agent/cli/reload.ts'
import { historyText } from '../../agent/cli/render-history.ts'
import { statusText } from '../../agent/cli/render-status.ts'
import { outcomeText, phaseLine } from '../../agent/cli/render-swap.ts'
import { age, fit, printable, took, wrap } from '../../agent/cli/text.ts'
import { releaseTraffic, serviceTraffic } from '../../agent/service/traffic.ts'
import type { ReleaseStatus, Status } from '../../agent/control/shapes.ts'
import { outcome, progress, receipt, status } from './support.ts'

const now = Date.parse('2026-11-20T10:05:00.000Z')

function release(id: string, more: Partial<ReleaseStatus>): ReleaseStatus {
  return { id, name: null, state: 'stopped', pid: null, port: null, inFlight: 0, upgraded: 0, requests: 0, errors: 0, traffic: releaseTraffic(undefined), since: '2026-11-20T09:00:00.000Z', verified: true, note: null, ...more }
}

const busy: Status = {
  ...status, lost: 2,
  services: [
    {
      name: 'default', live: '2026-11-20-with-a-long-name', confirmed: false, canary: null, waiting: 'next', traffic: serviceTraffic(undefined),
      releases: [
        release('v10', { name: '2026-11-20-with-a-long-name', state: 'live', pid: 4711, port: 40001, inFlight: 3, upgraded: 1, requests: 81_234, errors: 5, verified: false, traffic: { ...releaseTraffic(undefined), errorRate: 5 / 81_234, latencyMs: { p50: 1.3, p90: 20, p99: 182, mean: 3, count: 81_000 } } }),
        release('v9', { state: 'draining', pid: 4700, port: 40000, inFlight: 1, note: 'two streams are left' }),
      ],
    },
  ],
}

it('draws the status in full where there is room', () => {
  expect(statusText(busy, now, Infinity, plain)).toBe(
    [
      'listening on 127.0.0.1:8080; master 1, worker 2, agent 3',
      'lost: 2, violations: 0',
      '',
      'default: 2026-11-20-with-a-long-name is live, not yet confirmed; waiting: next',
      'RELEASE  NAME                         STATE      PID   PORT  IN FLIGHT  UPGRADED  REQUESTS  ERRORS    RATE    P50    P99  AGE',
      'v10      2026-11-20-with-a-long-name  live      4711  40001          3         1     81234       5  <0.01%  1.3ms  182ms   1h',
      'v9       -                            draining  4700  40000          1         0         0       0       -      -      -   1h',
      '  v10: which process answers on its port could not be read',
      '  v9: two streams are left',
    ].join('\n'),
  )
})

it('draws no line wider than the terminal, at any width, and always says which release is in which state', () => {
  for (let width = 20; width <= 120; width++) {
    const lines = statusText(busy, now, width, plain).split('\n')
    for (const line of lines) expect([width, line, [...line].length <= width]).toEqual([width, line, true])
    if (width >= 30) expect(lines.some((line) => line.startsWith('v9') && line.includes('draining'))).toBe(true)
  }
})

it('says what to type where nothing is live and nothing is under way', () => {
  const web = (releases: readonly ReleaseStatus[], waiting: string | null = null) => ({ name: 'web', live: null, confirmed: false, canary: null, waiting, traffic: serviceTraffic(undefined), releases })
  const shown = (...services: Status['services']) => statusText({ ...status, services }, now, Infinity, plain)
  expect(shown(web([]))).toContain('web: nothing is live\n  next: gracer swap PATH deploys a first build, or drop one into the folder that is watched')
  expect(shown(web([]), { ...web([]), name: 'api' })).toContain('gracer swap PATH --service api deploys')
  expect(shown(web([release('v1', { state: 'failed' })]))).toMatch(/\n {2}next: gracer explain says why; gracer swap PATH deploys another$/)
  for (const service of [web([release('v1', { state: 'booting' })]), web([], 'v1'), { ...web([]), live: 'v1' }]) expect(shown(service)).not.toContain('next:')
  for (const line of statusText({ ...status, services: [web([])] }, now, 40, plain).split('\n')) expect(line.length).toBeLessThanOrEqual(40)
})

it('a reload names the command that takes its changes up: a restart where something is live, else a first swap', () => {
  const services = [{ ...status.services[0]!, name: 'web', live: 'v1' }, { ...status.services[0]!, name: 'api', live: null }]
  const text = reloadText({ now: [], notes: [], added: [], removed: [], changed: ['web', 'api'].map((service) => ({ service, now: [], nextBoot: ['env'] })), nextStart: [] }, { ...status, services })
  expect(text.split('\n').slice(1)).toEqual(['  web: env changed; taken up by the next boot: gracer restart --service web', '  api: env changed; taken up by the next boot: gracer swap PATH --service api'])
})

it('marks counters that should be 0', () => {
  expect(statusText(busy, now, Infinity, colored)).toContain('\u001b[31mlost: 2, violations: 0')
  expect(statusText(status, now, Infinity, colored)).toContain('\u001b[32mlost: 0, violations: 0')
})

it('draws a phase with its clock, the draining count and its detail', () => {
  expect(phaseLine(progress('draining', { draining: 1, detail: 'one stream' }), 61_000, Infinity, plain)).toBe('draining      1 m 01 s  1 request in flight, one stream')
  expect(phaseLine(progress('checking', { elapsedMs: 420 }), null, Infinity, plain)).toBe('checking        420 ms')
  expect(phaseLine(progress('checking', { detail: 'x'.repeat(100) }), 1, 40, plain)).toHaveLength(40)
})

it('draws a receipt as a small table', () => {
  expect(outcomeText(outcome({ receipt: { ...receipt, survivors: [4712] }, hint: 'nothing' }), plain)).toBe(
    [
      'blue is live now: v2 is confirmed',
      '  release      v2 (blue), before it v1',
      '  phases       take-in 1 ms, boot 310 ms, health 520 ms, flip 3 ms, drain 100 ms, bake 20.0 s, stop 40 ms',
      '  at the flip  12 in flight, longest park 4 ms',
      '  requests     12 drained, 0 cut, 1 retried',
      '  long-lived   2 streams and 1 WebSocket ended',
      '  lost         0, violations: 0',
      '  survived     the stop: pid 4712',
      '  next  nothing',
    ].join('\n'),
  )
})

it('leaves out what a swap that never flipped has no numbers for', () => {
  const none = { takeIn: 1, boot: null, health: null, flip: null, drain: null, bake: null, stop: null }
  expect(outcomeText(outcome({ receipt: { ...receipt, phasesMs: none } }), plain)).not.toMatch(/at the flip|requests|long-lived/)
})

it('draws the history, narrower where the terminal is', () => {
  expect(historyText([], 80, plain)).toBe('no swap yet')
  const lines = historyText([receipt, { ...receipt, outcome: 'failed', phasesMs: { ...receipt.phasesMs, flip: null }, reason: 'never healthy' }], 80, plain).split('\n')
  expect(lines[0]).toMatch(/^STARTED +RELEASE +NAME +OUTCOME/)
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(80)
})

function screen(isTTY: boolean): Screen & { text: string; clock: number } {
  return {
    isTTY, text: '', clock: 0,
    columns: () => 60,
    write(text) {
      this.text += text
    },
    now() {
      return this.clock
    },
  }
}

it('shows one line a phase without a terminal, however often its numbers change', () => {
  const target = screen(false)
  const display = displayOn(target, plain)
  for (const event of [progress('booting'), progress('draining', { draining: 3 }), progress('draining', { draining: 2 }), progress('drained')]) display.phase(event)
  display.note('a remark')
  display.end()
  expect(target.text.split('\n').map((line) => line.split(' ')[0])).toEqual(['booting', 'draining', 'drained', 'a', ''])
  expect(target.text).not.toContain('\u001b')
})

it('tells each step of a canary without a terminal', () => {
  const target = screen(false)
  const display = displayOn(target, plain)
  for (const detail of [null, '5% of the visitors', '5% of the visitors', '25% of the visitors']) display.phase(progress('canary', { detail }))
  expect(target.text.match(/\d+% of the visitors/g)).toEqual(['5% of the visitors', '25% of the visitors'])
})

it('draws the phase under way over itself on a terminal, and leaves finished ones standing', () => {
  const target = screen(true)
  const display = displayOn(target, plain)
  display.phase(progress('draining', { draining: 3 }))
  target.clock = 1_500
  display.phase(progress('draining', { draining: 1 }))
  display.phase(progress('drained'))
  display.end()
  // What a terminal shows in the end: of every line what was written after its last carriage return.
  const shown = target.text.split('\n').map((line) => line.slice(line.lastIndexOf('\u001b[2K') + 4))
  expect(shown).toEqual(['draining        1.50 s  1 request in flight', 'drained           0 ms', ''])
  for (const line of target.text.split(/\n|\r\u001b\[2K/)) expect(line.length).toBeLessThan(60)
})

it('lets nothing that a backend says steer the terminal', () => {
  expect(printable('a\u001b[2Jb\u001b]0;title\u0007c\rd\te\u009b31mf\u0000')).toBe('abcd  e31mf')
})

it('cuts text with an ellipsis, and only where it is too long', () => {
  expect([fit('abcdef', 6), fit('abcdef', 5), fit('abcdef', 1), fit('abcdef', 0), fit('äöü', 3)]).toEqual(['abcdef', 'abcd…', 'a', '', 'äöü'])
})

it('writes times for people', () => {
  expect([0, 999, 1_000, 9_999, 12_345, 59_999, 60_000, 3_599_600].map(took)).toEqual(['0 ms', '999 ms', '1.00 s', '10.00 s', '12.3 s', '60.0 s', '1 m 00 s', '60 m 00 s'])
  expect(['2026-11-20T10:04:59Z', '2026-11-20T09:05:00Z', '2026-11-01T10:05:00Z', '2027-01-01T00:00:00Z', 'x'].map((since) => age(since, now))).toEqual(['1s', '1h', '19d', '0s', '?'])
})

it('decides on colors by flag, FORCE_COLOR, NO_COLOR, terminal and TERM, in this order', () => {
  expect(wantsColor(true, true, {})).toBe(true)
  expect(wantsColor(true, false, {})).toBe(false)
  expect(wantsColor(false, true, { FORCE_COLOR: '1' })).toBe(false)
  expect(wantsColor(true, false, { FORCE_COLOR: '1', NO_COLOR: '1' })).toBe(true)
  expect(wantsColor(true, true, { NO_COLOR: '1' })).toBe(false)
  expect(wantsColor(true, true, { NO_COLOR: '' })).toBe(true)
  expect(wantsColor(true, true, { TERM: 'dumb' })).toBe(false)
  expect(wantsColor(true, true, { FORCE_COLOR: '0' })).toBe(false)
})

it('words a line of the log for a person: event, release, what happened, numbers, and the reason of an error', () => {
  const time = new Date(2026, 10, 20, 10, 0, 5)
  const base = { level: 'info', time: time.toISOString(), component: 'agent', pid: 1 }
  expect(prettyLine(JSON.stringify({ ...base, service: 'default', release: 'v2', name: 'blue', detail: 'pid 7', ms: 3, reason: null, event: 'swap.checking' }), plain)).toBe('10:00:05 swap.checking v2 (blue) pid 7 ms=3')
  expect(prettyLine(JSON.stringify({ level: 50, time: time.getTime(), event: 'swap.failed', msg: 'no', err: { message: 'why\u001b[2J' }, lastLines: ['said'] }), plain)).toBe('10:00:05 swap.failed no\n    | why\n    | said')
  expect(prettyLine(JSON.stringify({ ...base, level: 'error', event: 'master.uncaught', error: 'x', stack: 'a\nb' }), colored)).toContain('\u001b[31mmaster.uncaught')
  expect(prettyLine('no json \u001b[2Jat all', plain)).toBe('no json at all')
  expect([timeOfLine(JSON.stringify(base)), timeOfLine(JSON.stringify({ time: 5 })), timeOfLine('{}'), timeOfLine('x')]).toEqual([time.getTime(), 5, null, null])
})

const visible = (text: string): string => text.replace(/\u001b\[[\d;]*m/g, '')

it('breaks outcomes and stories at their words, under their values, and never a path or a number from its unit', () => {
  const text = outcomeText(outcome({ receipt: { ...receipt, phasesMs: { takeIn: 1, boot: 12_345, health: null, flip: null, drain: null, bake: null, stop: null }, reason: 'it answered 500 to /healthz for 20 s' }, hint: 'See all of its output: gracer logs v3' }), colored)
  const lines = wrap(text, 40).split('\n')
  for (const line of lines) expect(visible(line).length).toBeLessThanOrEqual(40)
  expect(visible(lines.join('\n'))).toContain('  reason   it answered 500 to /healthz\n           for 20 s\n')
  expect(visible(wrap(text, 40)).split(/\s+/)).toEqual(visible(text).split(/\s+/))
  expect(wrap(text, Infinity)).toBe(text)
  const path = `/${'long/'.repeat(12)}file.log`
  expect(wrap(`  log  ${path} and more`, 40)).toBe(`  log  ${path}\n       and more`)
  expect(wrap('  2026-11-25 22:05:00  checking: probe 1: no', 30)).toBe('  2026-11-25 22:05:00\n    checking: probe 1: no')
})

it('tells the history on a narrow terminal in lines of their own, with every reason', () => {
  const text = historyText([receipt, { ...receipt, outcome: 'failed', phasesMs: { ...receipt.phasesMs, flip: null }, reason: 'its process exited with code 1 before it was healthy' }], 40, plain)
  for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(40)
  expect(text.replace(/\s+/g, ' ')).toContain('v2 (blue): failed')
  expect(text.replace(/\s+/g, ' ')).toContain('its process exited with code 1 before it was healthy')
})
