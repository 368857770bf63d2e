import { describe, expect, it } from 'vitest'
import { FolderBook } from '../../agent/drops/book.ts'
import type { CurrentLink } from '../../agent/drops/current-link.ts'
import type { Listing, Look, Seen } from '../../agent/drops/entry.ts'
import type { Holder } from '../../agent/drops/open-files.ts'

const settleMs = 1000
const at = (ms: number): Listing['at'] => ({ wall: 1_000_000.5 + ms, mono: ms })
const folder = (ms: number, more: Partial<Seen> = {}): Seen => ({ kind: 'folder', inode: 7, birthMs: at(ms).wall, ctimeMs: at(ms).wall, ...more })

function listing(ms: number, seen: Record<string, Seen>, more: Partial<Listing> = {}): Listing {
  const facts = new Map(Object.entries(seen))
  return { at: at(ms), names: new Set(facts.keys()), seen: facts, absentAt: new Map(), current: null, initial: false, ...more }
}

function look(ms: number, changedMs: number, print = String(changedMs)): Look {
  return { name: 'v1', inode: 7, began: at(ms), endedMs: ms, youngestMs: at(changedMs).wall, print }
}

function book(clockIsOurs = true): FolderBook {
  const made = new FolderBook({ folder: '/r', settleMs, clockIsOurs })
  made.listed(listing(0, {}, { initial: true }))
  return made
}

/** A book in which v1 was made in place at 1000 and announced as settled at 2000. */
function guessed(): FolderBook {
  const made = book()
  made.listed(listing(1000, { v1: folder(1000) }))
  expect(made.nextAt()).toBe(2000)
  expect(made.due(at(2000))).toHaveLength(1)
  expect(made.weighed(look(2000, 1000))).toBe('quiet')
  expect(made.settled(look(2000, 1000), [], at(2000)).announce).toMatchObject([{ complete: 'settled', sequence: 1 }])
  return made
}

const cp: Holder = { pid: 9, command: 'cp', resident: false, writing: true }
const release: Holder = { pid: 8, command: 'node', resident: true, writing: true }

describe('a folder made in place', () => {
  it('waits until settle after its last change', () => {
    const made = book()
    made.listed(listing(1000, { v1: folder(1000) }))
    made.due(at(2000))
    expect(made.weighed({ ...look(2000, 1900), print: null })).toBe('not-yet')
    expect(made.nextAt()).toBe(2900)
    expect(made.due(at(2800))).toEqual([])
  })

  it('on a foreign clock takes two looks that find the same', () => {
    const made = book(false)
    made.listed(listing(1000, { v1: folder(1000) }, { absentAt: new Map([['v1', at(900_000).wall]]) }))
    expect(made.list()).toEqual([])
    made.due(at(2000))
    expect(made.weighed(look(2000, 1000, 'a'))).toBe('not-yet')
    made.due(at(3000))
    expect(made.weighed(look(3000, 1000, 'b'))).toBe('not-yet')
    made.due(at(4000))
    expect(made.weighed(look(4000, 1000, 'b'))).toBe('quiet')
  })

  it('is not due again before its look was weighed, and is tried again when the look failed', () => {
    const made = book()
    made.listed(listing(1000, { v1: folder(1000) }))
    expect(made.due(at(2000))).toHaveLength(1)
    expect(made.nextAt()).toBe(Infinity)
    made.failed('v1', 2000)
    expect(made.nextAt()).toBe(3000)
  })

  it('forgets a look into a folder that was replaced meanwhile', () => {
    const made = book()
    made.listed(listing(1000, { v1: folder(1000) }))
    made.due(at(2000))
    made.listed(listing(2001, { v1: folder(2001, { inode: 6 }) }))
    expect(made.weighed(look(2000, 1000))).toBe('not-yet')
    expect(made.settled(look(2000, 1000), [], at(2002))).toEqual({ announce: [], notices: [] })
  })
})

describe('a drop that was a guess', () => {
  it('is looked into at growing intervals, and finally no more', () => {
    const made = guessed()
    const looks: number[] = []
    for (let ms = made.nextAt(); ms < Infinity; ms = made.nextAt()) {
      looks.push(ms)
      made.due(at(ms))
      expect(made.weighed(look(ms, 1000))).toBe('not-yet')
    }
    expect(looks).toEqual([4000, 8000, 16_000, 32_000, 64_000, 128_000, 256_000])
  })

  it('is looked into again when its own ctime moves, and is a new drop when it has settled', () => {
    const made = guessed()
    made.listed(listing(2100, { v1: folder(1000, { ctimeMs: at(2100).wall }) }))
    expect(made.nextAt()).toBe(3100)
    made.due(at(3100))
    expect(made.weighed(look(3100, 2600))).toBe('not-yet')
    made.due(at(3600))
    expect(made.weighed(look(3600, 2600))).toBe('quiet')
    expect(made.settled(look(3600, 2600), [cp], at(3600)).announce).toEqual([])
    made.due(at(4600))
    expect(made.weighed(look(4600, 2600))).toBe('quiet')
    expect(made.settled(look(4600, 2600), [], at(4600)).announce).toMatchObject([{ complete: 'settled', sequence: 2 }])
  })

  it('that a release runs in is taken as it is, told or not', () => {
    const made = guessed()
    made.due(at(4000))
    expect(made.weighed(look(4000, 2500))).toBe('quiet')
    expect(made.settled(look(4000, 2500), [release], at(4000))).toEqual({ announce: [], notices: [] })
    made.due(at(made.nextAt()))
    expect(made.weighed(look(20_000, 9000))).toBe('not-yet')
    made.running('/r/v1', true, 20_000)
    expect(made.nextAt()).toBe(Infinity)
    made.listed(listing(20_100, { v1: folder(1000, { ctimeMs: at(20_100).wall }) }))
    expect(made.nextAt()).toBe(Infinity)
    made.running('/r/v1', false, 30_000)
    made.due(at(30_000))
    expect(made.weighed(look(30_000, 25_000))).toBe('not-yet')
  })

  it('that changes time and again is let alone in the end, and says so', () => {
    const made = guessed()
    let announced = 0
    const told: string[] = []
    for (let i = 0, ms = made.nextAt(); i < 10 && ms < Infinity; i += 1, ms = made.nextAt()) {
      made.due(at(ms))
      if (made.weighed(look(ms, ms - 1500)) !== 'quiet') continue
      const found = made.settled(look(ms, ms - 1500), [], at(ms))
      announced += found.announce.length
      told.push(...found.notices.map((notice) => notice.code))
    }
    expect(announced).toBe(3)
    expect(told).toEqual(['keeps-changing'])
  })

  it('is a new drop when it is marked after it changed, whoever works in it; and not when it did not change', () => {
    for (const changed of [true, false]) {
      const made = guessed()
      made.listed(listing(2500, { v1: folder(1000), 'v1.ready': { kind: 'file', inode: 3, birthMs: at(2500).wall, ctimeMs: at(2500).wall } }))
      made.due(at(2500))
      const found = look(2500, changed ? 2400 : 1000)
      expect(made.weighed(found)).toBe(changed ? 'quiet' : 'not-yet')
      if (changed) expect(made.settled(found, [cp], at(2500)).announce).toMatchObject([{ complete: 'marker' }])
    }
  })
})

describe('a drop that was out of sight', () => {
  it('is the same although its release has written at its top meanwhile, unless it was moved in anew', () => {
    const made = book()
    const absentAt = new Map([['v1', at(900).wall]])
    const [first] = made.listed(listing(1000, { v1: folder(0, { ctimeMs: at(950).wall }) }, { absentAt })).announce
    made.cleared()
    const written = folder(0, { ctimeMs: at(3000).wall })
    expect(made.listed(listing(5000, { v1: written })).announce).toEqual([])
    expect(made.list()).toEqual([first])
    expect(made.nextAt()).toBe(Infinity)
    made.listed(listing(6000, {}))
    const [second] = made.listed(listing(7000, { v1: folder(0, { ctimeMs: at(6900).wall }) }, { absentAt: new Map([['v1', at(6800).wall]]) })).announce
    expect(second).toMatchObject({ complete: 'moved', identity: { ctimeMs: at(6900).wall } })
  })
})

describe('what lay there at the start', () => {
  it('is ordered by birth, however it is known to be whole, and current comes last', () => {
    const made = new FolderBook({ folder: '/r', settleMs, clockIsOurs: true })
    const current: CurrentLink = { inode: 99, stampMs: at(0).wall, target: { path: '/b/x', inode: 98, isFolder: true } }
    const marker: Seen = { kind: 'file', inode: 4, birthMs: at(0).wall, ctimeMs: at(0).wall }
    const seen = { new: folder(-5000, { inode: 1 }), old: folder(-9000, { inode: 2 }), mid: folder(-7000, { inode: 3 }), 'new.ready': marker }
    expect(made.listed(listing(0, seen, { initial: true, current })).announce).toEqual([])
    const due = made.due(at(0))
    expect(due.map((each) => [each.name, each.sure])).toEqual([['old', false], ['mid', false], ['new', true]])
    for (const each of due) {
      const found = { ...look(0, -5000), name: each.name, inode: each.inode }
      if (!each.sure) expect(made.weighed(found)).toBe('quiet')
      expect(made.settled(found, each.name === 'mid' ? [release] : [], at(0)).announce).toEqual([])
    }
    made.started()
    expect(made.list().map((drop) => [drop.identity.name, drop.complete])).toEqual([['old', 'initial'], ['mid', 'initial'], ['new', 'initial'], ['x', 'initial']])
    expect(made.newest()).toBe(made.current())
  })

  it('that somebody still writes to is not whole', () => {
    const made = new FolderBook({ folder: '/r', settleMs, clockIsOurs: true })
    made.listed(listing(0, { v1: folder(-9000) }, { initial: true }))
    made.due(at(0))
    expect(made.weighed(look(0, -9000))).toBe('quiet')
    expect(made.settled(look(0, -9000), [{ ...cp }], at(0)).notices).toMatchObject([{ code: 'still-open' }])
    expect(made.list()).toEqual([])
    made.due(at(1000))
    made.weighed(look(1000, -9000))
    expect(made.settled(look(1000, -9000), [], at(1000)).announce).toMatchObject([{ complete: 'settled' }])
  })
})

describe('current', () => {
  const link: CurrentLink = { inode: 99, stampMs: 5, target: { path: '/b/x', inode: 98, isFolder: true } }

  it('that was out of sight for a moment is the same drop, and not announced again', () => {
    const made = book()
    const [drop] = made.listed(listing(1000, {}, { current: link })).announce
    expect(made.listed(listing(2000, {}, { current: null })).announce).toEqual([])
    expect(made.current()).toBe(null)
    expect(made.listed(listing(3000, {}, { current: link })).announce).toEqual([])
    expect(made.current()?.identity).toEqual(drop?.identity)
    made.cleared()
    expect(made.current()).toBe(null)
    made.listed(listing(4000, {}, { current: link }))
    expect(made.current()?.identity).toEqual(drop?.identity)
  })

  it('whose folder vanished is told once', () => {
    const made = book()
    made.listed(listing(1000, {}, { current: link }))
    const gone = { ...link, target: null }
    expect(made.listed(listing(2000, {}, { current: gone })).notices).toMatchObject([{ code: 'current-dangling' }])
    expect(made.listed(listing(3000, {}, { current: gone })).notices).toEqual([])
    expect(made.newest()).toBe(null)
  })
})
