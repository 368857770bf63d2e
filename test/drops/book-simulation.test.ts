import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { identityKey } from '../../agent/drop.ts'
import { FolderBook } from '../../agent/drops/book.ts'
import type { Findings, Seen } from '../../agent/drops/entry.ts'
import type { WatchedDrop } from '../../agent/drops/identity.ts'
import type { Instant } from '../../agent/drops/instant.ts'
import { changeMatters, hintedAt } from '../../agent/drops/name.ts'
import { absentAt, notYetAt } from '../../agent/drops/pulse.ts'

const settleMs = 1000
const rescanMs = 5000

interface Folder {
  readonly inode: number
  readonly birthMs: number
  ctimeMs: number
  youngestMs: number
  /** Simulated time of the last change of anything in it. */
  changedAt: number
  /** Of a file. */
  mtimeMs?: number
  /** The book has seen it. */
  read?: boolean
  whole: boolean
  open: boolean
}

type Step =
  | { readonly do: 'create' | 'finish' | 'hide' | 'reveal' | 'mark' | 'remove' | 'open' | 'overwrite' | 'checksum'; readonly name: string }
  | { readonly do: 'write'; readonly name: string; readonly deep: boolean }
  | { readonly do: 'move-in'; readonly name: string; readonly ageMs: number }
  | { readonly do: 'wait' | 'stall'; readonly ms: number }
  | { readonly do: 'lose-events' }
  | { readonly do: 'set-clock'; readonly byMs: number }

const isFile = (name: string): boolean => name.endsWith('.tgz')

/** A releases folder, its deployers, and a watch whose loop may stand still and whose events may be lost; in simulated time. */
class World {
  readonly announced: { readonly drop: WatchedDrop; readonly at: number }[] = []
  readonly folders = new Map<string, Folder>()
  readonly exhausted = new Set<string>()
  readonly book = new FolderBook({ folder: '/r', settleMs, clockIsOurs: true })
  private readonly markers = new Map<string, Seen>()
  private now = 10_000
  private offset = 1_800_000_000_000.25
  private beats: Instant[] = []
  private events: { readonly name: string; readonly entered: boolean }[] = []
  private lastListing: Instant | null = null
  private lastFull = 0

  constructor() {
    this.read(new Map(), true)
  }

  private get at(): Instant {
    return { wall: this.now + this.offset, mono: this.now }
  }

  /** Lets time pass with the loop running: beats, events, readings and looks happen as in the watch. */
  pass(ms: number): void {
    const end = this.now + ms
    for (;;) {
      const beat = (this.beats.at(-1)?.mono ?? 0) + 100
      const next = Math.min(end, Math.max(this.now, Math.min(beat, this.lastFull + rescanMs, this.book.nextAt())))
      this.now = next
      this.turn(next >= beat)
      if (next >= end) return
    }
  }

  private turn(beat: boolean): void {
    if (beat) this.beats = [...this.beats.slice(-1), this.at]
    if (this.events.length > 0 || this.now - this.lastFull >= rescanMs) this.deliver()
    if (this.book.nextAt() <= this.now) this.look()
  }

  private deliver(): void {
    const hinted = new Map<string, number | null>()
    for (const { name, entered } of this.events) {
      if (!entered && !changeMatters(name)) continue
      hinted.set(name, hinted.get(name) ?? (entered ? notYetAt(this.beats.length === 2 ? this.beats[0] ?? null : null, this.at, 0) : null))
    }
    this.events = []
    this.read(hinted, false)
  }

  private read(hinted: ReadonlyMap<string, number | null>, initial: boolean): void {
    const full = this.now - this.lastFull >= rescanMs
    if (full) this.lastFull = this.now
    const all = new Map<string, Seen>(this.markers)
    for (const [name, folder] of this.folders) {
      const seen = { inode: folder.inode, birthMs: folder.birthMs, ctimeMs: folder.ctimeMs }
      all.set(name, isFile(name) ? { kind: 'file', ...seen, file: factsOf(folder) } : { kind: 'folder', ...seen })
    }
    const absent = new Map<string, number>()
    const seen = new Map<string, Seen>()
    for (const [name, facts] of all) {
      const known = this.book.knows(name)
      if (known && !full && !hintedAt(hinted, name)) continue
      seen.set(name, facts)
      const folder = this.folders.get(name)
      if (folder !== undefined) folder.read = true
      const since = absentAt(hinted.get(name) ?? null, known ? null : this.lastListing, this.at)
      if (since !== null) absent.set(name, since)
    }
    this.lastListing = this.at
    this.found(this.book.listed({ at: this.at, names: new Set(all.keys()), seen, absentAt: absent, current: null, initial }))
  }

  private look(): void {
    for (const due of this.book.due(this.at)) {
      const folder = this.folders.get(due.name)
      if (folder === undefined) {
        this.book.failed(due.name, this.now)
        continue
      }
      const { youngestMs } = folder
      const partial = youngestMs > due.enoughAboveMs && youngestMs <= this.at.wall
      const look = { name: due.name, inode: due.inode, began: this.at, endedMs: this.now, youngestMs, print: partial ? null : `${folder.inode} ${folder.changedAt}`, file: isFile(due.name) ? factsOf(folder) : undefined }
      if (this.book.weighed(look) !== 'quiet') continue
      const holders = folder.open ? [{ pid: 1, command: 'cp', resident: false, writing: true }] : []
      this.found(this.book.settled(look, holders, this.at))
    }
  }

  private found(found: Findings): void {
    for (const notice of found.notices) if (notice.code === 'keeps-changing') this.exhausted.add(notice.path)
    for (const drop of found.announce) {
      this.announced.push({ drop, at: this.now })
      const folder = this.folders.get(drop.identity.name)
      expect(folder, 'what is announced is there').toBeDefined()
      if (drop.complete === 'settled') {
        expect(this.now - folder!.changedAt, 'nothing changed for settle').toBeGreaterThanOrEqual(settleMs)
        expect(folder!.open, 'nobody has it open').toBe(false)
      } else expect(folder!.whole, `${drop.complete} is sure`).toBe(true)
    }
    const keys = this.announced.map(({ drop }) => identityKey(drop.identity))
    expect(new Set(keys).size, 'nothing is announced twice').toBe(keys.length)
  }

  private inode(): number {
    // The lowest free number, as file systems give them out: numbers come again at once.
    const used = new Set([...this.folders.values(), ...this.markers.values()].map((each) => each.inode))
    let inode = 1
    while (used.has(inode)) inode += 1
    return inode
  }

  private put(name: string, birthMs: number, whole: boolean): void {
    this.folders.delete(name)
    this.folders.set(name, { inode: this.inode(), birthMs, ctimeMs: this.at.wall, youngestMs: this.at.wall, changedAt: this.now, whole, open: false, ...(isFile(name) ? { mtimeMs: birthMs } : {}) })
    this.events.push({ name, entered: true })
  }

  private touch(folder: Folder, deep: boolean): void {
    if (!deep || folder.mtimeMs !== undefined) folder.ctimeMs = this.at.wall
    if (folder.mtimeMs !== undefined) folder.mtimeMs = this.at.wall
    folder.youngestMs = this.at.wall
    folder.changedAt = this.now
  }

  step(step: Step): void {
    switch (step.do) {
      case 'create':
        if (!this.folders.has(step.name)) this.put(step.name, this.at.wall, false)
        break
      case 'hide':
        if (!this.folders.has(`.${step.name}`)) this.put(`.${step.name}`, this.at.wall, false)
        break
      case 'move-in':
        this.put(step.name, this.at.wall - step.ageMs, true)
        break
      case 'reveal': {
        const hidden = this.folders.get(`.${step.name}`)
        if (hidden === undefined || this.folders.has(step.name)) break
        this.folders.delete(`.${step.name}`)
        this.folders.set(step.name, { ...hidden, ctimeMs: this.at.wall, youngestMs: this.at.wall, changedAt: this.now, whole: true, open: false })
        this.events.push({ name: `.${step.name}`, entered: true }, { name: step.name, entered: true })
        break
      }
      case 'write':
      case 'finish':
      case 'open': {
        const folder = this.folders.get(step.name)
        if (folder === undefined || folder.whole) break
        this.touch(folder, step.do === 'write' && step.deep)
        folder.open = step.do === 'open'
        folder.whole = step.do === 'finish'
        break
      }
      case 'overwrite': {
        const file = this.folders.get(step.name)
        // Between a move and the reading after it, milliseconds later, nobody could tell that it was written over.
        if (file?.mtimeMs === undefined || file.read !== true) break
        this.touch(file, false)
        file.whole = false
        break
      }
      case 'checksum': {
        const name = `${step.name}.sha256`
        const before = this.markers.get(name)
        this.markers.set(name, { kind: 'file', inode: before?.inode ?? this.inode(), birthMs: before?.birthMs ?? this.at.wall, ctimeMs: this.at.wall })
        this.events.push({ name, entered: before === undefined })
        break
      }
      case 'mark': {
        const folder = this.folders.get(step.name)
        const name = `${step.name}.ready`
        if (folder === undefined) break
        folder.whole = true
        folder.open = false
        const before = this.markers.get(name)
        this.markers.set(name, { kind: 'file', inode: before?.inode ?? this.inode(), birthMs: before?.birthMs ?? this.at.wall, ctimeMs: this.at.wall })
        this.events.push({ name, entered: before === undefined })
        break
      }
      case 'remove':
        if (this.folders.delete(step.name)) this.events.push({ name: step.name, entered: true })
        break
      case 'lose-events':
        this.events = []
        break
      case 'set-clock':
        this.offset += step.byMs
        break
      case 'stall':
        this.now += step.ms
        break
      case 'wait':
        this.pass(step.ms)
    }
    if (step.do !== 'stall') this.now += 1
  }

  /** Everybody is done: whoever copies finishes, and time passes. */
  end(): void {
    for (const [name, folder] of this.folders) if (!name.startsWith('.')) Object.assign(folder, { open: false, whole: true })
    this.pass(settleMs * 400)
  }
}

function factsOf({ mtimeMs }: Folder): NonNullable<Seen['file']> {
  return { size: 1000, mtimeMs: mtimeMs ?? 0, mode: 0o644 }
}

const name = fc.constantFrom('v1', 'v2', 'f1.tgz', 'f2.tgz')
const usual: fc.Arbitrary<Step>[] = [
  fc.record({ do: fc.constantFrom('create' as const, 'finish' as const, 'hide' as const, 'reveal' as const, 'remove' as const, 'open' as const), name }),
  fc.record({ do: fc.constantFrom('overwrite' as const, 'checksum' as const), name }),
  fc.record({ do: fc.constant('write' as const), name, deep: fc.boolean() }),
  fc.record({ do: fc.constant('move-in' as const), name, ageMs: fc.integer({ min: 1, max: 20_000 }) }),
  fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 3000 }) }),
  fc.record({ do: fc.constant('stall' as const), ms: fc.integer({ min: 1, max: 3000 }) }),
  fc.constant({ do: 'lose-events' as const }),
]
const marks = fc.record({ do: fc.constant('mark' as const), name })
const clock = fc.record({ do: fc.constant('set-clock' as const), byMs: fc.constantFrom(-3_600_000, -5000, -500, 500, 5000, 3_600_000) })

/** Runs the steps, and then asks whether everything that lies there is known and was announced in its last state. */
function live(steps: readonly Step[]): void {
  const world = new World()
  world.pass(300)
  for (const step of steps) world.step(step)
  world.end()
  const drops = new Map(world.book.list().map((drop) => [drop.identity.name, drop]))
  for (const [each, folder] of world.folders) {
    if (each.startsWith('.')) continue
    expect(drops.has(each), `${each} is listed`).toBe(true)
    const last = world.announced.findLast(({ drop }) => drop.identity.name === each)
    expect(last, `${each} was announced`).toBeDefined()
    expect(last?.drop.identity.inode, 'as the folder that it is').toBe(folder.inode)
    // What is written to a folder that was sure is its own affair; a file does not run where it lies.
    if (last?.drop.complete !== 'settled' && folder.mtimeMs === undefined || last === undefined || world.exhausted.has(`/r/${each}`)) continue
    expect(folder.changedAt, 'a guess was not the last word on a folder that changed').toBeLessThanOrEqual(last.at)
  }
  expect([...drops.keys()].every((each) => world.folders.has(each)), 'nothing else is listed').toBe(true)
}

const numRuns = Number(process.env['GRACER_RUNS'] ?? 1500)

describe('the book of a folder, under every order of events', () => {
  it('takes nothing half copied for sure, announces nothing twice, and misses nothing', () => {
    fc.assert(fc.property(fc.array(fc.oneof(...usual, marks), { maxLength: 40 }), live), { numRuns })
  }, 60_000)

  it('holds the same when the clock is set in the middle', () => {
    const some = fc.array(fc.oneof(...usual), { maxLength: 25 })
    fc.assert(fc.property(some, clock, some, (before, set, after) => live([...before, set, ...after])), { numRuns })
  }, 60_000)
})
