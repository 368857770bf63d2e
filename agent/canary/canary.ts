import type { MetricName, UnitEvent } from '../../proxy/canary/unit-event.ts'
import { Evidence, evidenceLimits, type EvidenceJournal, type EvidenceLimits } from './evidence.ts'
import type { Step } from './step-text.ts'
import { advance, beginSteps, isFinal, resumeSteps, type OnInconclusive, type StepsEffect, type StepsEvent, type StepsState } from './steps.ts'
import { verdictText } from './verdict-text.ts'
import { isWorse, verdict, verdictDefaults, type Verdict, type VerdictSettings } from './verdict.ts'

export interface CanaryOptions extends VerdictSettings {
  readonly steps: readonly Step[]
  readonly onInconclusive: OnInconclusive
  readonly limits: EvidenceLimits
}

/** Everything of a canary that outlives a crash: JSON. */
export interface CanaryJournal {
  readonly schema: 1
  readonly settings: VerdictSettings
  readonly limits: EvidenceLimits
  readonly startedAtMs: number
  readonly steps: StepsState
  readonly evidence: EvidenceJournal
}

/** What a person may order. */
export type CanaryOrder = Exclude<StepsEvent, { type: 'look' | 'fault' }>

export const canaryDefaults = Object.freeze({ ...verdictDefaults, onInconclusive: 'hold', limits: evidenceLimits } as const)

/**
 * One canary from its first share to its promotion or abort. Has no clock, no timer and no file of its own: it is told
 * what happens and answers with what is to be done, once, in order. Journal it before you do it.
 */
export class Canary {
  readonly settings: VerdictSettings
  readonly #limits: EvidenceLimits
  readonly #startedAtMs: number
  readonly #evidence: Evidence
  #steps: StepsState

  private constructor(settings: VerdictSettings, limits: EvidenceLimits, startedAtMs: number, steps: StepsState, evidence: EvidenceJournal | null) {
    this.settings = settings
    this.#limits = limits
    this.#startedAtMs = startedAtMs
    this.#steps = steps
    this.#evidence = new Evidence(settings.metrics, limits, startedAtMs, evidence)
  }

  /** @param atMs the monotonic clock that all processes of the machine share, as in all that follows. */
  static begin(options: CanaryOptions, atMs: number): { readonly canary: Canary; readonly effect: StepsEffect | null } {
    const { steps, onInconclusive, limits, metrics, alpha, tolerance, withinRatio, withinShare, boundError } = options
    const outcome = beginSteps(steps, onInconclusive, atMs)
    const canary = new Canary({ metrics, alpha, tolerance, withinRatio, withinShare, boundError }, limits, atMs, outcome.state, null)
    return { canary, effect: canary.#carry(outcome.effect) }
  }

  /** After a restart of whoever kept it. What was told since the last journal is lost, and does no harm. */
  static resume(journal: CanaryJournal, atMs: number): { readonly canary: Canary; readonly effect: StepsEffect | null } {
    const outcome = resumeSteps(journal.steps)
    // After a reboot the clock has begun anew, and so has the warm-up.
    const canary = new Canary(journal.settings, journal.limits, Math.min(journal.startedAtMs, atMs), outcome.state, journal.evidence)
    return { canary, effect: outcome.effect }
  }

  get steps(): StepsState {
    return this.#steps
  }

  get over(): boolean {
    return isFinal(this.#steps.mode)
  }

  /**
   * What the workers tell. Aborts at once where the evidence has reached its limit; `worse` is called before the numbers
   * of that are worked out, which takes milliseconds in which visitors would still be sent there.
   */
  take(events: readonly UnitEvent[], atMs: number, worse?: () => void): StepsEffect | null {
    if (this.over) return null
    const before = this.#evidence.counted
    for (const event of events) this.#evidence.add(event)
    if (this.#evidence.counted === before || !isWorse(this.#evidence, this.settings)) return null
    worse?.()
    return this.look(atMs)
  }

  /** To be called about every second, and whenever one wants to know. */
  look(atMs: number): StepsEffect | null {
    const now = this.verdict()
    const { units } = now.numbers.phase
    const worse: MetricName | null = now.kind === 'abort' ? now.metric : null
    const facts = { worse, within: now.kind === 'within', expectedUnits: now.numbers.expectedUnits, anybody: units.canary + units.stable > 0 }
    const effect = this.#advance({ type: 'look', atMs, facts })
    return effect?.type === 'share' && now.kind === 'open' ? { ...effect, inconclusive: verdictText(now) } : effect
  }

  /** The process has ended, failed its check or lost its health: no statistics are needed. */
  fault(what: string): StepsEffect | null {
    return this.#advance({ type: 'fault', what })
  }

  /** @throws GracerError, and changes nothing, where the order makes no sense now. */
  order(order: CanaryOrder): StepsEffect | null {
    return this.#advance(order)
  }

  verdict(): Verdict {
    return verdict(this.#evidence, this.settings)
  }

  journal(): CanaryJournal {
    return { schema: 1, settings: this.settings, limits: this.#limits, startedAtMs: this.#startedAtMs, steps: this.#steps, evidence: this.#evidence.journal() }
  }

  #advance(event: StepsEvent): StepsEffect | null {
    const outcome = advance(this.#steps, event)
    this.#steps = outcome.state
    return this.#carry(outcome.effect)
  }

  #carry(effect: StepsEffect | null): StepsEffect | null {
    if (effect?.type === 'share') this.#evidence.beginPhase(effect.phase, effect.share)
    return effect
  }
}
