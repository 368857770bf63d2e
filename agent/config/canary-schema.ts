import { isIP } from 'node:net'
import { z } from 'zod'
import { GracerError } from '../../inherit/gracer-error.ts'
import { formatPercent, formatStep, parseStep, type Step } from '../canary/step-text.ts'
import { formatShadow, parseShadow } from '../canary/shadow-text.ts'
import { canaryMetrics, type CanaryConfig } from './canary.ts'
import { defaults } from './defaults.ts'
import { duration, group, number, oneOf, percent, whole } from './kinds.ts'
import { formatDuration } from './units.ts'

/** The keys of `canary`; what they mean is in docs/canary.md. */

const usual = defaults.canary

const shadowText = 'a share of the bodyless GETs and a time, such as "10% 1m", or null'
const stepsText = 'an array of steps such as ["5% 2m", "25% 5m"]'

const steps = z
  .array(z.string({ error: 'a step such as "5% 2m"' }), { error: stepsText })
  .transform((texts, context) => {
    const parsed = texts.map((written, index) => {
      try {
        return parseStep(written)
      } catch (error) {
        const why = error instanceof GracerError ? error.message.replace(/^canary\.steps: "(?:[^"\\]|\\.)*": /, '') : String(error)
        context.addIssue({ code: 'custom', path: [index], message: `a step such as "5% 2m", "5% 2m-30m" or "5% 2m 200 users" (${why})` })
        return null
      }
    })
    for (const [index, step] of parsed.entries()) {
      const before = parsed[index - 1]
      if (step === null || before === null || before === undefined || step.share > before.share) continue
      context.addIssue({ code: 'custom', path: [index], message: `a larger percentage than the ${formatPercent(before.share)} of the step before it` })
    }
    return texts.map((written, index) => ({ written, step: parsed[index] as Step }))
  })
  .meta({ description: 'Shares of the visitors with the shortest time of each. With any, every swap is a canary first; without, only `gracer swap --canary` is.' })

const latencyKeys = {
  limit: duration('A first reply that takes longer is slow. null: 95% of the old release\'s replies are faster.').nullable().prefault(usual.latency.limit),
  warmUp: duration('Requests so soon after the canary\'s begin are not judged.', 0).prefault(usual.latency.warmUp),
}

const weightKeys = {
  errors: number(0.01, 100, 'Of `errors`.').prefault(usual.weights.errors),
  latency: number(0.01, 100, 'Of `latency`.').prefault(usual.weights.latency),
}

const overrideKeys = {
  allow: z
    .array(z.string({ error: 'an address or network such as "10.0.0.0/8"' }).refine(isNetwork, { error: 'an address or network such as "10.0.0.0/8"' }), { error: 'an array of addresses and networks' })
    .meta({ description: 'From here testers need no signature to choose a release.' })
    .prefault([...usual.override.allow]),
}

const canaryShape = {
  steps: steps.prefault([...usual.steps]),
  sticky: oneOf(['cookie', 'address', 'none'], 'What keeps a visitor on its release who has no `key`.').prefault(usual.sticky),
  key: z
    .string({ error: 'where the key of a visitor stands, such as "header:x-user-id" or "cookie:session"' })
    .regex(/^(?:header|cookie):[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, { error: 'where the key of a visitor stands, such as "header:x-user-id" or "cookie:session"', abort: true })
    .nullable()
    .meta({ description: 'A header or cookie that names your visitors.' })
    .prefault(usual.key),
  metrics: z
    .array(z.enum(canaryMetrics, { error: '"errors" or "latency"' }), { error: 'an array of "errors" and "latency"' })
    .min(1, { error: 'at least one of "errors" and "latency"' })
    .meta({ description: 'What is compared.' })
    .prefault([...usual.metrics]),
  weights: group(weightKeys, 'Each metric\'s part of `alpha`, relative to the other: with 3 and 1 errors have three quarters of it.'),
  alpha: number(0.00001, 0.2, 'The chance that a canary which is as good is ever taken back.').prefault(usual.alpha),
  tolerance: number(1, 10, 'So many times as many visitors affected are fine.').prefault(usual.tolerance),
  withinRatio: number(1.01, 1_000, 'A step is passed once so many times as many affected can be excluded ...').prefault(usual.withinRatio),
  withinShare: percent('... or so large a share of the canary\'s visitors.').prefault(usual.withinShare),
  latency: group(latencyKeys, 'How long a visitor\'s first reply of a step may take.'),
  minUnits: whole(0, 1_000_000, 'So many visitors of the canary are to be expected before a step is passed, where the step does not say.').prefault(usual.minUnits),
  maxTime: duration('The longest time of a step, where the step does not say; null: ten times its shortest, and 30m at least.').nullable().prefault(usual.maxTime),
  onInconclusive: oneOf(['promote', 'hold', 'abort'], 'What to do when the longest time of a step is over and nothing can be said.').prefault(usual.onInconclusive),
  override: group(overrideKeys, 'How testers choose a release by themselves.'),
  shadow: z
    .string({ error: shadowText })
    .transform((written, context) => {
      const plan = parseShadow(written)
      if (plan !== undefined) return plan
      context.addIssue(shadowText)
      return z.NEVER
    })
    .nullable()
    .meta({ description: 'Before its first visitor a share of the bodyless GETs is sent to the new release as well, for so long; its replies are compared and thrown away.' })
    .prefault(usual.shadow),
  perAddress: whole(1, 1_000_000, 'Visitors of one public address that count as evidence.').prefault(usual.perAddress),
}

export const canaryKey = group(canaryShape, 'A new release is tried on a share of the visitors before everybody gets it.')

type CanaryValues = z.output<typeof canaryKey>

export function completeCanary(values: CanaryValues): CanaryConfig {
  const { key, latency, maxTime, minUnits, ...rest } = values
  const [from = '', name = ''] = key === null ? [] : key.split(/:(.*)/s)
  return {
    sticky: rest.sticky, metrics: rest.metrics, weights: rest.weights, alpha: rest.alpha, tolerance: rest.tolerance, withinRatio: rest.withinRatio, withinShare: rest.withinShare,
    onInconclusive: rest.onInconclusive, override: rest.override, perAddress: rest.perAddress, shadow: rest.shadow, minUnits, maxTimeMs: maxTime,
    key: key === null ? null : { from: from as 'header' | 'cookie', name: from === 'header' ? name.toLowerCase() : name },
    latency: { limitMs: latency.limit, warmUpMs: latency.warmUp },
    steps: rest.steps.map(({ written, step }) => ({
      ...step,
      minUnits: /\d\s+(?:users?|units?)\s*$/.test(written) ? step.minUnits : minUnits,
      maxMs: maxTime === null || /\s\S+\s*-/.test(written) ? step.maxMs : Math.max(step.minMs, maxTime),
    })),
  }
}

/** Each key with its value as it would stand in gracer.json. */
export function describeCanary(config: CanaryConfig): readonly (readonly [string, unknown])[] {
  return [
    ['canary.steps', config.steps.map(formatStep)],
    ['canary.sticky', config.sticky],
    ['canary.key', config.key === null ? null : `${config.key.from}:${config.key.name}`],
    ['canary.metrics', config.metrics],
    ['canary.weights.errors', config.weights?.errors ?? usual.weights.errors],
    ['canary.weights.latency', config.weights?.latency ?? usual.weights.latency],
    ['canary.alpha', config.alpha],
    ['canary.tolerance', config.tolerance],
    ['canary.withinRatio', config.withinRatio],
    ['canary.withinShare', formatPercent(config.withinShare)],
    ['canary.latency.limit', config.latency.limitMs === null ? null : formatDuration(config.latency.limitMs)],
    ['canary.latency.warmUp', formatDuration(config.latency.warmUpMs)],
    ['canary.minUnits', config.minUnits],
    ['canary.maxTime', config.maxTimeMs == null ? null : formatDuration(config.maxTimeMs)],
    ['canary.onInconclusive', config.onInconclusive],
    ['canary.override.allow', config.override.allow],
    ['canary.perAddress', config.perAddress],
    ['canary.shadow', config.shadow === null ? null : formatShadow(config.shadow)],
  ]
}

function isNetwork(written: string): boolean {
  const [address = '', bits, ...more] = written.split('/')
  const family = isIP(address)
  if (family === 0 || more.length > 0) return false
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 6 ? 128 : 32))
}
