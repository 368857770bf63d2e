import { armOf, type Arm } from '../../../proxy/canary/split.ts'
import type { MetricName, UnitEvent } from '../../../proxy/canary/unit-event.ts'
import type { Random } from '../random.ts'

/** Whoever is told of the requests and may abort: the real evidence, or one with a rule taken out. */
export interface Judge {
  /** The share has changed. */
  begin(phase: number, share: number): void
  /** True once the canary is aborted. */
  take(event: UnitEvent): boolean
  /** A unit has come for the first time; for those who count them. True once the canary is aborted. */
  seen?(arm: Arm): boolean
}

/** How a canary went: after how many units of both arms it was aborted, and how many of them had met the canary. */
export interface Outcome {
  readonly aborted: boolean
  readonly units: number
  readonly canaryUnits: number
}

export type World = (random: Random, judge: Judge) => Outcome

/** Keeps the share, draws the units' buckets, and counts who was there. */
export class Stage {
  readonly random: Random
  readonly #judge: Judge
  /** By unit; 0: not drawn yet, otherwise the bucket and 1. */
  #buckets = new Float64Array(1024)
  phase = 0
  share = 0
  units = 0
  canaryUnits = 0
  aborted = false

  constructor(random: Random, judge: Judge) {
    this.random = random
    this.#judge = judge
  }

  begin(share: number): void {
    this.phase += 1
    this.share = share
    this.#judge.begin(this.phase, share)
  }

  /** The arm of a unit now; its bucket is drawn when it is first asked for. */
  arm(unit: number): Arm {
    if (unit >= this.#buckets.length) {
      const larger = new Float64Array(Math.max(unit + 1, 2 * this.#buckets.length))
      larger.set(this.#buckets)
      this.#buckets = larger
    }
    const drawn = this.#buckets[unit] ?? 0
    if (drawn > 0) return armOf(drawn - 1, this.share)
    const bucket = this.random.next()
    this.#buckets[unit] = bucket + 1
    const arm = armOf(bucket, this.share)
    this.units += 1
    if (arm === 'canary') this.canaryUnits += 1
    if (this.#judge.seen?.(arm) === true) this.aborted = true
    return arm
  }

  /** The request as it was drawn now, to be told now or later. */
  event(unit: number, bad: readonly MetricName[], good: readonly MetricName[] = []): UnitEvent {
    return { unit: String(unit), arm: this.arm(unit), share: this.share, phase: this.phase, atMs: 0, bad, good }
  }

  tell(event: UnitEvent): void {
    if (!this.aborted) this.aborted = this.#judge.take(event)
  }

  outcome(): Outcome {
    return { aborted: this.aborted, units: this.units, canaryUnits: this.canaryUnits }
  }
}

/** The chance of harm on each arm; equal on both where the canary is healthy. */
export interface Harm {
  readonly stable: number
  readonly canary: number
}

export function healthy(rate: number): Harm {
  return { stable: rate, canary: rate }
}

export const ramp: readonly number[] = Object.freeze([0.01, 0.05, 0.25, 0.5])

const errors: readonly MetricName[] = ['errors']

/** One visit of each of so many users, while the share climbs; who fails does so `burst` times in a row. */
export function visits(harm: Harm, { shares = ramp, units = 20_000, burst = 1 } = {}): World {
  return (random, judge) => {
    const stage = new Stage(random, judge)
    for (let unit = 0; unit < units && !stage.aborted; unit += 1) {
      if (unit % Math.ceil(units / shares.length) === 0) stage.begin(shares[stage.phase] ?? 0)
      if (!random.chance(harm[stage.arm(unit)]) || stage.aborted) continue
      const times = burst === 1 ? 1 : random.int(1, 2 * burst - 1)
      for (let time = 0; time < times && !stage.aborted; time += 1) stage.tell(stage.event(unit, errors))
    }
    return stage.outcome()
  }
}

/** Replies that take so long that all of the first share's are told after the change to the second. */
export function lateReplies(rate: number, first: number, second: number, units: number): World {
  return (random, judge) => {
    const stage = new Stage(random, judge)
    stage.begin(first)
    const late: UnitEvent[] = []
    for (let unit = 0; unit < units; unit += 1) if (random.chance(rate)) late.push(stage.event(unit, errors))
    stage.begin(second)
    for (const event of late) stage.tell(event)
    for (let unit = units; unit < 2 * units && !stage.aborted; unit += 1) if (random.chance(rate)) stage.tell(stage.event(unit, errors))
    return stage.outcome()
  }
}

/** A fixed crowd that keeps coming, in each phase each of them so many times in turn; some fail far more than others. */
export function regulars(harm: Harm, { users, rounds, shares = ramp }: { readonly users: number; readonly rounds: number; readonly shares?: readonly number[] }): World {
  return (random, judge) => {
    const stage = new Stage(random, judge)
    // The unlucky tenth has half of the failures: a bad network, an odd browser.
    const luck = Array.from({ length: users }, (_, user) => (user % 10 === 0 ? 5 : 0.555))
    for (const share of shares) {
      stage.begin(share)
      for (let request = 0; request < users * rounds && !stage.aborted; request += 1) {
        const user = random.int(0, users - 1)
        if (random.chance(Math.min(1, harm[stage.arm(user)] * (luck[user] ?? 1)))) stage.tell(stage.event(user, errors))
      }
    }
    return stage.outcome()
  }
}

/** Users who fail so many times, each time after `lag` others have failed: what has been forgotten of them meanwhile is counted once more. */
export function returning(rate: number, times: number, lag: number, share: number, units: number): World {
  return (random, judge) => {
    const stage = new Stage(random, judge)
    stage.begin(share)
    const unlucky: number[] = []
    for (let unit = 0; unit < units && !stage.aborted; unit += 1) {
      if (!random.chance(rate)) continue
      unlucky.push(unit)
      for (let time = 0; time < times; time += 1) {
        const user = unlucky[unlucky.length - 1 - time * lag]
        if (user !== undefined) stage.tell(stage.event(user, errors))
      }
    }
    return stage.outcome()
  }
}

/** Several metrics, each of which harms units of its own. */
export function manyMetrics(names: readonly MetricName[], rate: number, units = 20_000): World {
  return (random, judge) => {
    const stage = new Stage(random, judge)
    for (let unit = 0; unit < units && !stage.aborted; unit += 1) {
      if (unit % Math.ceil(units / ramp.length) === 0) stage.begin(ramp[stage.phase] ?? 0)
      const bad = names.filter(() => random.chance(rate))
      if (bad.length > 0) stage.tell(stage.event(unit, bad))
    }
    return stage.outcome()
  }
}

/**
 * The percentage follows what a metric has shown: each unit goes bad in the first metric at the low share; where that
 * shows it on stable the share is raised before it goes bad in the second, where it shows it on the canary it is not.
 */
export function followedMetric(low: number, high: number, units: number): World {
  return (random, judge) => {
    const stage = new Stage(random, judge)
    for (let unit = 0; unit < units && !stage.aborted; unit += 1) {
      stage.begin(low)
      const first = stage.event(unit, ['first'])
      stage.tell(first)
      if (first.arm === 'stable') stage.begin(high)
      stage.tell(stage.event(unit, ['second']))
    }
    return stage.outcome()
  }
}

/** As above, but the arm is seen in the figures and not by the evidence: nothing can defend against that, so no step may do it. */
export function followedArms(low: number, high: number, units: number): World {
  return (random, judge) => {
    const stage = new Stage(random, judge)
    for (let unit = 0; unit < units && !stage.aborted; unit += 1) {
      stage.begin(low)
      if (stage.arm(unit) === 'stable') stage.begin(high)
      stage.tell(stage.event(unit, errors))
    }
    return stage.outcome()
  }
}

/** Steps that wait for so many users of the canary, not for users of both arms; everybody comes back in the next step, and may fail then. */
export function untilOnCanary(rate: number, least: number, shares: readonly number[]): World {
  return (random, judge) => {
    const stage = new Stage(random, judge)
    let came: number[] = []
    let next = 0
    for (const share of shares) {
      stage.begin(share)
      for (const user of came) if (!stage.aborted && random.chance(rate)) stage.tell(stage.event(user, errors))
      came = []
      for (let found = 0; found < least && came.length < 10_000; next += 1) {
        came.push(next)
        if (stage.arm(next) === 'canary') found += 1
      }
    }
    return stage.outcome()
  }
}

/** The canary repairs at first what stable does wrong, later both are alike: those not harmed yet are mostly on the canary. */
export function betterThenEqual(rate: number, users: number, shares: readonly number[]): World {
  return (random, judge) => {
    const stage = new Stage(random, judge)
    for (const [index, share] of shares.entries()) {
      stage.begin(share)
      const repaired = index < shares.length / 2
      for (let request = 0; request < users && !stage.aborted; request += 1) {
        const user = random.int(0, users - 1)
        const arm = stage.arm(user)
        if (random.chance(rate) && !(repaired && arm === 'canary')) stage.tell(stage.event(user, errors))
      }
    }
    return stage.outcome()
  }
}

/** Requests from before the canary, all of stable, whose replies come in while it begins; then a canary that fails. */
export function fromBefore(harm: Harm, before: number): World {
  const after = visits(harm)
  return (random, judge) => {
    let told = false
    return after(random, {
      begin: (phase, share) => judge.begin(phase, share),
      take: (event) => {
        if (!told) {
          told = true
          for (let unit = 0; unit < before; unit += 1) judge.take({ ...event, unit: `before ${unit}`, arm: 'stable', phase: 0 })
        }
        return judge.take(event)
      },
    })
  }
}

/** An attacker who has collected keys of the canary asks with each for a reply that fails, all from one address. */
export function attack(keys: number): World {
  return (random, judge) => {
    const stage = new Stage(random, judge)
    stage.begin(0.05)
    for (let unit = 0, found = 0; found < keys; unit += 1) {
      if (stage.arm(unit) === 'stable') continue
      found += 1
      stage.tell({ ...stage.event(unit, errors), address: '192.0.2.66' })
    }
    return stage.outcome()
  }
}

/**
 * Latency: log-normal with a part of the user's own, slow is what one in twenty of stable's is. The canary takes `times`
 * as long. Each user comes once, in so many requests.
 */
export function latencies(times: number, requests: number, { units = 20_000, shares = ramp, own = 0, each = 0.5 } = {}): World {
  const slow = 1.6449 * Math.hypot(own, each)
  return (random, judge) => {
    const stage = new Stage(random, judge)
    for (let unit = 0; unit < units && !stage.aborted; unit += 1) {
      if (unit % Math.ceil(units / shares.length) === 0) stage.begin(shares[stage.phase] ?? 0)
      const user = own * normal(random) + (stage.arm(unit) === 'canary' ? Math.log(times) : 0)
      for (let request = 0; request < requests && !stage.aborted; request += 1) {
        if (user + each * normal(random) > slow) stage.tell(stage.event(unit, ['latency']))
        else if (request === 0) stage.tell(stage.event(unit, [], ['latency']))
      }
    }
    return stage.outcome()
  }
}

/** Box and Muller. */
function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next())
}
