import { expect, it } from 'vitest'
import { Canary, canaryDefaults } from '../../agent/canary/canary.ts'
import { errorsMetric } from '../../agent/canary/metrics.ts'
import { parseSteps } from '../../agent/canary/step-text.ts'
import { verdictText, waitsFor } from '../../agent/canary/verdict-text.ts'
import { palette } from '../../agent/cli/color.ts'
import { canaryText } from '../../agent/cli/render-canary.ts'
import type { ArmStatus, CanaryAnswer } from '../../agent/control/shapes.ts'

const plain = palette(false, process.stdout)
const arm = (release: string, name: string | null, requests: number): ArmStatus => ({ release, name, users: 4, requests, errors: 1, lost: 0, errorRate: requests === 0 ? null : 1 / requests, p50Ms: requests === 0 ? null : 3.2, p99Ms: requests === 0 ? null : 12 })

function answer(): CanaryAnswer {
  const steps = parseSteps(['5% 2m', '25% 5m'])
  const { canary } = Canary.begin({ ...canaryDefaults, metrics: [errorsMetric], steps }, 0)
  canary.take([{ unit: 'a', arm: 'canary', share: 0.05, phase: 1, atMs: 1, bad: ['errors'], good: [] }], 1)
  const verdict = canary.verdict()
  const [step] = steps
  if (step === undefined) throw new Error('there is a step')
  return {
    schema: 1, service: 'default', live: 'blue', message: null,
    canary: {
      release: 'v3', name: '2026-11-20', mode: 'running', text: verdictText(verdict), share: 0.05, step: { at: 1, of: 2, ...step }, elapsedMs: 62_000,
      waitsFor: waitsFor(canary.steps, verdict.numbers), verdict, slowMs: null, note: 'latency is not judged', dropped: 0,
      arms: { canary: arm('v3', '2026-11-20', 10), stable: arm('v2', null, 0) },
    },
  }
}

it('shows both releases side by side, the evidence against its limit, and what the step waits for', () => {
  const text = canaryText(answer(), plain)
  expect(text.split('\n')[0]).toBe('blue is live; v3 (2026-11-20) is a canary at 5%, step 1 of 2, running for 1 m 02 s')
  expect(text).toMatch(/CANARY {2}STABLE\n/)
  expect(text).toMatch(/error rate +10\.0% +-\n/)
  expect(text).toMatch(/p99 +12 ms +-\n/)
  expect(text).toMatch(/errors +evidence [\d.]+ of 100 needed to take it back, from 1 user affected on the canary, 0 on stable; it cannot exclude/)
  expect(text).toMatch(/waits for +2m of its shortest time; /)
  expect(text).not.toContain('evidence full')
})

it('tells of a pause how long the step had run, which stands still', () => {
  const { canary, ...rest } = answer()
  if (canary === null) throw new Error('there is one')
  expect(canaryText({ ...rest, canary: { ...canary, mode: 'paused', elapsedMs: 0 } }, plain)).toMatch(/step 1 of 2, paused after 0 ms\n/)
})

it('says that there is none', () => {
  expect(canaryText({ schema: 1, service: 'default', live: 'blue', message: null, canary: null }, plain)).toBe('blue is live; there is no canary')
})
