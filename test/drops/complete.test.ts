import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { markerVouches, quietAtStart, quietIn, wasMovedIn } from '../../agent/drops/complete.ts'
import { clockSteady } from '../../agent/drops/instant.ts'
import { notYetAt } from '../../agent/drops/pulse.ts'

const base = { birthMs: 10_001, absentAtMs: 10_400, hiddenBirthMs: null, clockIsOurs: true }

describe('rule (a): moved in', () => {
  it.each([
    ['born before it was absent', base, true],
    ['born after it was absent: made in place', { ...base, birthMs: 10_401 }, false],
    ['born within the coarseness of the kernel clock before', { ...base, birthMs: 10_395 }, false],
    ['nothing is known of its absence', { ...base, absentAtMs: null }, false],
    ['the file system keeps no birth', { ...base, birthMs: 0 }, false],
    ['the file system keeps no birth, and the inode was hidden', { ...base, birthMs: 0, hiddenBirthMs: 0 }, false],
    ['births in whole seconds might be two later', { ...base, birthMs: 10_000 }, false],
    ['births in whole seconds, long ago', { ...base, birthMs: 5_000 }, true],
    ['the clock of a file server', { ...base, clockIsOurs: false }, false],
    ['seen before under an ignored name', { ...base, birthMs: 10_401, hiddenBirthMs: 10_401 }, true],
    ['seen before under an ignored name on a file server', { ...base, clockIsOurs: false, hiddenBirthMs: 10_001 }, true],
    ['an inode that was used before by something else', { ...base, birthMs: 10_401, hiddenBirthMs: 9_000 }, false],
  ])('%s', (_title, facts, moved) => {
    expect(wasMovedIn(facts)).toBe(moved)
  })

  it('is never believed of what was made in place, however long the event loop stood still', () => {
    // Beats come every 100 ms, but for stalls; the event is delivered when the loop next polls.
    fc.assert(fc.property(
      fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 3, maxLength: 30 }),
      fc.integer({ min: 0, max: 30_000 }), fc.integer({ min: 0, max: 10 }), fc.boolean(),
      (gaps, bornAt, coarse, eventBeforeBeat) => {
        const beats: number[] = []
        let now = 0
        for (const gap of gaps) beats.push(now += gap)
        // The loop polls right after each beat; what happened since the poll before is delivered there.
        const poll = beats.findIndex((beat) => beat >= bornAt)
        if (poll < 2) return
        const beforeLast = beats[eventBeforeBeat ? poll - 2 : poll - 1] as number
        const at = beats[poll] as number
        const absentAtMs = notYetAt({ wall: beforeLast, mono: beforeLast }, { wall: at, mono: at }, 0)
        expect(wasMovedIn({ birthMs: bornAt - coarse + 0.5, absentAtMs, hiddenBirthMs: null, clockIsOurs: true })).toBe(false)
      },
    ), { numRuns: 2000 })
  })

  it('says nothing where the clock was set between', () => {
    expect(notYetAt({ wall: 1000, mono: 1000 }, { wall: 1200, mono: 1200 }, 0)).toBe(1000)
    expect(notYetAt({ wall: 1000, mono: 1000 }, { wall: 3_601_200, mono: 1200 }, 0)).toBe(null)
    expect(notYetAt({ wall: 3_601_000, mono: 1000 }, { wall: 1200, mono: 1200 }, 0)).toBe(null)
    expect(notYetAt(null, { wall: 1200, mono: 1200 }, 0)).toBe(null)
    expect(notYetAt({ wall: 1000, mono: 1000 }, { wall: 1200, mono: 1200 }, 1000)).toBe(0)
  })

  it('a clock that NTP slews is steady, one that was set is not', () => {
    expect(clockSteady({ wall: 0, mono: 0 }, { wall: 3_601_800, mono: 3_600_000 })).toBe(true)
    expect(clockSteady({ wall: 0, mono: 0 }, { wall: 5_100, mono: 5_000 })).toBe(false)
    expect(clockSteady({ wall: 0, mono: 0 }, { wall: 4_900, mono: 5_000 })).toBe(false)
  })
})

describe('rule (b): the marker', () => {
  it('speaks for a folder that was there before it, and not for a later one of the same name', () => {
    const folder = (birthMs: number): boolean => markerVouches(5000, { inode: 1, birthMs, ctimeMs: 9000 })
    expect([4000, 5000, 5001, 0].map(folder)).toEqual([true, true, false, true])
  })

  it('speaks for a file that was not touched since, by whatever: it can be written over', () => {
    const file = (ctimeMs: number): boolean => markerVouches(5000, { inode: 1, birthMs: 4000, ctimeMs, file: { size: 1, mtimeMs: 1, mode: 0o644 } })
    expect([4000, 5000, 5001].map(file)).toEqual([true, true, false])
  })
})

describe('rule (c): settled', () => {
  const quiet = { at: { wall: 103_001, mono: 3001 }, noticed: { wall: 100_000, mono: 0 }, youngestMs: 100_001, unchangedSinceMs: 3001, settleMs: 3000, clockIsOurs: true }

  it.each([
    ['nothing is younger than settle', quiet, 0],
    ['something was changed a second ago', { ...quiet, youngestMs: 102_001 }, 2000],
    ['a clock that is not ours says nothing', { ...quiet, clockIsOurs: false }, 3000],
    ['two looks that find the same suffice without a clock', { ...quiet, clockIsOurs: false, unchangedSinceMs: 1 }, 0],
    ['the clock was set forward meanwhile', { ...quiet, at: { wall: 9_103_001, mono: 3001 } }, 3000],
    ['the clock was set back: stamps lie in the future', { ...quiet, youngestMs: 9_100_001 }, 3000],
    ['stamps in the future, and two looks that find the same', { ...quiet, youngestMs: 9_100_001, unchangedSinceMs: 0 }, 0],
    ['it was noticed a second ago, whatever its stamps say', { ...quiet, noticed: { wall: 102_001, mono: 2001 }, youngestMs: 50_001 }, 2000],
    ['stamps in whole seconds might be two later', { ...quiet, youngestMs: 100_000 }, 1999],
  ])('%s', (_title, facts, waitMs) => {
    expect(quietIn(facts)).toBe(waitMs)
  })

  it('never takes a tree for quiet in which something changed within settle, whatever the clocks do', () => {
    fc.assert(fc.property(
      fc.integer({ min: 0, max: 20_000 }), fc.integer({ min: 0, max: 20_000 }), fc.integer({ min: 0, max: 20_000 }), fc.integer({ min: -100_000, max: 100_000 }),
      (noticedAt, changedAfter, lookedAfter, step) => {
        const changed = noticedAt + changedAfter
        const looked = changed + lookedAfter
        const stepped = Math.abs(step) > 100 ? step : 0
        // The clock is set at some time between the change and the look, or not at all.
        const waitMs = quietIn({
          at: { wall: 1_000_000.5 + looked + stepped, mono: looked }, noticed: { wall: 1_000_000.5 + noticedAt, mono: noticedAt },
          youngestMs: 1_000_000.5 + changed, unchangedSinceMs: looked, settleMs: 3000, clockIsOurs: true,
        })
        if (lookedAfter < 3000) expect(waitMs).toBeGreaterThan(0)
        expect(waitMs).toBeLessThanOrEqual(3000)
      },
    ), { numRuns: 2000 })
  })

  it('at the start goes by age, with a minute to spare where the clock is not ours', () => {
    expect(quietAtStart(1_001, 4_001, 3000, true)).toBe(true)
    expect(quietAtStart(1_001, 4_000, 3000, true)).toBe(false)
    expect(quietAtStart(1_001, 60_000, 3000, false)).toBe(false)
    expect(quietAtStart(1_001, 64_001, 3000, false)).toBe(true)
  })
})
