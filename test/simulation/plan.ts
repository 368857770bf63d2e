import type { CanaryWish } from '../../agent/swap/state.ts'
import { Random } from './random.ts'

/** How a build behaves once it is booted. Times in milliseconds. */
export interface Build {
  /** The identity of the drop. */
  readonly key: string
  readonly takesIn: boolean
  readonly bootMs: number
  readonly health: 'good' | 'never' | 'late'
  /** Ends by itself so long after its boot, this many times. */
  readonly crash: { readonly afterMs: number; readonly times: number } | null
  /** Its probes fail from so long after its first success on. */
  readonly sickAfterMs: number | null
  readonly term: 'quick' | 'slow' | 'ignored'
  /** What would be said of it as a canary: as good, worse, or nothing that one could go by. */
  readonly verdict: 'good' | 'bad' | 'open'
  readonly hooks?: BuildHooks
}

/** One command a hook; absent: the build has none. Milliseconds each. */
export interface BuildHooks {
  readonly prepare: number | null
  readonly release: number | null
  readonly confirmed: number | null
  readonly fails: 'prepare' | 'release' | 'confirmed' | null
}

export type Fault =
  | { readonly do: 'kill-worker'; readonly index: number }
  | { readonly do: 'kill-agent' }
  | { readonly do: 'kill-master'; readonly upAfterMs: number }
  | { readonly do: 'kill-everything'; readonly upAfterMs: number }
  | { readonly do: 'kill-backend'; readonly service: string; readonly which: 'live' | 'fallback' | 'newest' }
  /** Kills the worker that is about to read a message of a flip, and stops another: the flip stays open while one joins. */
  | { readonly do: 'upset-flip'; readonly ms: number }
  | { readonly do: 'stall-worker'; readonly index: number; readonly ms: number }
  | { readonly do: 'stall-agent'; readonly ms: number; readonly wakesLate: boolean }

export type Command =
  | { readonly do: 'drop'; readonly service: string; readonly build: Build }
  | { readonly do: 'swap'; readonly service: string; readonly build: Build; readonly supersede: boolean; readonly canary?: CanaryWish }
  | { readonly do: 'restart'; readonly service: string }
  | { readonly do: 'pause'; readonly service: string; readonly ms: number }
  | { readonly do: 'resume'; readonly service: string }
  | { readonly do: 'rollback'; readonly service: string; readonly to: 'before' | 'any' }
  | { readonly do: 'undo'; readonly service: string; readonly how: 'aborted' | 'timed-out' }
  /** promote, abort, or a share that is set by hand. */
  | { readonly do: 'canary'; readonly service: string; readonly order: 'promote' | 'abort' | number }
  | { readonly do: 'rescan'; readonly service: string }
  | { readonly do: 'down'; readonly upAfterMs: number }
  | { readonly do: 'request'; readonly service: string }

export type Place = 'agent' | 'master' | 'flip'

export type Action =
  | { readonly at: number; readonly act: Command | Fault }
  /** In the n-th moment between two effects (agent, master), or of a flip (before a message about one is read). */
  | { readonly place: Place; readonly moment: number; readonly act: Command | Fault }

/** All that makes a schedule, but for the delays, which the seed gives. Plain data, so that it can be shrunk. */
export interface Plan {
  readonly seed: number
  readonly workers: number
  readonly services: readonly string[]
  /** Whether a confirmed release is live at the beginning. */
  readonly beginsLive: boolean
  readonly bakeMs: number
  readonly drainMs: number
  readonly onCrashLoop: 'hold' | 'rollback'
  /** Whether each swap has a canary. */
  readonly canary: boolean
  /** false: no build can run beside another. */
  readonly overlap: boolean
  /** How likely a flip draws requests to itself. */
  readonly crowding: number
  readonly actions: readonly Action[]
}

export function isFault(act: Command | Fault): act is Fault {
  return act.do.startsWith('kill-') || act.do.startsWith('stall-') || act.do === 'upset-flip'
}

export function makePlan(seed: number): Plan {
  return withCanaries(plainPlan(seed))
}

/** A third of the schedules have canaries, and orders about them; drawn apart, so that the others stay as they are. */
function withCanaries(plan: Plan): Plan {
  const random = new Random(plan.seed ^ 0x2545f491)
  if (!random.chance(0.35)) return plan
  const always = random.chance(0.8)
  const judged = (act: Command | Fault): Command | Fault => {
    if (act.do !== 'drop' && act.do !== 'swap') return act
    const build: Build = { ...act.build, verdict: random.weighted([[5, 'good'], [4, 'bad'], [2, 'open']] as const) }
    if (act.do === 'drop') return { ...act, build }
    return { ...act, build, ...(random.chance(always ? 0.2 : 0.7) ? { canary: random.pick(['none', 0, 0.3, 0.5] as const) } : {}) }
  }
  const actions = plan.actions.map((action): Action => ({ ...action, act: judged(action.act) }))
  for (let left = random.weighted([[3, 0], [3, 1], [2, 3]] as const); left > 0; left -= 1) {
    const order = random.weighted<'promote' | 'abort' | number>([[2, 'promote'], [2, 'abort'], [4, random.pick([0, 0.2, 0.5, 0.8])]])
    const act: Command = { do: 'canary', service: random.pick(plan.services), order }
    actions.push(random.chance(0.5) ? { at: random.between(20, 2_500), act } : { place: random.chance(0.5) ? 'agent' : 'flip', moment: random.int(5, 120), act })
  }
  for (let left = random.weighted([[2, 0], [3, 1], [1, 3]] as const); left > 0; left -= 1) {
    const act = randomFault(random, plan.services)
    actions.push(random.chance(0.5) ? { at: random.between(20, 1_500), act } : { place: random.pick(['agent', 'master'] as const), moment: random.int(10, 110), act })
  }
  for (let left = random.int(5, 40); left > 0; left -= 1) actions.push({ at: random.between(0, 3_000), act: { do: 'request', service: random.pick(plan.services) } })
  return { ...plan, actions, canary: always, beginsLive: random.chance(0.9) || plan.beginsLive }
}

function plainPlan(seed: number): Plan {
  const random = new Random(seed)
  const services = random.chance(0.15) ? ['a', 'b'] : ['a']
  const windowMs = random.between(800, 4_500)
  const bakeMs = random.weighted([[1, 0], [3, 200], [3, 900], [2, 2_500]] as const)
  const actions: Action[] = []
  const commands = random.weighted([[3, 1], [4, 2], [3, 3], [2, 5]] as const)
  for (let index = 0; index < commands; index += 1) {
    const act = randomCommand(random, random.pick(services), index, bakeMs)
    // Some come just when something is on its way.
    if (random.chance(0.6)) actions.push({ at: random.between(0, windowMs * 0.8), act })
    else if (random.chance(0.5)) actions.push({ place: 'flip', moment: random.int(1, 20), act })
    else actions.push({ place: 'agent', moment: random.int(1, 80), act })
  }
  // The first is a build that can succeed: a schedule in which nothing is deployed shows nothing.
  actions.push({ at: random.between(0, windowMs * 0.3), act: { do: random.chance(0.5) ? 'drop' : 'swap', service: random.pick(services), build: randomBuild(random, 'first', 0.75, bakeMs), supersede: false } })
  const faults = random.weighted([[2, 0], [4, 1], [3, 2], [1, 4]] as const)
  for (let index = 0; index < faults; index += 1) {
    const act = randomFault(random, services)
    if (random.chance(0.4)) actions.push({ at: random.between(0, windowMs * 1.2), act })
    else {
      const place = random.weighted<Place>([[5, 'agent'], [3, 'master'], [5, 'flip']])
      const moment = random.int(1, { agent: 110, master: 40, flip: 16 }[place])
      actions.push({ place, moment, act: place === 'flip' && random.chance(0.5) ? { do: 'upset-flip', ms: random.between(10, 900) } : act })
    }
  }
  const stormy = random.chance(0.25)
  if (stormy) {
    const upset: Fault = random.chance(0.7) ? { do: 'upset-flip', ms: random.between(10, 700) } : { do: 'kill-master', upAfterMs: random.between(0, 300) }
    actions.push({ place: 'flip', moment: random.int(1, 8), act: upset })
  }
  const requests = random.int(6, 24)
  for (let index = 0; index < requests; index += 1) actions.push({ at: random.between(0, windowMs * 1.3), act: { do: 'request', service: random.pick(services) } })
  if (random.chance(0.04)) actions.push({ at: random.between(0, windowMs), act: { do: 'down', upAfterMs: random.between(1, 500) } })
  // Drawn apart, so that what a seed means elsewhere stays what it was.
  const apart = new Random(seed ^ 0x2f6e2b1)
  return {
    seed, services, overlap: apart.chance(0.75), actions: actions.map((action) => withHooks(apart, action)), workers: random.weighted(stormy ? [[1, 2], [3, 3], [3, 4]] : [[4, 1], [5, 2], [2, 3], [1, 4]]), beginsLive: random.chance(0.7),
    bakeMs, drainMs: random.pick([250, 700, 1_500]),
    onCrashLoop: random.chance(0.5) ? 'rollback' : 'hold', crowding: stormy ? 1 : random.pick([0.1, 0.4, 0.8]), canary: false,
  }
}

function withHooks(random: Random, action: Action): Action {
  const { act } = action
  if ((act.do !== 'drop' && act.do !== 'swap') || !random.chance(0.35)) return action
  const ms = (): number | null => (random.chance(0.6) ? random.between(0, random.chance(0.3) ? 900 : 60) : null)
  const hooks: BuildHooks = {
    prepare: ms(), release: ms(), confirmed: ms(), fails: random.weighted([[8, null], [1, 'prepare'], [1, 'release'], [1, 'confirmed']] as const),
  }
  return { ...action, act: { ...act, build: { ...act.build, hooks } } }
}

function randomCommand(random: Random, service: string, index: number, bakeMs: number): Command {
  return random.weighted<() => Command>([
    [5, () => ({ do: 'drop', service, build: randomBuild(random, `d${index}`, 0.5, bakeMs) })],
    [4, () => ({ do: 'swap', service, build: randomBuild(random, `s${index}`, 0.5, bakeMs), supersede: random.chance(0.6) })],
    [3, () => ({ do: 'rollback', service, to: random.chance(0.6) ? 'before' : 'any' })],
    [1, () => ({ do: 'restart', service })],
    [1.5, () => ({ do: 'undo', service, how: random.chance(0.5) ? 'aborted' : 'timed-out' })],
    [1, () => ({ do: 'rescan', service })],
    [0.7, () => ({ do: 'pause', service, ms: random.between(1, random.chance(0.3) ? 3_000 : 300) })],
    [0.7, () => ({ do: 'resume', service })],
  ])()
}

function randomBuild(random: Random, key: string, good: number, bakeMs: number): Build {
  const build: Build = {
    key, takesIn: true, bootMs: random.between(1, random.chance(0.3) ? 600 : 60), health: 'good', crash: null, sickAfterMs: null,
    term: random.weighted([[6, 'quick'], [2, 'slow'], [1, 'ignored']] as const), verdict: 'good',
  }
  if (random.chance(good)) return build
  return random.weighted<() => Build>([
    [1, () => ({ ...build, takesIn: false })],
    [2, () => ({ ...build, health: random.chance(0.5) ? 'never' : 'late' })],
    [2, () => ({ ...build, crash: { afterMs: random.between(0, 40), times: random.weighted([[3, 1], [1, 8]] as const) } })],
    [5, () => ({ ...build, crash: { afterMs: random.between(20, 2_500), times: random.weighted([[4, 1], [2, 2], [1, 7]] as const) } })],
    // Some are found out just as their bake ends.
    [4, () => ({ ...build, sickAfterMs: random.chance(0.5) ? random.between(0, 2_000) : Math.max(0, bakeMs - random.between(70, 110)) })],
  ])()
}

function randomFault(random: Random, services: readonly string[]): Fault {
  return random.weighted<() => Fault>([
    [3, () => ({ do: 'kill-worker', index: random.int(0, 3) })],
    [6, () => ({ do: 'kill-agent' })],
    [3, () => ({ do: 'kill-master', upAfterMs: random.between(0, random.chance(0.5) ? 30 : 1_500) })],
    [2, () => ({ do: 'kill-everything', upAfterMs: random.between(0, 300) })],
    [4, () => ({ do: 'kill-backend', service: random.pick(services), which: random.pick(['live', 'fallback', 'newest'] as const) })],
    [4, () => ({ do: 'stall-worker', index: random.int(0, 3), ms: random.between(1, random.chance(0.4) ? 3_500 : 300) })],
    [3, () => ({ do: 'stall-agent', ms: random.between(1, random.chance(0.4) ? 3_500 : 300), wakesLate: random.chance(0.5) })],
  ])()
}
