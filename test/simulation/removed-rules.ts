import { WorkerRoutes } from '../../proxy/worker/routes.ts'
import { Committer, type CommitterEffect, type CommitterInput } from '../../proxy/master/committer.ts'
import { routeOf, type ProposedRoute, type Table } from '../../proxy/table.ts'
import { production, type CommitterPart, type Parts, type RoutesPart } from './parts.ts'
import type { Invariant } from './violation.ts'

/** One rule of the design, and the machine as it would be without it. Nothing in the production code knows of this. */
export interface RemovedRule {
  /** Where the design states it. */
  readonly rule: string
  readonly without: string
  readonly parts: Parts
  /** What catches it. */
  readonly caughtBy: readonly Invariant[]
}

/** A committer whose inputs or effects are tampered with. */
function tampered(tamper: (committer: Committer, input: CommitterInput) => CommitterEffect[]): Parts['committer'] {
  return (table: Table): CommitterPart => {
    const committer = new Committer(table)
    return {
      get table() { return committer.table },
      get epoch() { return committer.epoch },
      get violations() { return committer.violations },
      get flipping() { return committer.flipping },
      handle: (input) => tamper(committer, input),
    }
  }
}

/** The workers are not asked: each counts as prepared at once. */
function unprepared(committer: Committer, effects: readonly CommitterEffect[]): CommitterEffect[] {
  const kept: CommitterEffect[] = []
  const asked: Extract<CommitterInput, { type: 'prepared' }>[] = []
  for (const effect of effects) {
    if (effect.do === 'send' && effect.message.type === 'prepare') asked.push({ type: 'prepared', worker: effect.worker, flip: effect.message.flip })
    else kept.push(effect)
  }
  for (const prepared of asked) kept.push(...unprepared(committer, committer.handle(prepared)))
  return kept
}

/** Each route is changed before it is committed. */
function rerouted(change: (route: ProposedRoute, table: Table) => ProposedRoute): Parts['committer'] {
  return tampered((committer, input) => committer.handle(input.type === 'route' ? { ...input, route: change(input.route, committer.table) } : input))
}

function forgetfulRoutes(): RoutesPart {
  const routes = new WorkerRoutes()
  return {
    get table() { return routes.table },
    get anyPrepared() { return routes.anyPrepared },
    get isPaused() { return routes.isPaused },
    set isPaused(is) { routes.isPaused = is },
    apply: (message) => routes.apply(message),
    masterVanished: () => routes.masterVanished(null),
    decide: (service, failed, asker) => routes.decide(service, failed, asker),
  }
}

export const removedRules: readonly RemovedRule[] = [
  {
    rule: 'section 3, "a flip has two phases": every worker parks and acknowledges first',
    without: 'the prepare phase is skipped',
    parts: { ...production, committer: tampered((committer, input) => unprepared(committer, committer.handle(input))) },
    caughtBy: ['I1 atomic flip'],
  },
  {
    rule: 'section 3, "a flip has two phases", for a worker that starts meanwhile',
    without: 'a worker that joins is not told of the prepare',
    parts: {
      ...production,
      committer: tampered((committer, input) => {
        const effects = committer.handle(input)
        return input.type === 'worker-started' ? unprepared(committer, effects) : effects
      }),
    },
    caughtBy: ['I1 atomic flip'],
  },
  {
    rule: 'section 3, "a prepared worker whose master vanished reads the table file"',
    without: 'it lets its parked requests go by the table it has',
    parts: { ...production, routes: forgetfulRoutes },
    caughtBy: ['I1 atomic flip'],
  },
  {
    rule: 'section 3, "each agent start takes a new epoch, a lower one is refused"',
    without: 'epochs are ignored',
    parts: { ...production, checksEpochs: false, committer: tampered((committer, input) => committer.handle(input.type === 'route' ? { ...input, epoch: committer.epoch } : input)) },
    caughtBy: ['I5 epochs'],
  },
  {
    rule: 'section 4, step 5: "only then is it told to stop"',
    without: 'quiet is said at once, whatever is in flight',
    parts: { ...production, awaitsQuiet: false },
    caughtBy: ['I3 nothing lost'],
  },
  {
    rule: 'section 1, promise 3, "health first"',
    without: 'every release counts as healthy once it is booted',
    parts: { ...production, probesHealth: false },
    caughtBy: ['I2 health first'],
  },
  {
    rule: 'section 3, "the journal is the truth about intent": written before anything is done',
    without: 'the journal is written after the effects of its step',
    parts: { ...production, journalsFirst: false },
    caughtBy: ['I6 confirmed only', 'I7 once', 'I8 answers', 'Q rest'],
  },
  {
    rule: 'section 1, promise 6, "the last confirmed release boots, never a tentative one"',
    without: 'after a crash of the master the tentative release counts as confirmed',
    parts: {
      ...production,
      recover(state, world) {
        if (world.masterIsNew && state.tentative !== null) {
          state.confirmed = state.tentative.release
          state.tentative = null
        }
        return production.recover(state, world)
      },
    },
    caughtBy: ['I6 confirmed only'],
  },
  {
    rule: 'section 4, "a drop\'s identity and outcome are journaled"',
    without: 'the outcome of a drop is forgotten',
    parts: {
      ...production,
      step(state, event) {
        const effects = production.step(state, event)
        for (const [key, outcome] of Object.entries(state.tried)) if (outcome !== 'taken') delete state.tried[key]
        return effects
      },
    },
    caughtBy: ['I7 once', 'Q rest'],
  },
  {
    rule: 'section 4, step 6, and the drain: the fallback is out of the table before it is stopped',
    without: 'the fallback stays in the table when the bake is over',
    parts: {
      ...production,
      committer: rerouted((route, table) => {
        const before = routeOf(table, route.service)
        return before?.live?.release === route.live?.release && before !== undefined && before.fallback !== null ? { ...route, fallback: before.fallback } : route
      }),
    },
    caughtBy: ['I3 nothing lost'],
  },
  {
    rule: 'section 3, "during bake the table says {live, fallback}"',
    without: 'the table never names a fallback',
    parts: { ...production, committer: rerouted((route) => ({ ...route, fallback: null })) },
    caughtBy: ['I10 fallback'],
  },
  {
    rule: 'section 3, "a worker that does not acknowledge the prepare in time: the flip is undone"',
    without: 'a flip waits for its workers for ever',
    parts: { ...production, committer: tampered((committer, input) => (input.type === 'timeout' && input.phase === 'prepare' ? [] : committer.handle(input))) },
    caughtBy: ['I9 no one waits for ever'],
  },
  {
    rule: 'section 4, step 6: "probe the old one, flip back"',
    without: 'the bake may end before the old release has answered',
    parts: {
      ...production,
      step(state, event) {
        if (state.tentative !== null) state.tentative.probing = false
        return production.step(state, event)
      },
    },
    caughtBy: ['I12 bake'],
  },
  {
    rule: 'section 3, "an agent that comes back compares the two": journal and table',
    without: 'it believes that the table is as it was last told',
    parts: {
      ...production,
      recover: (state, world) => production.recover(state, { ...world, committed: state.committed, committedNumber: state.committedNumber }),
    },
    caughtBy: ['I3 nothing lost', 'I7 once', 'L liveness', 'Q rest'],
  },
  {
    rule: 'section 3: the workers of a dead master serve on with their table until they have left',
    without: 'the new master does not wait for them before it says quiet',
    parts: { ...production, countsOrphans: false },
    caughtBy: ['I3 nothing lost'],
  },
  {
    rule: 'section 3, "safe table": the master takes a canary out by itself when the agent dies',
    without: 'the canary stays where it is until another agent has begun',
    parts: { ...production, committer: tampered((committer, input) => committer.handle(input.type === 'route' ? { ...input, safe: null } : input)) },
    caughtBy: ['C3 judged'],
  },
  {
    rule: 'the canary contract: raising the share moves nobody back, whichever worker answers',
    without: 'a raise is told to the workers one after the other',
    parts: {
      ...production,
      committer: tampered((committer, input) => {
        const effects = committer.handle(input)
        const before = input.type === 'route' ? routeOf(committer.table, input.route.service) : undefined
        const isRaise = input.type === 'route' && before?.live?.release === input.route.live?.release && (input.route.canary ?? null) !== null
        return isRaise ? unprepared(committer, effects) : effects
      }),
    },
    caughtBy: ['C1 one way'],
  },
  {
    rule: 'the canary contract: what the verdict is against is taken back',
    without: 'the steps go on whatever the verdict says',
    parts: { ...production, step: (state, event) => production.step(state, event.type === 'canary-end' && event.how === 'failed' ? { type: 'canary-promote', release: event.release, why: '' } : event) },
    caughtBy: ['C2 verdict'],
  },
  {
    rule: 'section 3: a canary is not taken over from a dead master',
    without: 'a new master begins with the canaries of the old one',
    parts: { ...production, withoutDeadTargets: (table, epoch, runs) => {
      const kept = production.withoutDeadTargets(table, epoch, runs)
      return { ...kept, routes: kept.routes.map((route) => ({ ...route, canary: routeOf(table, route.service)?.canary ?? null })) }
    } },
    caughtBy: ['C3 judged'],
  },
  {
    rule: 'section 3, and promise 6: a new master adopts only what still runs',
    without: 'a new master begins with the table as it was',
    parts: { ...production, withoutDeadTargets: (table, epoch) => ({ ...table, epoch, number: table.number + 1 }) },
    caughtBy: ['I11 no dead targets'],
  },
  {
    rule: 'section 4, "overlap: false": the old one has ended before the new one boots',
    without: 'nobody is asked to make room',
    parts: { ...production, step: (state, event) => production.step(state, event.type === 'taken-in' ? { ...event, plan: { ...event.plan, overlap: true } } : event) },
    caughtBy: ['I13 alone'],
  },
  {
    rule: 'section 4, "overlap: false": the old build is not booted again before what took its place has ended',
    without: 'what is on its way out does not count',
    parts: {
      ...production,
      step(state, event) {
        for (const one of state.leaving) if (one.release !== state.confirmed) Object.assign(state.releases.find((record) => record.id === one.release)?.boot ?? {}, { overlap: true })
        const confirmed = state.releases.find((record) => record.id === state.confirmed)
        if (state.swap?.step === 'returning') Object.assign(confirmed?.boot ?? {}, { overlap: true })
        return production.step(state, event)
      },
    },
    caughtBy: ['I13 alone'],
  },
  {
    rule: 'section 7, hooks: a hook is run once, whatever becomes of the agent',
    without: 'a new agent is not told which hooks its master knows',
    parts: { ...production, recover: (state, world) => production.recover(state, { ...world, hooks: new Map() }) },
    caughtBy: ['I14 hooks', 'Q rest'],
  },
  {
    rule: 'section 7, hooks: none is started beside one that is still being ended',
    without: 'a hook that was given up is forgotten at once',
    parts: {
      ...production,
      step(state, event) {
        state.hooks = state.hooks.filter((one) => one.step !== 'ending')
        return production.step(state, event)
      },
    },
    caughtBy: ['I14 hooks'],
  },
  {
    rule: 'section 7, hooks: "failure fails the deploy"',
    without: 'the exit code of a hook is not looked at',
    parts: { ...production, step: (state, event) => production.step(state, event.type === 'hook-ended' ? { ...event, failure: null } : event) },
    caughtBy: ['I14 hooks'],
  },
]
