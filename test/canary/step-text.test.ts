import { describe, expect, it } from 'vitest'
import { formatStep, parsePercent, parseStep, parseSteps } from '../../agent/canary/step-text.ts'

describe('a step', () => {
  it.each([
    ['5% 2m', { share: 0.05, minMs: 120_000, maxMs: 1_800_000, minUnits: 20 }],
    ['0.01% 1h', { share: 0.0001, minMs: 3_600_000, maxMs: 36_000_000, minUnits: 20 }],
    ['25 30s-1m', { share: 0.25, minMs: 30_000, maxMs: 60_000, minUnits: 20 }],
    [' 99.99%  0s - 10m  500 users ', { share: 0.9999, minMs: 0, maxMs: 600_000, minUnits: 500 }],
    ['5% 2m 1 user', { share: 0.05, minMs: 120_000, maxMs: 1_800_000, minUnits: 1 }],
    ['5% 20h', { share: 0.05, minMs: 72_000_000, maxMs: 86_400_000, minUnits: 20 }],
  ])('%j is read', (text, expected) => {
    expect(parseStep(text)).toEqual(expected)
    expect(parseStep(formatStep(parseStep(text)))).toEqual(expected)
  })

  it.each([
    ['', /expected a step such as "5% 2m"/],
    ['5%', /expected a step such as/],
    ['5% 2', /"2" is no duration/],
    ['5% 25h', /"25h" is no duration up to 24h/],
    ['five 2m', /"five" is no percentage/],
    ['-5% 2m', /"-5%" is no percentage/],
    ['5.001% 2m', /at most two decimals/],
    ['0% 2m', /at least 0\.01%/],
    ['100% 2m', /leave 100% out/],
    ['101% 2m', /no percentage/],
    ['5% 2m-1m', /its longest time, 1m, is below its shortest, 2m/],
    ['5% 2m 10 goats', /expected a step such as/],
  ])('%j is an error that says why', (text, expected) => {
    expect(() => parseStep(text)).toThrow(expected)
  })

  it('must rise', () => {
    expect(parseSteps(['1% 1m', '5% 1m']).map(({ share }) => share)).toEqual([0.01, 0.05])
    expect(() => parseSteps(['5% 1m', '5% 2m'])).toThrow('canary.steps: they must rise, but "5% 2m" comes after "5% 1m"')
    expect(() => parseSteps(['25% 1m', '5% 2m'])).toThrow('they must rise')
    expect(() => parseSteps([])).toThrow('there is no step')
  })

  it('has percentages down to 0.01', () => {
    expect(parsePercent('0.01%')).toBe(0.0001)
    expect(parsePercent('100')).toBe(1)
    expect(parsePercent('0.001')).toBeUndefined()
    expect(parsePercent('100.01')).toBeUndefined()
    expect(parsePercent('1e1')).toBeUndefined()
  })
})
