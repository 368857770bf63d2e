import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { canaryConfigDefault, stepAt, type CanaryConfig } from '../../agent/config/canary.ts'
import { describeConfig } from '../../agent/config/describe.ts'
import { loadConfig } from '../../agent/config/load.ts'
import { problemsOf } from '../../agent/config/problems.ts'

function load(canary: unknown, more: object = {}) {
  const cwd = mkdtempSync(join(tmpdir(), 'gracer-test-'))
  writeFileSync(join(cwd, 'gracer.json'), JSON.stringify({ canary, ...more }))
  return loadConfig({ cwd })
}

function canaryOf(canary: unknown): CanaryConfig | undefined {
  return load(canary).services[0]?.canary
}

/** path: message, of each error. */
function errors(canary: unknown, more: object = {}): Record<string, string> {
  try {
    load(canary, more)
  } catch (error) {
    return Object.fromEntries(problemsOf(error).map(({ path, message }) => [path, message]))
  }
  return {}
}

describe('the config of a canary', () => {
  it('has the same defaults as a canary without a config', () => {
    expect(canaryOf({})).toEqual(canaryConfigDefault)
  })

  it('reads steps with their shortest and longest time and their users, and fills in what they do not say', () => {
    const { steps } = canaryOf({ steps: ['0.01% 1s', '5% 2m-30m', '25% 5m 200 users'], minUnits: 7, maxTime: '10m' }) as CanaryConfig
    expect(steps).toEqual([
      { share: 0.0001, minMs: 1_000, maxMs: 600_000, minUnits: 7 },
      { share: 0.05, minMs: 120_000, maxMs: 1_800_000, minUnits: 7 },
      { share: 0.25, minMs: 300_000, maxMs: 600_000, minUnits: 200 },
    ])
  })

  it('holds the longest time for the step of a command too', () => {
    expect(stepAt(0.07, canaryOf({ maxTime: '15m' }) as CanaryConfig)).toMatchObject({ minMs: 300_000, maxMs: 900_000 })
    expect(stepAt(0.07, canaryOf({ maxTime: '1m' }) as CanaryConfig).maxMs).toBe(300_000)
    expect(stepAt(0.07, canaryConfigDefault).maxMs).toBe(3_000_000)
  })

  it('reads the key of a visitor', () => {
    expect(canaryOf({ key: 'header:X-User-Id' })?.key).toEqual({ from: 'header', name: 'x-user-id' })
    expect(canaryOf({ key: 'cookie:Session' })?.key).toEqual({ from: 'cookie', name: 'Session' })
  })

  it('says every error at once, where it is and what was expected', () => {
    expect(errors({ steps: ['5% 2m', '5% 5m', '120% 1m', 'soon'], metrics: ['errors', 'speed'], key: 'x-user', sticky: 'ip', alpha: 2, tolerance: 0.5, withinShare: 1, onInconclusive: 'wait', override: { allow: ['10.0.0.0/99'] }, latency: { limit: '5' }, shadow: '0% 1m', stpes: [] })).toEqual({
      'canary.steps[1]': 'expected a larger percentage than the 5% of the step before it, got "5% 5m"',
      'canary.steps[2]': expect.stringContaining('expected a step such as "5% 2m"') as string,
      'canary.steps[3]': expect.stringContaining('got "soon"') as string,
      'canary.metrics[1]': 'expected "errors" or "latency", got "speed"',
      'canary.key': 'expected where the key of a visitor stands, such as "header:x-user-id" or "cookie:session", got "x-user"',
      'canary.sticky': 'expected "cookie" or "address" or "none", got "ip"',
      'canary.alpha': 'expected a number from 0.00001 to 0.2, got 2',
      'canary.tolerance': 'expected a number from 1 to 10, got 0.5',
      'canary.withinShare': 'expected a percentage with at most two decimals, as a string such as "1%", got 1',
      'canary.onInconclusive': 'expected "promote" or "hold" or "abort", got "wait"',
      'canary.override.allow[0]': 'expected an address or network such as "10.0.0.0/8", got "10.0.0.0/99"',
      'canary.latency.limit': expect.stringContaining('expected a duration') as string,
      'canary.shadow': 'expected a share of the bodyless GETs and a time, such as "10% 1m", or null, got "0% 1m"',
      'canary.stpes': 'unknown key; did you mean "steps"?',
    })
  })

  it('has no steps where two releases cannot run beside each other', () => {
    expect(errors({ steps: ['5% 2m'] }, { overlap: false })).toEqual({ 'canary.steps': 'expected none with "overlap": false, because a canary runs beside the old release' })
  })

  it('is shown in full by gracer check', () => {
    const lines = new Map(describeConfig(load({ steps: ['5% 2m'], key: 'cookie:session', shadow: '12.5% 90s' })).map(({ key, value }) => [key, value]))
    expect(lines.get('canary.steps')).toEqual(['5% 2m-30m 20 users'])
    expect(lines.get('canary.key')).toBe('cookie:session')
    expect(lines.get('canary.alpha')).toBe(0.01)
    expect(lines.get('canary.shadow')).toBe('12.5% 90s')
  })
})
