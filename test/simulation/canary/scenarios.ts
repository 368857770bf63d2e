import { errorsMetric, reportedMetric } from '../../../agent/canary/metrics.ts'
import * as judges from './judges.ts'
import { attack, betterThenEqual, followedArms, followedMetric, fromBefore, healthy, lateReplies, latencies, manyMetrics, regulars, returning, untilOnCanary, visits, type Judge, type World } from './world.ts'

/** Healthy canaries of one kind: the real verdict may abort at most alpha of them, and one without the rule aborts more. */
export interface Scenario {
  readonly name: string
  readonly world: World
  readonly judge: () => Judge
  /** The rule that guards it, taken out: more than alpha are aborted. `strong`: so many more that some hundred runs show it. */
  readonly without: { readonly rule: string; readonly strong: boolean; readonly judge: () => Judge } | null
}

const ten = [...'abcdefghij']
const two = ['first', 'second']
const rising = Array.from({ length: 8 }, (_, step) => 0.05 + step * 0.01)

/** @param units how many come at most in one canary; the rates are such that some hundreds of them go bad. */
export function scenarios(units: number): readonly Scenario[] {
  const rate = Math.min(0.05, 400 / units)
  const real = () => judges.real()
  return [
    { name: 'rising ramp, 1/5/25/50%', world: visits(healthy(rate), { units }), judge: real, without: { rule: 'looked at with a z-test instead', strong: true, judge: () => judges.zTest(100) } },
    { name: 'bursty users', world: visits(healthy(rate), { units, burst: 6 }), judge: real, without: { rule: 'each request counts', strong: true, judge: judges.everyRequest } },
    { name: 'late replies, 25% lowered to 20%', world: lateReplies(rate, 0.25, 0.2, units / 2), judge: real, without: { rule: 'the share of the moment', strong: false, judge: judges.shareOfTheMoment } },
    { name: 'late replies, 50% lowered to 5%', world: lateReplies(rate, 0.5, 0.05, units / 4), judge: real, without: { rule: 'the share of the moment', strong: true, judge: judges.shareOfTheMoment } },
    { name: 'late replies, 5% raised to 25%', world: lateReplies(rate, 0.05, 0.25, units / 2), judge: real, without: null },
    { name: 'a percentage lowered, the same users', world: regulars(healthy(0.02), { users: units / 10, rounds: 5, shares: [0.25, 0.5, 0.1, 0.05] }), judge: real, without: null },
    { name: 'the same users in every step', world: regulars(healthy(0.04), { users: 50, rounds: 8, shares: rising }), judge: real, without: { rule: 'counted anew in each step', strong: true, judge: judges.onceEachPhase } },
    { name: 'tolerance 1.2, worse by just that', world: visits({ stable: rate / 1.2, canary: rate }, { units }), judge: () => judges.real({ tolerance: 1.2 }), without: { rule: 'no tolerance', strong: false, judge: real } },
    { name: 'tolerance 2, worse by just that', world: visits({ stable: rate / 2, canary: rate }, { units }), judge: () => judges.real({ tolerance: 2 }), without: null },
    { name: 'tolerance 3, worse by just that', world: visits({ stable: rate / 3, canary: rate }, { units }), judge: () => judges.real({ tolerance: 3 }), without: null },
    { name: 'tolerance 2, healthy', world: visits(healthy(rate), { units }), judge: () => judges.real({ tolerance: 2 }), without: { rule: 'fixed alternatives', strong: false, judge: () => judges.fixedAlternatives(2) } },
    { name: 'tolerance 3, healthy', world: visits(healthy(rate), { units }), judge: () => judges.real({ tolerance: 3 }), without: { rule: 'fixed alternatives', strong: true, judge: () => judges.fixedAlternatives(3) } },
    { name: 'ten metrics', world: manyMetrics(ten, rate / 2, units / 4), judge: () => judges.real({ metrics: ten.map((name) => reportedMetric(name)) }), without: { rule: '1/alpha for each', strong: false, judge: () => judges.alphaForEach(ten) } },
    { name: 'a share that follows another metric', world: followedMetric(0.25, 0.75, 150), judge: () => judges.real({ metrics: two.map((name) => reportedMetric(name)) }), without: { rule: 'a set for each metric', strong: true, judge: () => judges.setForEachMetric(two) } },
    { name: 'evicted keys, each fails twice', world: returning(0.05, 2, 5, 0.05, 2_000), judge: () => judges.real({ limits: { units: 50 } }), without: { rule: 'forgets old ones', strong: false, judge: () => judges.forgetting(4) } },
    { name: 'evicted keys, each fails five times', world: returning(0.05, 5, 5, 0.05, 2_000), judge: () => judges.real({ limits: { units: 50 } }), without: { rule: 'forgets old ones', strong: true, judge: () => judges.forgetting(4) } },
    { name: 'latency, one request a user', world: latencies(1, 1, { units: units / 4 }), judge: () => judges.real({ metrics: [judges.latency] }), without: null },
    { name: 'latency, ten requests a user', world: latencies(1, 10, { units: units / 10, own: 0.3, each: 0.4 }), judge: () => judges.real({ metrics: [judges.latency] }), without: null },
    { name: 'better at first, then equal', world: betterThenEqual(0.05, units / 5, [0.01, 0.05, 0.25, 0.5]), judge: real, without: null },
    { name: 'steps that wait for 5 users of the canary', world: untilOnCanary(0.3, 5, rising), judge: real, without: null },
    { name: 'an attacker with 50 keys of the canary', world: attack(50), judge: real, without: { rule: 'no cap for an address', strong: true, judge: () => judges.real({ limits: { perAddress: 1_000 } }) } },
  ]
}

/** What no rule can guard, measured all the same: the hypothesis does not hold here, and more than alpha may be aborted. */
export function uncovered(users: number): readonly Detection[] {
  const real = () => judges.real()
  return [
    { name: 'a share that follows arms not counted yet', world: followedArms(0.25, 0.75, users / 100), judge: real },
    { name: 'better at first, then equal, lowered 50% to 5%', world: betterThenEqual(0.2, users / 10, [0.5, 0.05]), judge: real },
  ]
}

/** One kind of canary that is not healthy: how often and how soon it is stopped. */
export interface Detection {
  readonly name: string
  readonly world: World
  readonly judge: () => Judge
}

/** The ramp 1/5/25/50% over 20,000 users, a quarter of them in each step. */
export function detections(): readonly Detection[] {
  const real = () => judges.real()
  const latency = () => judges.real({ metrics: [judges.latency] })
  const both = () => judges.real({ metrics: [errorsMetric, judges.latency] })
  return [
    { name: 'fails all; stable 1%', world: visits({ stable: 0.01, canary: 1 }), judge: real },
    { name: 'fails all; stable 5%', world: visits({ stable: 0.05, canary: 1 }), judge: real },
    { name: 'fails all; stable 1%; two metrics', world: visits({ stable: 0.01, canary: 1 }), judge: both },
    { name: 'fails 10%; stable 1%', world: visits({ stable: 0.01, canary: 0.1 }), judge: real },
    { name: 'fails 10%; stable 0.1%', world: visits({ stable: 0.001, canary: 0.1 }), judge: real },
    { name: 'fails 2%; stable 0.1%', world: visits({ stable: 0.001, canary: 0.02 }), judge: real },
    { name: 'fails 2%; stable 1%', world: visits({ stable: 0.01, canary: 0.02 }), judge: real },
    { name: 'fails 10%; stable 1%; 200 replies from before', world: fromBefore({ stable: 0.01, canary: 0.1 }, 200), judge: real },
    { name: '  … these counted too', world: fromBefore({ stable: 0.01, canary: 0.1 }, 200), judge: judges.alsoFromBefore },
    { name: 'slower by half; 1 request a user', world: latencies(1.5, 1), judge: latency },
    { name: 'slower by half; 50 requests a user', world: latencies(1.5, 50), judge: latency },
    { name: '  … first slow request instead of first request', world: latencies(1.5, 50), judge: judges.latencyOfAnyRequest },
    { name: 'slower by half; 50 requests, users differ', world: latencies(1.5, 50, { own: 0.3, each: 0.4 }), judge: latency },
    { name: '  … first slow request instead of first request', world: latencies(1.5, 50, { own: 0.3, each: 0.4 }), judge: judges.latencyOfAnyRequest },
    { name: 'fails 2%; stable 1%; 300 regulars, 20 visits a step', world: regulars({ stable: 0.01, canary: 0.02 }, { users: 300, rounds: 20 }), judge: real },
    { name: '  … counted once for all', world: regulars({ stable: 0.01, canary: 0.02 }, { users: 300, rounds: 20 }), judge: judges.onceForAll },
  ]
}
