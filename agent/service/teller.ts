import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Log } from '../../proxy/log.ts'
import { formatDuration } from '../config/units.ts'
import type { Outcome, OutcomeName, Phase, Progress, Receipt } from '../control/shapes.ts'
import { releaseFigures, type ServiceLink } from '../service-link.ts'
import { findRelease, labelOf, type ReleaseRecord, type RouteIntent, type ServiceState } from '../swap/state.ts'
import { Audience } from './audience.ts'
import { History } from './history.ts'
import { forService, hintFor } from './next-step.ts'
import { Story } from './story.ts'
import { SwapRecord, tally } from './swap-record.ts'
import { Totals } from './totals.ts'

/** The outcome of a swap waits this long for the old release's end, so that the receipt can tell of it. */
const stopPatienceMs = 300
/** How often the requests that still drain are counted for who watches. */
const drainLookMs = 250

export interface TellerOptions {
  readonly service: string
  /** The service's part of the state folder. */
  readonly folder: string
  readonly workingFolder: string | null
  readonly link: ServiceLink
  readonly log: Log
  readonly state: () => Readonly<ServiceState>
}

/** What people are told of the swaps of a service: phases as they happen, outcomes, receipts, the story. */
export class Teller {
  readonly audience = new Audience()
  readonly history: History
  readonly story: Story
  readonly totals: Totals
  readonly #options: TellerOptions
  readonly #records = new Map<string, SwapRecord>()
  readonly #stopBegins = new Map<string, number>()
  readonly #hooksOver = new Map<string, () => void>()
  readonly #drainLooks = new Map<string, NodeJS.Timeout>()

  constructor(options: TellerOptions) {
    this.#options = options
    mkdirSync(join(options.folder, 'swaps'), { recursive: true, mode: 0o700 })
    this.history = new History(join(options.folder, 'history.jsonl'))
    this.story = new Story(join(options.folder, 'story.jsonl'))
    this.totals = new Totals(join(options.folder, 'totals.json'))
  }

  /** Takes up the records of what the last agent did not finish, and tells the outcomes that it did not come to tell. */
  resume(masterIsNew: boolean): void {
    for (const record of this.#options.state().releases) {
      const resumed = SwapRecord.resume(this.#file(record.id), record)
      if (resumed === null) continue
      if (masterIsNew) resumed.startOver()
      this.#records.set(record.id, resumed)
      if (record.outcome !== null) void this.outcome(record.id)
    }
  }

  /** The table names the release as live now: what the old one still has to answer is noted for the receipt. */
  flipped(release: string | null): void {
    const swap = release === null ? undefined : this.#records.get(release)
    // Later commits of the same swap (its fallback is let go) are no flips.
    if (swap === undefined || swap.previous === null || swap.flipped) return
    const { previous } = swap
    swap.flip(0)
    void this.#options.link.figures().then((figures) => swap.flip(releaseFigures(figures, this.#options.service, previous)?.inFlight ?? 0))
  }

  /** Where requests go from now on; a swap that makes the old release end first has an outage, which is timed. */
  routed(intent: RouteIntent): void {
    const { swap, tentative } = this.#options.state()
    if (intent.state === 'serving') for (const record of this.#records.values()) record.served()
    else if (swap?.alone === true) this.#records.get(swap.release)?.unserved()
    else if (tentative?.fallback === null) this.#records.get(tentative.release)?.unserved()
  }

  /** What ran after a confirmation has ended. */
  hooksOver(release: string): void {
    this.#hooksOver.get(release)?.()
    this.#hooksOver.delete(release)
  }

  parked(release: string | null, longestMs: number): void {
    if (release !== null) this.#records.get(release)?.parked(longestMs)
  }

  note(release: string | null, what: string): void {
    this.#options.log.warn('service.note', { service: this.#options.service, release, what })
    this.story.add(release, what)
  }

  /** `repeated`: for who watches now, not for the log and the story, which a slow boot would fill with the same line. */
  progress(release: string, phase: Phase, detail: string | null, repeated = false): void {
    const { service, log } = this.#options
    const name = this.#find(release)?.name ?? null
    if (phase === 'queued') this.#begin(release)
    const swap = this.#records.get(release)
    swap?.reached(phase)
    if (phase === 'stopping') this.#stopBegins.set(release, performance.now())
    if (phase === 'stopped') this.#stopped(release)
    if (!repeated) {
      log.info(`swap.${phase}`, { service, release, name, detail })
      this.story.add(release, detail === null ? phase : `${phase}: ${detail}`)
    }
    this.#tell(release, phase, detail, null)
    if (phase === 'draining') this.#countDraining(release, detail)
  }

  /** The outcome stands in the release's record: the receipt is written and whoever waits is told. */
  async outcome(release: string): Promise<void> {
    const { service, link, log, workingFolder } = this.#options
    const record = this.#find(release)
    if (record === undefined || record.outcome === null) return
    const { name, reason, failure } = record.outcome
    const swap = this.#records.get(release) ?? SwapRecord.begin(this.#file(release), record, undefined)
    if (name === 'confirmed') await this.#oldStopped(swap)
    if (name === 'confirmed') await this.#hooksEnded(release)
    await swap.counted
    const after = tally(await link.figures(), service)
    // Where nothing is known of its begin, nothing can be laid at its door.
    swap.began(after)
    const receipt = swap.receipt(service, name, reason, after, record.canary)
    this.history.add(receipt)
    this.totals.ended(name)
    const live = this.#live()
    const warning = name === 'confirmed' ? (record.warning ?? null) : null
    const event: Outcome = {
      schema: 1, kind: 'outcome', service, release, name: record.name, outcome: name, exitCode: exitCodes[name], live,
      message: `${reason ?? `${labelOf(record)} is ${name}`}${warning === null ? '' : `, but ${warning}`}${outageText(receipt)}`, hint: hintFor(name, record, this.#options.state(), workingFolder), failure, receipt,
    }
    log[name === 'confirmed' || name === 'rolled-back' ? 'info' : 'warn'](`swap.outcome`, {
      service, release, name: record.name, outcome: name, reason, live, lost: receipt.lost, violations: receipt.violations,
      // Who only drops builds sees nothing else of them than this log.
      ...(failure === null ? {} : { hint: event.hint, lastLines: failure.lastLines }),
    })
    this.story.add(release, reason === null ? name : `${name}: ${reason}`)
    // A rollback may have taken the same release up again meanwhile.
    if (this.#records.get(release) === swap) this.#records.delete(release)
    swap.drop()
    this.audience.tell(release, event)
  }

  /** The answer to a command that began no swap. */
  answer(command: number, outcome: 'busy' | 'refused' | 'already', message: string, release: string | null): void {
    const shown: OutcomeName = outcome === 'busy' ? 'busy' : outcome === 'already' ? 'aborted' : 'failed'
    this.audience.answer(command, {
      schema: 1, kind: 'outcome', service: this.#options.service, release, name: labelOf(this.#find(release)), outcome: shown,
      exitCode: outcome === 'busy' ? 4 : outcome === 'already' ? 0 : 1, live: this.#live(), message,
      hint: outcome === 'busy' ? forService('Wait for it (gracer status), replace it (gracer swap --supersede), or undo it (gracer rollback).', this.#options.service) : null,
      failure: null, receipt: null,
    })
  }

  #begin(release: string): void {
    const record = this.#find(release)
    if (record === undefined) return
    const swap = SwapRecord.begin(this.#file(release), record, this.#find(this.#options.state().committed.live))
    this.#records.set(release, swap)
    swap.counted = this.#options.link.figures().then((figures) => swap.began(tally(figures, this.#options.service)))
  }

  #tell(release: string, phase: Phase, detail: string | null, draining: number | null): void {
    const { service } = this.#options
    const event: Progress = {
      schema: 1, kind: 'phase', service, release, name: this.#find(release)?.name ?? null, phase, elapsedMs: this.#records.get(release)?.elapsed() ?? 0, detail, draining,
    }
    this.audience.tell(release, event)
  }

  /** Says how many requests the old release still has, for as long as it drains. */
  #countDraining(release: string, detail: string | null): void {
    clearInterval(this.#drainLooks.get(release))
    const previous = this.#records.get(release)?.previous ?? null
    if (previous === null) return
    const timer = setInterval(() => {
      const { tentative } = this.#options.state()
      if (tentative?.release !== release || tentative.drained) {
        clearInterval(timer)
        this.#drainLooks.delete(release)
        return
      }
      void this.#options.link.figures().then((figures) => {
        const left = releaseFigures(figures, this.#options.service, previous)?.inFlight ?? 0
        if (this.#drainLooks.get(release) === timer) this.#tell(release, 'draining', detail, left)
      })
    }, drainLookMs)
    this.#drainLooks.set(release, timer)
  }

  /** Processes of the release that not even SIGKILL has ended: they are named to whoever replaced it. */
  survived(release: string, pids: readonly number[]): void {
    this.note(release, `processes of it survived its stop: pid ${pids.join(', ')}`)
    for (const swap of this.#records.values()) if (swap.previous === release) swap.survivors = pids
  }

  /** The old release has ended: the swap that replaced it can say how long that took. */
  #stopped(release: string): void {
    const begun = this.#stopBegins.get(release)
    this.#stopBegins.delete(release)
    for (const swap of this.#records.values()) {
      if (swap.previous !== release || swap.stopMs !== null || begun === undefined) continue
      swap.stopMs = Math.round((performance.now() - begun) * 10) / 10
      swap.onStopped?.()
    }
  }

  async #oldStopped(swap: SwapRecord): Promise<void> {
    if (swap.previous === null || swap.stopMs !== null || (this.#find(swap.previous)?.process ?? null) === null) return
    await Promise.race([
      new Promise<void>((resolve) => {
        swap.onStopped = resolve
      }),
      new Promise((resolve) => setTimeout(resolve, stopPatienceMs)),
    ])
  }

  /** A warning of the hooks after the confirmation is told with the outcome. */
  async #hooksEnded(release: string): Promise<void> {
    if (!this.#options.state().hooks.some((one) => one.release === release && one.hook === 'confirmed')) return
    await new Promise<void>((resolve) => this.#hooksOver.set(release, resolve))
  }

  #find(release: string | null): ReleaseRecord | undefined {
    return findRelease(this.#options.state(), release)
  }

  #live(): string | null {
    return labelOf(this.#find(this.#options.state().committed.live))
  }

  #file(release: string): string {
    return join(this.#options.folder, 'swaps', `${release}.json`)
  }
}

/** How long nothing answered, where the old release had to end first. */
function outageText({ outageMs, heldOut }: Receipt): string {
  if (outageMs === undefined) return ''
  return `; nothing answered for ${formatDuration(Math.round(outageMs))}${heldOut === 0 ? '' : `, and ${heldOut} ${heldOut === 1 ? 'request' : 'requests'} waited in vain (503)`}`
}

const exitCodes: Readonly<Record<OutcomeName, number>> = Object.freeze({
  confirmed: 0, 'rolled-back': 0, 'dry-run': 0, failed: 1, 'flipped-back': 1, superseded: 4, busy: 4, aborted: 130, 'timed-out': 124,
})
