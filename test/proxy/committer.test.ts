import { describe, expect, it } from 'vitest'
import { Committer, type CommitterEffect, type CommitterInput } from '../../proxy/master/committer.ts'
import { emptyTable, routeOf, type ProposedRoute, type ReleaseId } from '../../proxy/table.ts'

const times = { prepareMs: 10, commitMs: 20, attempts: 2 }

function to(release: ReleaseId, port: number, fallback: ProposedRoute['live'] = null): ProposedRoute {
  return { service: 'shop', state: 'serving', live: { release, host: '127.0.0.1', port, healthy: true }, fallback, reason: null, settings: { holdTimeoutMs: 1, holdMax: 1 } }
}

/** A committer that knows two workers and an agent of epoch 1, with v1 live. */
function ready(): Committer {
  const committer = new Committer(emptyTable, times)
  give(committer, { type: 'agent-started', epoch: 1 }, { type: 'worker-started', worker: 1 }, { type: 'worker-started', worker: 2 })
  const effects = give(committer, { type: 'route', epoch: 1, request: 1, route: to('shop/v1', 1001) })
  acknowledge(committer, effects)
  return committer
}

function give(committer: Committer, ...inputs: CommitterInput[]): CommitterEffect[] {
  return inputs.flatMap((input) => committer.handle(input))
}

/** Every worker acknowledges what it was sent. */
function acknowledge(committer: Committer, effects: readonly CommitterEffect[]): CommitterEffect[] {
  return effects.flatMap((effect) => {
    if (effect.do !== 'send') return []
    const { worker, message } = effect
    if (message.type === 'prepare') return committer.handle({ type: 'prepared', worker, flip: message.flip })
    if (message.type === 'commit') return committer.handle({ type: 'committed', worker, flip: message.flip, longestParkMs: worker })
    return []
  })
}

const kinds = (effects: readonly CommitterEffect[]): string[] => effects.map((effect) => (effect.do === 'send' ? `${effect.message.type} to ${effect.worker}` : effect.do))
const live = (committer: Committer): string | undefined => routeOf(committer.table, 'shop')?.live?.release

describe('a flip', () => {
  it('is committed only after every worker has prepared', () => {
    const committer = ready()
    const prepare = give(committer, { type: 'route', epoch: 1, request: 2, route: to('shop/v2', 1002) })
    expect(kinds(prepare)).toEqual(['prepare to 1', 'prepare to 2', 'arm'])
    const first = prepare.find((effect) => effect.do === 'send')
    const flip = first?.do === 'send' && first.message.type === 'prepare' ? first.message.flip : 0
    expect(kinds(give(committer, { type: 'prepared', worker: 1, flip }))).toEqual([])
    expect(live(committer)).toBe('shop/v1')
    const commit = give(committer, { type: 'prepared', worker: 2, flip })
    expect(kinds(commit)).toEqual(['write-table', 'commit to 1', 'commit to 2', 'committed', 'arm'])
    expect(live(committer)).toBe('shop/v2')
    expect(acknowledge(committer, commit)).toEqual([{ do: 'flip-done', epoch: 1, request: 2, longestParkMs: 2 }])
  })

  it('gives the new route a new since, and a change that moves nobody keeps it and needs no prepare', () => {
    const committer = ready()
    const since = routeOf(committer.table, 'shop')?.since
    const effects = give(committer, { type: 'route', epoch: 1, request: 2, route: to('shop/v1', 1001, { release: 'shop/v0', host: '127.0.0.1', port: 1000, healthy: true }) })
    expect(kinds(effects)).toEqual(['write-table', 'commit to 1', 'commit to 2', 'committed', 'arm'])
    expect(routeOf(committer.table, 'shop')?.since).toBe(since)
    acknowledge(committer, effects)
    acknowledge(committer, acknowledge(committer, give(committer, { type: 'route', epoch: 1, request: 3, route: to('shop/v2', 1002) })))
    expect(routeOf(committer.table, 'shop')?.since).toBe(committer.table.number)
  })

  it('is undone and tried once more where a worker does not acknowledge, then refused, and the table is as before', () => {
    const committer = ready()
    const before = committer.table
    let effects = give(committer, { type: 'route', epoch: 1, request: 2, route: to('shop/v2', 1002) })
    for (const attempt of [1, 2]) {
      const arm = effects.find((effect) => effect.do === 'arm')
      const flip = arm?.do === 'arm' ? arm.flip : 0
      give(committer, { type: 'prepared', worker: 1, flip })
      effects = give(committer, { type: 'timeout', flip, phase: 'prepare' })
      expect(kinds(effects).slice(0, 2)).toEqual(['undo to 1', 'undo to 2'])
      expect(kinds(effects).slice(2)).toEqual(attempt === 1 ? ['prepare to 1', 'prepare to 2', 'arm'] : ['refused'])
    }
    expect(effects.at(-1)).toMatchObject({ code: 'worker-mute', request: 2 })
    expect(committer.table).toBe(before)
    expect(committer.flipping).toBe(false)
  })

  it('goes on without a worker that dies in it', () => {
    const committer = ready()
    const prepare = give(committer, { type: 'route', epoch: 1, request: 2, route: to('shop/v2', 1002) })
    give(committer, { type: 'worker-gone', worker: 2 })
    acknowledge(committer, prepare.slice(0, 1))
    expect(live(committer)).toBe('shop/v2')
  })

  it('prepares a worker that joins in the middle, and waits for it', () => {
    const committer = ready()
    const prepare = give(committer, { type: 'route', epoch: 1, request: 2, route: to('shop/v2', 1002) })
    const joined = give(committer, { type: 'worker-started', worker: 3 })
    expect(kinds(joined)).toEqual(['table to 3', 'prepare to 3'])
    acknowledge(committer, prepare)
    expect(live(committer)).toBe('shop/v1')
    acknowledge(committer, joined)
    expect(live(committer)).toBe('shop/v2')
  })

  it('replaces a worker that does not acknowledge the commit, and undoes nothing', () => {
    const committer = ready()
    const commit = acknowledge(committer, give(committer, { type: 'route', epoch: 1, request: 2, route: to('shop/v2', 1002) }))
    const arm = commit.find((effect) => effect.do === 'arm')
    expect(kinds(give(committer, { type: 'timeout', flip: arm?.do === 'arm' ? arm.flip : 0, phase: 'commit' }))).toEqual(['replace', 'replace'])
    expect(live(committer)).toBe('shop/v2')
  })

  it('is refused as busy while another is open', () => {
    const committer = ready()
    give(committer, { type: 'route', epoch: 1, request: 2, route: to('shop/v2', 1002) })
    expect(give(committer, { type: 'route', epoch: 1, request: 3, route: to('shop/v3', 1003) })).toMatchObject([{ do: 'refused', code: 'busy', request: 3 }])
  })
})

describe('the services', () => {
  const settings = { holdTimeoutMs: 5, holdMax: 5 }
  const named = (...names: string[]): CommitterInput => ({ type: 'services', epoch: 1, request: 9, places: names.map((service) => ({ service, match: { host: null, path: `/${service}` }, settings })) })

  it('are named in one commit without a prepare: who is new is held, who is gone has no route, who stays keeps its release', () => {
    const committer = ready()
    const { since } = routeOf(committer.table, 'shop') ?? { since: -1 }
    const effects = give(committer, named('shop', 'api'))
    expect(kinds(effects)).toEqual(['write-table', 'commit to 1', 'commit to 2', 'committed', 'arm'])
    acknowledge(committer, effects)
    expect(routeOf(committer.table, 'shop')).toMatchObject({ match: { path: '/shop' }, since, settings, live: { release: 'shop/v1' } })
    expect(routeOf(committer.table, 'api')).toMatchObject({ state: 'holding', live: null })
    acknowledge(committer, give(committer, named('api')))
    expect(committer.table.routes.map((route) => route.service)).toEqual(['api'])
  })

  it('keep their place through the flips of their releases', () => {
    const committer = ready()
    acknowledge(committer, give(committer, named('shop')))
    acknowledge(committer, acknowledge(committer, give(committer, { type: 'route', epoch: 1, request: 10, route: to('shop/v2', 1002) })))
    expect(routeOf(committer.table, 'shop')).toMatchObject({ match: { path: '/shop' }, live: { release: 'shop/v2' } })
  })

  it('wait for a flip that is open, and are refused to an agent that is over', () => {
    const committer = ready()
    give(committer, { type: 'route', epoch: 1, request: 10, route: to('shop/v2', 1002) })
    expect(give(committer, named('shop'))).toMatchObject([{ do: 'refused', code: 'busy' }])
    expect(give(ready(), { ...named('shop'), epoch: 0 } as CommitterInput)).toMatchObject([{ do: 'refused', code: 'stale-epoch' }])
  })
})

describe('an agent', () => {
  it('that was replaced can change nothing', () => {
    const committer = ready()
    give(committer, { type: 'agent-gone' }, { type: 'agent-started', epoch: 2 })
    expect(give(committer, { type: 'route', epoch: 1, request: 9, route: to('shop/v9', 1009) })).toMatchObject([{ do: 'refused', code: 'stale-epoch' }])
    expect(live(committer)).toBe('shop/v1')
  })

  it('that dies before the commit leaves an undone flip, after it a committed one', () => {
    const before = ready()
    give(before, { type: 'route', epoch: 1, request: 2, route: to('shop/v2', 1002) })
    expect(kinds(give(before, { type: 'agent-gone' }))).toEqual(['undo to 1', 'undo to 2'])
    expect(live(before)).toBe('shop/v1')

    const after = ready()
    acknowledge(after, give(after, { type: 'route', epoch: 1, request: 2, route: to('shop/v2', 1002) }))
    give(after, { type: 'agent-gone' })
    expect(live(after)).toBe('shop/v2')
  })
})

describe('the safe route', () => {
  it('is committed with both phases when the agent dies, also in the middle of a commit', () => {
    const committer = ready()
    const commit = acknowledge(committer, give(committer, { type: 'route', epoch: 1, request: 2, route: to('shop/v2', 1002), safe: to('shop/v1', 1001) }))
    give(committer, { type: 'agent-gone' })
    expect(live(committer)).toBe('shop/v2')
    const prepare = acknowledge(committer, commit)
    expect(kinds(prepare)).toContain('prepare to 1')
    acknowledge(committer, prepare)
    expect(live(committer)).toBe('shop/v1')
  })

  it('is forgotten when a route without one is committed', () => {
    const committer = ready()
    acknowledge(committer, acknowledge(committer, give(committer, { type: 'route', epoch: 1, request: 2, route: to('shop/v2', 1002), safe: to('shop/v1', 1001) })))
    acknowledge(committer, give(committer, { type: 'route', epoch: 1, request: 3, route: to('shop/v2', 1002) }))
    expect(give(committer, { type: 'agent-gone' })).toEqual([])
    expect(live(committer)).toBe('shop/v2')
  })
})

describe('a canary', () => {
  const canary = (share: number, salt = 's'): ProposedRoute => ({
    ...to('shop/v1', 1001),
    canary: {
      target: { release: 'shop/v2', host: '127.0.0.1', port: 1002, healthy: true }, share, phase: 1, salt, secret: '', key: null, sticky: 'none',
      names: { canary: [], stable: [] }, allow: [], slowMs: null, timedFromMs: 0,
    },
  })
  const stable = to('shop/v1', 1001)
  const route = (request: number, wanted: ProposedRoute): CommitterInput => ({ type: 'route', epoch: 1, request, route: wanted, safe: stable })
  const shareOf = (committer: Committer): number | undefined => routeOf(committer.table, 'shop')?.canary?.share

  /** A committer with v2 as a canary at 5%. */
  function withCanary(): Committer {
    const committer = ready()
    acknowledge(committer, acknowledge(committer, give(committer, route(2, canary(0.05)))))
    return committer
  }

  it('is prepared for where visitors go to it who went to stable before, and at once where they come back', () => {
    const committer = withCanary()
    expect(shareOf(committer)).toBe(0.05)
    expect(kinds(give(committer, route(3, canary(0.25))))).toContain('prepare to 1')
    const other = withCanary()
    expect(kinds(give(other, route(3, canary(0.01)))).slice(0, 3)).toEqual(['write-table', 'commit to 1', 'commit to 2'])
    expect(routeOf(other.table, 'shop')?.since).toBe(routeOf(withCanary().table, 'shop')?.since)
    expect(kinds(give(ready(), route(3, canary(0)))).slice(0, 1)).toEqual(['write-table'])
    expect(kinds(give(withCanary(), route(3, canary(0.05, 'another salt'))))).toContain('prepare to 1')
  })

  it('is taken out by the master when the agent dies, without waiting for anybody', () => {
    const committer = withCanary()
    expect(kinds(give(committer, { type: 'agent-gone' })).slice(0, 2)).toEqual(['write-table', 'commit to 1'])
    expect(shareOf(committer)).toBeUndefined()
  })

  it('is taken out when the agent says so, before the route that says the same, which is no busy table', () => {
    const committer = withCanary()
    const safe = give(committer, { type: 'go-safe', epoch: 1, service: 'shop' })
    expect(kinds(safe).slice(0, 2)).toEqual(['write-table', 'commit to 1'])
    expect(shareOf(committer)).toBeUndefined()
    expect(give(committer, { type: 'route', epoch: 1, request: 3, route: stable })).toEqual([])
    expect(acknowledge(committer, safe)).toContainEqual({ do: 'committed', epoch: 1, request: 3, number: committer.table.number })
  })

  it('is taken out also in the middle of a raise: undone before its commit, followed after it', () => {
    const preparing = withCanary()
    give(preparing, route(3, canary(0.5)))
    const effects = give(preparing, { type: 'go-safe', epoch: 1, service: 'shop' })
    expect(effects).toContainEqual(expect.objectContaining({ do: 'refused', request: 3, code: 'busy' }))
    expect(shareOf(preparing)).toBeUndefined()
    const committing = withCanary()
    const commit = acknowledge(committing, give(committing, route(3, canary(0.5))))
    give(committing, { type: 'go-safe', epoch: 1, service: 'shop' })
    acknowledge(committing, commit)
    expect(shareOf(committing)).toBeUndefined()
  })

  it('is not touched by the word of an agent that is over, nor by one about another service', () => {
    const committer = withCanary()
    expect(give(committer, { type: 'go-safe', epoch: 0, service: 'shop' }, { type: 'go-safe', epoch: 1, service: 'api' })).toEqual([])
    expect(shareOf(committer)).toBe(0.05)
  })
})
