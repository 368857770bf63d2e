import type { MetricName, UnitEvent } from '../../../proxy/canary/unit-event.ts'
import { alternatives, logEvidence } from '../../../agent/canary/e-process.ts'
import { Evidence, evidenceLimits, type EvidenceLimits } from '../../../agent/canary/evidence.ts'
import { errorsMetric, latencyMetric, type Metric } from '../../../agent/canary/metrics.ts'
import { addTo, type Tally } from '../../../agent/canary/tallies.ts'
import { isWorse, verdictDefaults } from '../../../agent/canary/verdict.ts'
import type { Judge } from './world.ts'

export const alpha = 0.01

export const latency: Metric = { ...latencyMetric, warmUpMs: 0 }

export interface RealOptions {
  readonly tolerance?: number
  readonly metrics?: readonly Metric[]
  readonly limits?: Partial<EvidenceLimits>
}

/** The verdict as it is shipped, asked after each unit that counts. */
export function real({ tolerance = 1, metrics = [errorsMetric], limits = {} }: RealOptions = {}): Judge {
  const evidence = new Evidence(metrics, { ...evidenceLimits, ...limits }, 0)
  const settings = { ...verdictDefaults, alpha, metrics, tolerance }
  return {
    begin: (phase, share) => evidence.beginPhase(phase, share),
    take: (event) => {
      const before = evidence.counted
      evidence.add(event)
      return evidence.counted !== before && isWorse(evidence, settings)
    },
  }
}

/** A verdict that is told by `share` which share an event counts with; null: not at all. Everything else is the real one's. */
function counting(share: (event: UnitEvent, now: number) => number | null, metrics: readonly MetricName[] = ['errors'], log = (tallies: readonly Tally[]) => logEvidence(tallies, 1), limit = metrics.length / alpha): Judge {
  const tallies = new Map(metrics.map((metric) => [metric, new Map<number, Tally>()]))
  let now = 0
  return {
    begin: (_, next) => {
      now = next
    },
    take: (event) => {
      const counted = share(event, now)
      if (counted === null) return false
      for (const metric of event.bad) {
        const own = tallies.get(metric)
        if (own === undefined) continue
        addTo(own, counted, event.arm)
        if (log([...own.values()]) >= Math.log(limit)) return true
      }
      return false
    },
  }
}

/** Without "first bad event of a unit": every request counts. */
export function everyRequest(): Judge {
  return counting((event) => event.share)
}

/** Without "the share it was drawn with": that of the moment counts. */
export function shareOfTheMoment(): Judge {
  const once = firstBad()
  return counting((event, now) => (once(event) ? now : null))
}

/** Without "never forgets old units": the oldest make room for the new. */
export function forgetting(limit: number): Judge {
  const kept = new Set<string>()
  return counting((event) => {
    const unit = String(event.unit)
    if (kept.has(unit)) return null
    kept.add(unit)
    if (kept.size > limit) kept.delete(kept.values().next().value ?? '')
    return event.share
  })
}

/** Without "what is known of its arm": a unit counts again in each phase, as if nothing were known. */
export function onceEachPhase(): Judge {
  const seen = new Set<string>()
  return counting((event) => {
    const entry = `${event.phase} ${event.unit}`
    if (seen.has(entry)) return null
    seen.add(entry)
    return event.share
  })
}

/** Without counting a unit known to be on stable once more after a rise: once and never again. */
export function onceForAll(): Judge {
  const once = firstBad()
  return counting((event) => (once(event) ? event.share : null))
}

/** Sets of units for each metric instead of one for all: what one metric has shown of a unit, the other does not know. */
export function setForEachMetric(metrics: readonly MetricName[]): Judge {
  const seen = new Set<string>()
  return counting((event) => {
    const entry = `${event.bad.join()} ${event.unit}`
    if (seen.has(entry)) return null
    seen.add(entry)
    return event.share
  }, metrics)
}

/** Without k/alpha: each of the metrics aborts at 1/alpha. */
export function alphaForEach(metrics: readonly MetricName[]): Judge {
  const once = firstBad()
  return counting((event) => (once(event) ? event.share : null), metrics, (tallies) => logEvidence(tallies, 1), 1 / alpha)
}

/** Without scaling the alternatives by the tolerance: they stay that many times 1. */
export function fixedAlternatives(tolerance: number): Judge {
  const once = firstBad()
  const log = (tallies: readonly Tally[]) => {
    const logs = alternatives.map((factor) => tallies.reduce((sum, { share, canary, stable }) => {
      const both = Math.log((share * tolerance + 1 - share) / (share * factor + 1 - share))
      return sum + canary * Math.log(factor / tolerance) + (canary + stable) * both
    }, 0))
    const most = Math.max(...logs)
    return most + Math.log(logs.reduce((sum, one) => sum + Math.exp(one - most), 0) / logs.length)
  }
  return counting((event) => (once(event) ? event.share : null), ['errors'], log)
}

/** Without "first request": a unit counts when any of its requests is slow for the first time. */
export function latencyOfAnyRequest(): Judge {
  return real({ metrics: [{ ...errorsMetric, name: 'latency' }] })
}

/** Without leaving out what was drawn before the canary. */
export function alsoFromBefore(): Judge {
  const once = firstBad()
  return counting((event) => (once(event) ? event.share : null))
}

/** What many do: a one-sided z-test of two proportions at alpha, looked at after every so many units. */
export function zTest(every: number): Judge {
  const bad = { canary: 0, stable: 0 }
  const units = { canary: 0, stable: 0 }
  return {
    begin: () => {},
    take: (event) => {
      bad[event.arm] += 1
      return false
    },
    seen: (arm) => {
      units[arm] += 1
      const { canary, stable } = units
      if ((canary + stable) % every !== 0 || canary === 0 || stable === 0) return false
      const pooled = (bad.canary + bad.stable) / (canary + stable)
      const spread = Math.sqrt(pooled * (1 - pooled) * (1 / canary + 1 / stable))
      return spread > 0 && (bad.canary / canary - bad.stable / stable) / spread > 2.3263
    },
  }
}

function firstBad(): (event: UnitEvent) => boolean {
  const seen = new Set<string>()
  return ({ unit }) => {
    if (unit === null) return true
    if (seen.has(unit)) return false
    seen.add(unit)
    return true
  }
}
