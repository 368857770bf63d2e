import { join } from 'node:path'
import type { GracerError } from '../../inherit/gracer-error.ts'
import type { Log } from '../../proxy/log.ts'
import type { ShadowCopy } from '../../proxy/canary/shadow.ts'
import type { Arm } from '../../proxy/canary/split.ts'
import type { UnitEvent } from '../../proxy/canary/unit-event.ts'
import type { CanaryRoute } from '../../proxy/canary/route.ts'
import type { ReleaseFigures } from '../../proxy/figures.ts'
import { edgesUs } from '../../proxy/histogram.ts'
import { Canary, type CanaryOrder } from '../canary/canary.ts'
import { describeReason } from '../canary/describe.ts'
import { ShadowTally } from '../canary/shadow-tally.ts'
import { latencyThreshold, leastReplies } from '../canary/latency-threshold.ts'
import { formatPercent } from '../canary/step-text.ts'
import type { StepsEffect } from '../canary/steps.ts'
import { verdictText, waitsFor } from '../canary/verdict-text.ts'
import { formatDuration } from '../config/units.ts'
import { canaryConfigDefault, type CanaryConfig } from '../config/canary.ts'
import type { CanaryReport, CanaryStatus, Failure } from '../control/shapes.ts'
import type { Figures } from '../master-link.ts'
import { failureAt } from '../swap/ends.ts'
import type { SwapEvent } from '../swap/events.ts'
import { findRelease, type CanaryIntent, type CanaryWish, type ServiceState } from '../swap/state.ts'
import { armStatus, type ArmsBefore } from './canary-arms.ts'
import { optionsOf } from './canary-options.ts'
import { canarySecret, dropCanary, keepCanary, keptCanary, type KeptCanary } from './canary-file.ts'

/** How often time alone is looked at. */
const lookMs = 1_000
/** How often what was seen is kept for the case that this agent dies, beside every change of the share. */
const keepMs = 5_000

export interface CanaryWatchOptions {
  readonly service: string
  /** The service's part of the state folder. */
  readonly folder: string
  readonly log: Log
  readonly state: () => Readonly<ServiceState>
  /** As the release was taken in with. */
  readonly config: (release: string) => CanaryConfig | null
  readonly figures: () => Promise<Figures | null>
  readonly releaseFigures: (figures: Figures | null, release: string) => ReleaseFigures | undefined
  /** Stable gets every new request from now on, before anything is written down. */
  readonly goSafe: () => void
  readonly dispatch: (event: SwapEvent) => void
  readonly tell: (release: string, detail: string) => void
}

interface Judged {
  readonly release: string
  readonly salt: string
  readonly canary: Canary
  readonly config: CanaryConfig
  readonly startedAtMs: number
  readonly slowMs: number | null
  readonly latencyNote: string | null
  /** What both releases had counted when it began. */
  readonly before: ArmsBefore
  /** Events that the workers had no room for. */
  dropped: number
  /** Before its first visitor; null: nothing is copied to it. */
  readonly shadow: Shadowing | null
}

interface Shadowing {
  readonly share: number
  /** Then the first visitors come, by the clock of the processes; null: when a person says so. */
  untilMs: number | null
  readonly tally: ShadowTally
}

/**
 * Judges the canary of a service: takes what the workers tell of it, asks the verdict, and says what follows. The share
 * that stands in the table is the reducer's; here is only who watches and counts.
 */
export class CanaryWatch {
  readonly #options: CanaryWatchOptions
  readonly #file: string
  #secret: string | null = null
  #judged: Judged | null = null
  /** Being begun: the figures of the old release are asked for. */
  #beginning: string | null = null
  #timer: NodeJS.Timeout | null = null
  #keptAt = 0

  constructor(options: CanaryWatchOptions) {
    this.#options = options
    this.#file = join(options.folder, 'canary.json')
  }

  /** The reducer asks for it. Goes on where an agent before this one had come to. */
  async begin(release: string): Promise<void> {
    this.#close()
    const { swap } = this.#options.state()
    const salt = swap?.canary?.salt ?? ''
    const wish = swap?.wish
    this.#beginning = release
    const config = this.#options.config(release) ?? canaryConfigDefault
    const figures = await this.#options.figures()
    if (this.#beginning !== release) return
    this.#beginning = null
    const kept = keptCanary(this.#file, release, salt)
    const stable = this.#options.state().confirmed
    const limit = kept ?? this.#limit(config, stable === null ? undefined : this.#options.releaseFigures(figures, stable))
    const atMs = nowMs()
    const { canary, effect } = kept === null ? Canary.begin(optionsOf(config, wish, limit.slowMs), atMs) : Canary.resume(kept.journal, atMs)
    const startedAtMs = Math.min(canary.journal().startedAtMs, atMs)
    const shadow = shadowing(config, kept, wish, atMs)
    const { releaseFigures } = this.#options
    const before = kept?.before ?? { canary: releaseFigures(figures, release) ?? null, stable: (stable === null ? null : releaseFigures(figures, stable)) ?? null }
    this.#judged = { release, salt, canary, config, startedAtMs, slowMs: limit.slowMs, latencyNote: limit.latencyNote, before, dropped: 0, shadow }
    // At 0% there are only testers, and copies, until time or a person says more.
    const first = kept === null && (wish === 0 || shadow !== null) ? canary.order({ type: 'set', share: 0 }) : effect
    if (limit.latencyNote !== null && kept === null) this.#options.tell(release, limit.latencyNote)
    this.#carryOut(first)
    this.#timer = setInterval(() => this.#look(), lookMs)
  }

  /** What the workers tell. */
  take(release: string, events: readonly UnitEvent[], dropped: number): void {
    const judged = this.#judged
    if (judged?.release !== release) return
    judged.dropped += dropped
    this.#carryOut(judged.canary.take(events, nowMs(), this.#options.goSafe))
  }

  /** How copies of requests were answered. */
  takeCopies(release: string, copies: readonly ShadowCopy[], skipped: number): void {
    if (this.#judged?.release === release) this.#judged.shadow?.tally.add(copies, skipped)
  }

  /** @throws GracerError, and changes nothing, where there is no canary or the order makes no sense now. */
  order(order: CanaryOrder): void {
    const judged = this.#judged
    if (judged === null) throw new Error('there is no canary')
    const effect = judged.canary.order(order)
    if (judged.shadow !== null) judged.shadow.untilMs = null
    this.#keep(true)
    if (effect === null) this.#options.tell(judged.release, this.#line(judged))
    else this.#carryOut(effect)
  }

  get isJudging(): boolean {
    return this.#judged !== null
  }

  /** A hard fault of the release, which needs no statistics: told before the reducer is, which ends the canary by itself. */
  faulted(release: string, what: string): void {
    const judged = this.#judged
    if (judged?.release !== release || judged.canary.over) return
    this.#options.goSafe()
    judged.canary.fault(what)
  }

  /** After every step of the reducer: once the canary is over for it, so it is here. */
  follow(state: Readonly<ServiceState>): void {
    const { swap } = state
    const release = this.#judged?.release ?? this.#beginning
    if (release === null || (swap?.release === release && swap.step === 'canary')) return
    if (this.#judged !== null) dropCanary(this.#file)
    this.#close()
  }

  /** What is known now; null: nothing is judged. */
  report(): { readonly release: string; readonly report: CanaryReport } | null {
    const judged = this.#judged
    return judged === null ? null : { release: judged.release, report: reportOf(judged) }
  }

  /** What the agent before this one had seen of the canary that it left; null: there was none. */
  left(): { readonly release: string; readonly report: CanaryReport } | null {
    const { swap } = this.#options.state()
    const kept = swap?.canary === undefined || swap.canary === null ? null : keptCanary(this.#file, swap.release, swap.canary.salt)
    if (swap === null || kept === null) return null
    const { canary } = Canary.resume(kept.journal, nowMs())
    const shadow = shadowing(this.#options.config(swap.release) ?? canaryConfigDefault, kept, swap.wish, nowMs())
    return { release: swap.release, report: reportOf({ canary, slowMs: kept.slowMs, latencyNote: kept.latencyNote, dropped: 0, shadow }) }
  }

  /** `known`: the figures, where the caller has asked for them already. */
  async status(known?: Figures | null): Promise<CanaryStatus | null> {
    const figures = this.#judged === null ? null : known === undefined ? await this.#options.figures() : known
    const judged = this.#judged
    if (judged === null) return null
    const state = this.#options.state()
    const stable = state.confirmed ?? ''
    const report = reportOf(judged)
    const units = report.verdict.numbers.phase.units
    const arm = (which: Arm, release: string) => armStatus(release, findRelease(state, release)?.name ?? null, units[which], this.#options.releaseFigures(figures, release), judged.before[which])
    return { release: judged.release, name: findRelease(state, judged.release)?.name ?? null, ...report, arms: { canary: arm('canary', judged.release), stable: arm('stable', stable) } }
  }

  /** What the table says of a canary beside its target; the release's numbers are turned into keys by the link. */
  route(intent: CanaryIntent): Omit<CanaryRoute, 'target'> {
    const judged = this.#judged
    const state = this.#options.state()
    const config = judged?.config ?? this.#options.config(intent.release) ?? canaryConfigDefault
    const names = (id: string | null): string[] => {
      const record = findRelease(state, id)
      return record === undefined ? [] : [record.id, ...(record.name === null ? [] : [record.name])]
    }
    return {
      share: intent.share, phase: intent.phase, salt: state.swap?.canary?.salt ?? '', secret: this.secret(),
      key: config.key, sticky: config.sticky, names: { canary: names(intent.release), stable: names(state.confirmed) }, allow: config.override.allow,
      slowMs: judged?.slowMs ?? null, timedFromMs: (judged?.startedAtMs ?? nowMs()) + config.latency.warmUpMs,
      shadow: intent.share === 0 ? (judged?.shadow?.share ?? null) : null,
    }
  }

  secret(): string {
    return (this.#secret ??= canarySecret(join(this.#options.folder, 'canary.secret')))
  }

  #limit(config: CanaryConfig, stable: ReleaseFigures | undefined): { readonly slowMs: number | null; readonly latencyNote: string | null } {
    if (!config.metrics.includes('latency')) return { slowMs: null, latencyNote: null }
    if (config.latency.limitMs !== null) return { slowMs: config.latency.limitMs, latencyNote: null }
    const buckets = (stable?.firstByte.counts ?? []).map((count, index) => ({ upToMs: (edgesUs[index] ?? Infinity) / 1_000, count }))
    const slowMs = latencyThreshold(buckets)
    if (slowMs !== null) return { slowMs, latencyNote: null }
    const count = buckets.reduce((sum, bucket) => sum + bucket.count, 0)
    return { slowMs: null, latencyNote: `latency is not judged: the old release had answered ${count} requests when the canary began, and ${leastReplies} are needed to fix a limit` }
  }

  #look(): void {
    const judged = this.#judged
    if (judged === null) return
    const { shadow } = judged
    if (shadow !== null && shadow.untilMs !== null && nowMs() >= shadow.untilMs) {
      shadow.untilMs = null
      this.#carryOut(judged.canary.order({ type: 'resume' }))
      return
    }
    const before = judged.canary.steps.mode.kind
    const effect = judged.canary.look(nowMs())
    if (effect === null && judged.canary.steps.mode.kind !== before) this.#options.tell(judged.release, this.#line(judged))
    this.#carryOut(effect)
    this.#keep(false)
  }

  #carryOut(effect: StepsEffect | null): void {
    const judged = this.#judged
    if (effect === null || judged === null) return
    const { release, canary } = judged
    const verdict = canary.verdict()
    switch (effect.type) {
      case 'share':
        this.#keep(true)
        this.#options.dispatch({ type: 'canary-share', release, share: effect.share, phase: effect.phase, why: `${goesOn(effect.inconclusive)}${this.#line(judged)}` })
        break
      case 'promote':
        this.#options.dispatch({ type: 'canary-promote', release, why: describeReason(effect.type, effect.reason, verdict) })
        break
      case 'abort': {
        // Before anything is written down: what is safe needs no journal.
        this.#options.goSafe()
        const message = describeReason(effect.type, effect.reason, verdict)
        this.#options.log.warn('canary.aborted', { service: this.#options.service, release, reason: effect.reason.kind, message })
        const failure: Failure = failureAt('canary', message)
        this.#options.dispatch({ type: 'canary-end', release, how: effect.reason.kind === 'operator' ? 'aborted' : 'failed', failure })
        break
      }
    }
  }

  #line({ canary, shadow }: Judged): string {
    if (shadow !== null && shadow.untilMs !== null) return `no visitors yet, copies of ${formatPercent(shadow.share)} of the GETs; waits for ${shadowLeft(shadow.untilMs)}`
    const { step, mode, steps } = canary.steps
    const at = steps.findIndex((one) => one.share === step.share)
    const place = at === -1 ? 'set by hand' : `step ${at + 1} of ${steps.length}`
    const waits = waitsFor(canary.steps, canary.verdict().numbers)
    return `${formatPercent(step.share)} of the visitors, ${place}${mode.kind === 'running' ? '' : `, ${mode.kind}`}${waits.length === 0 ? '' : `; waits for ${waits.join(', ')}`}`
  }

  #keep(now: boolean): void {
    const judged = this.#judged
    if (judged === null || (!now && performance.now() - this.#keptAt < keepMs)) return
    this.#keptAt = performance.now()
    const { release, salt, slowMs, latencyNote, before, canary, shadow } = judged
    try {
      keepCanary(this.#file, { schema: 1, release, salt, slowMs, latencyNote, before, journal: canary.journal(), shadow: shadow === null ? null : { untilMs: shadow.untilMs, tally: shadow.tally.journal() } })
    } catch (error) {
      this.#options.log.error('canary.not-kept', { error: (error as GracerError).message })
    }
  }

  #close(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
    this.#judged = null
    this.#beginning = null
  }
}

function goesOn(inconclusive: string | undefined): string {
  return inconclusive === undefined ? '' : `${inconclusive}; goes on all the same, because onInconclusive is "promote": `
}

/** Only at its begin: once it has had visitors, copies say nothing more. */
function shadowing({ shadow }: CanaryConfig, kept: KeptCanary | null, wish: CanaryWish | undefined, atMs: number): Shadowing | null {
  if (shadow === null) return null
  const { share, forMs } = shadow
  if (kept === null) return { share, untilMs: wish === 0 ? null : atMs + forMs, tally: new ShadowTally() }
  if (kept.shadow === null || kept.shadow === undefined) return null
  const { untilMs, tally } = kept.shadow
  // After a reboot the clock has begun anew.
  return { share, untilMs: untilMs === null ? null : Math.min(untilMs, atMs + forMs), tally: new ShadowTally(tally) }
}

function shadowLeft(untilMs: number): string {
  return `${formatDuration(Math.max(0, Math.ceil((untilMs - nowMs()) / 1_000)) * 1_000)} of copies`
}

function reportOf(judged: Pick<Judged, 'canary' | 'slowMs' | 'latencyNote' | 'dropped' | 'shadow'>): CanaryReport {
  const { canary, latencyNote, slowMs, shadow } = judged
  const { step, steps, mode, elapsedMs } = canary.steps
  const verdict = canary.verdict()
  return {
    mode: mode.kind, text: verdictText(verdict), share: step.share,
    step: { at: steps.findIndex((one) => one.share === step.share) + 1, of: steps.length, ...step },
    elapsedMs: Math.round(elapsedMs), waitsFor: shadow !== null && shadow.untilMs !== null ? [shadowLeft(shadow.untilMs)] : waitsFor(canary.steps, verdict.numbers), verdict, slowMs, note: latencyNote, dropped: judged.dropped,
    ...(shadow === null ? {} : { shadow: { share: shadow.share, leftMs: shadow.untilMs === null ? null : Math.max(0, Math.round(shadow.untilMs - nowMs())), ...shadow.tally.figures() } }),
  }
}

/** Milliseconds of the monotonic clock that all processes of the machine share. */
function nowMs(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000
}
