import type { BuildCopy } from '../builds/copy.ts'
import type { CanaryReport, Failure, OutcomeName, ReleaseState } from '../control/shapes.ts'

/**
 * All that the agent knows of one service, as plain data. It is the journal: written whole, before the effects
 * of a step are carried out, and read back by the next agent. It is the truth about intent; the committed table
 * is the truth about routing.
 */
export interface ServiceState {
  readonly schema: 1
  readonly service: string
  nextNumber: number
  /** The last release that passed its bake: what boots after a crash of everything. */
  confirmed: string | null
  /** Confirmed before that, oldest first. */
  previous: string[]
  /** The one swap before its flip (promise 7). */
  swap: Swap | null
  /** Live, but not confirmed yet. */
  tentative: Tentative | null
  /** The confirmed release died while it was live. */
  restarting: Restarting | null
  /** Releases whose process is to end: drained first, then stopped. One that is only being started stands here too. */
  leaving: Leaving[]
  /** The one visible slot for a drop that came during a swap. */
  waiting: DeployRequest | null
  /** Drops that were taken up, by identity, and what came of them: none of these is deployed by itself again. */
  tried: Record<string, OutcomeName | 'taken'>
  releases: ReleaseRecord[]
  /** What the table says, as far as this agent was told. */
  committed: RouteIntent
  /** The number of that table. */
  committedNumber: number
  /** Hook processes that run, or may run: at most one before a boot, and one after a confirmation. */
  hooks: HookRun[]
  /** Every run of a hook has a number of its own, over all agents. */
  nextRun: number
  /** Sent to the master, not answered yet. */
  pending: RouteIntent | null
  /** Refusals in a row of the pending change. */
  refusals: number
  /** A refused change is tried again by a timer and not before. */
  resting: boolean
  /** `gracer down`: what is before its flip was undone, and nothing new is taken. */
  closing: boolean
  /** Requests are held until this moment of the wall clock, in milliseconds; null or absent: they are not. */
  paused?: number | null
}

export type Origin = 'drop' | 'swap' | 'rollback' | 'restart' | 'start'

export interface DeployRequest {
  readonly origin: Origin
  /** The folder that holds the build, or the archive or file that is one; a real path. */
  readonly source: string
  /** gracer's copy of it, where one was made before: what is booted again is that. */
  readonly copy?: BuildCopy | null
  readonly name: string | null
  /** The identity of the drop, where it is one. */
  readonly dropKey: string | null
  /** Who waits for the outcome; null: nobody. */
  readonly command: number | null
  readonly supersede: boolean
  /** What the command says of a canary; absent: as the config has it. */
  readonly canary?: CanaryWish
  /** Milliseconds of the wall clock when it was noticed. */
  readonly noticedAt: number
}

/** A share from 0 to 1 to begin with (0: only testers), or that there is to be none. */
export type CanaryWish = number | 'none'

export interface ReleaseRecord {
  readonly id: string
  readonly number: number
  readonly name: string | null
  readonly source: string
  /** gracer's own copy, which is what runs; null: the folder runs where it lies, or nothing was taken in yet. */
  copy?: BuildCopy | null
  readonly dropKey: string | null
  readonly origin: Origin
  readonly noticedAt: number
  /** How it was booted; a restart after a crash uses the same. null: not taken in yet. */
  boot: BootPlan | null
  process: ReleaseProcess | null
  everConfirmed: boolean
  /** What was seen of it as a canary; absent: it was none. */
  canary?: CanaryReport
  /** Hooks that have come to a good end for this build: none of these is run for it again. */
  ran?: ('prepare' | 'release')[]
  /** A hook after its confirmation failed: told with the outcome, and undoes nothing. */
  warning?: string
  outcome: { readonly name: OutcomeName; readonly reason: string | null; readonly failure: Failure | null } | null
}

export interface ReleaseProcess {
  readonly pid: number
  readonly port: number
  healthy: boolean
}

/** Frozen at take-in from the config as it was then. Plain data: it stands in the journal. */
export interface BootPlan {
  readonly command: readonly string[]
  readonly socket: 'inherit' | 'port'
  /** What the config and env file add to the environment of `gracer up`. */
  readonly env: Readonly<Record<string, string>>
  readonly bakeMs: number
  readonly onCrashLoop: 'hold' | 'rollback'
  readonly stopMs: number
  /** `always`: each swap has a canary, not only those whose command asks for one. Absent: none can have one. */
  readonly canary?: { readonly always: boolean; readonly salt: string }
  /** false: it cannot run beside another process of the service. Absent: true. */
  readonly overlap?: boolean
  readonly hooks?: HookPlan
  /** More ports than PORT, by the variable that tells them; they stand in `env` as well. */
  readonly ports?: Readonly<Record<string, number>>
}

export type HookName = 'prepare' | 'release' | 'confirmed'

/** The commands of each hook, run one after the other; each has `timeoutMs` milliseconds. */
export interface HookPlan extends Readonly<Record<HookName, readonly (readonly string[])[]>> {
  readonly timeoutMs: number
}

export interface HookRun {
  readonly run: number
  readonly release: string
  readonly hook: HookName
  /** Which of the hook's commands. */
  readonly index: number
  /** waiting: another one of its kind runs. ending: it was given up, and its process group is being ended. */
  step: 'waiting' | 'running' | 'ending'
}

export interface Swap {
  readonly release: string
  /**
   * preparing, releasing: a hook runs. Where the release cannot run beside the old one: emptying (the old one is drained
   * and stopped), and returning (it failed after that: the old build is being booted again).
   */
  step: 'queued' | 'taking-in' | 'preparing' | 'releasing' | 'emptying' | 'booting' | 'checking' | 'canary' | 'flipping' | 'returning'
  /** The old one is stopped before the new one boots. */
  alone?: boolean
  /** While returning: what is told once the old build answers again. */
  ending?: SwapEnding
  /** How often an agent has taken it up: one that ends agents is given up. */
  attempts: number
  /** Before this release was live: shown in the receipt. */
  readonly from: string | null
  /** A rollback to a release whose process still runs, and may still have requests from when it was live. */
  readonly warm: boolean
  readonly wish?: CanaryWish
  /** How far its canary is; null: it has none; absent: not known yet. */
  canary?: CanaryRun | null
}

/** A canary between its health check and its flip: what its judge has said. The judge keeps a journal of its own. */
export interface CanaryRun {
  /** This agent has called its judge. */
  begun: boolean
  /** What the table is to say, from 0 to 1; null: nothing yet. */
  share: number | null
  /** Rises with every change of the share: what is seen in one phase says nothing about another. */
  phase: number
  readonly salt: string
}

export interface SwapEnding {
  readonly how: OutcomeName
  readonly reason: string
  readonly failure: Failure | null
}

export interface Tentative {
  readonly release: string
  /** The last confirmed release, kept warm. null: the two cannot run beside each other, so it would have to be booted. */
  readonly fallback: string | null
  /** The table number of its flip: reports about earlier tables are not about it. */
  readonly since: number
  bakeOver: boolean
  /** The fallback had nothing in flight. */
  drained: boolean
  /** Its probes fail; the fallback is being looked at before anything is flipped. */
  sick: Failure | null
  /** The fallback was asked how it is and has not answered: the bake is not over before. */
  probing: boolean
  /** Decided, not yet committed: back to the fallback. */
  ending: { readonly how: 'flipped-back' | 'rolled-back'; readonly reason: string; readonly failure: Failure | null } | null
}

export interface Restarting {
  attempt: number
  step: 'waiting' | 'booting' | 'checking'
}

export interface Leaving {
  readonly release: string
  step: 'draining' | 'stopping'
}

export interface RouteIntent {
  readonly state: 'serving' | 'holding' | 'down'
  readonly live: string | null
  /** Which process of the release: another port is another process. */
  readonly port: number | null
  readonly fallback: string | null
  readonly reason: string | null
  readonly paused?: number | null
  readonly canary?: CanaryIntent | null
}

export interface CanaryIntent {
  readonly release: string
  readonly port: number
  readonly share: number
  readonly phase: number
}

export const nothingLive: RouteIntent = Object.freeze({ state: 'down', live: null, port: null, fallback: null, reason: 'No release has been deployed yet' })

export function newServiceState(service: string): ServiceState {
  return {
    schema: 1, service, nextNumber: 1, confirmed: null, previous: [], swap: null, tentative: null, restarting: null,
    leaving: [], waiting: null, tried: {}, releases: [], committed: nothingLive, committedNumber: 0, hooks: [], nextRun: 1, pending: null, refusals: 0, resting: false, closing: false,
  }
}

export function findRelease(state: ServiceState, id: string | null): ReleaseRecord | undefined {
  return id === null ? undefined : state.releases.find((record) => record.id === id)
}

/** @throws where the id is unknown: a defect of ours, never of the input. */
export function release(state: ServiceState, id: string): ReleaseRecord {
  const record = findRelease(state, id)
  if (record === undefined) throw new Error(`release ${id} of service ${state.service} is not in the journal`)
  return record
}

/** What people call it: its name where it has one, else its number. */
export function labelOf(record: ReleaseRecord | undefined): string | null {
  return record === undefined ? null : (record.name ?? record.id)
}

export function isRunning(state: ServiceState, id: string | null): boolean {
  return (findRelease(state, id)?.process ?? null) !== null
}

/**
 * Places that are taken: by what runs, by what is being started although nobody wants it any more, and by the
 * confirmed release, which is started again without asking.
 */
export function placesTaken(state: ServiceState): number {
  return state.releases.filter((record) => record.process !== null || record.id === state.confirmed || state.leaving.some((one) => one.release === record.id)).length
}

/** A service never runs more processes than these: confirmed, tentative, booting. */
export const mostProcesses = 3

/** Where the table should point, given everything else: the one place that says so. */
export function desiredRoute(state: ServiceState): RouteIntent {
  const { swap, tentative } = state
  if (swap?.step === 'flipping') {
    const fallback = fallbackFor(state, swap)
    return serving(state, swap.release, fallback)
  }
  if (swap !== null && isInPlaceOf(swap)) {
    return { state: 'holding', live: null, port: null, fallback: null, reason: `release ${labelOf(release(state, swap.release))} is being started, and cannot run beside the one before it` }
  }
  if (tentative !== null && tentative.ending === null) {
    const usable = !bakeIsOver(state, tentative) && isRunning(state, tentative.fallback)
    return serving(state, tentative.release, usable ? tentative.fallback : null)
  }
  const confirmed = findRelease(state, state.confirmed)
  if (confirmed !== undefined) {
    const stopping = state.leaving.some((one) => one.release === confirmed.id && one.step === 'stopping')
    const canary = canaryIntent(state)
    if (confirmed.process?.healthy === true && !stopping) return withCanary(serving(state, confirmed.id, null), canary)
    return withCanary({ state: 'holding', live: null, port: null, fallback: null, reason: `release ${labelOf(confirmed)} is restarting` }, canary)
  }
  if (swap !== null) return { state: 'holding', live: null, port: null, fallback: null, reason: 'the first release is booting' }
  const failed = state.releases.findLast((record) => record.outcome !== null && record.outcome.name !== 'confirmed')
  if (failed === undefined) return nothingLive
  return { ...nothingLive, reason: `No release is live: ${labelOf(failed)} ${failed.outcome?.name ?? 'ended'}` }
}

/** Beside a confirmed release only: one that bakes is on trial itself. */
function canaryIntent(state: ServiceState): CanaryIntent | null {
  const { swap } = state
  const run = swap?.step === 'canary' ? (swap.canary ?? null) : null
  if (swap === null || run === null || run.share === null) return null
  const process = findRelease(state, swap.release)?.process
  if (process?.healthy !== true) return null
  return { release: swap.release, port: process.port, share: run.share, phase: run.phase }
}

function withCanary(route: RouteIntent, canary: CanaryIntent | null): RouteIntent {
  return canary === null ? route : { ...route, canary }
}

/** The old release was told to make room, and the new one is not in its place yet. */
export function isInPlaceOf(swap: Swap): boolean {
  return swap.alone === true && (swap.step === 'emptying' || swap.step === 'booting' || swap.step === 'checking')
}

/** Nothing more is waited for: neither the bake's time, nor a request on the old release, nor its word on how it is. */
export function bakeIsOver(state: ServiceState, tentative: Tentative): boolean {
  return tentative.bakeOver && tentative.drained && !(tentative.probing && isRunning(state, tentative.fallback))
}

/**
 * The release that stays warm behind a flip: the last confirmed one, as long as it runs. A rollback to a release
 * that was confirmed before gets none: the person has said which of the two is bad.
 */
export function fallbackFor(state: ServiceState, swap: Swap): string | null {
  const record = release(state, swap.release)
  if (record.everConfirmed || state.confirmed === swap.release) return null
  return findRelease(state, state.confirmed)?.process?.healthy === true ? state.confirmed : null
}

/** The pause holds requests whatever the route is: a flip beside it happens, and they go to where it leads. */
export function withPause(route: RouteIntent, paused: number | null | undefined): RouteIntent {
  return paused === null || paused === undefined ? route : { ...route, paused }
}

export function sameRoute(a: RouteIntent, b: RouteIntent): boolean {
  return a.state === b.state && a.live === b.live && a.port === b.port && a.fallback === b.fallback && a.reason === b.reason && (a.paused ?? null) === (b.paused ?? null) && sameCanary(a.canary ?? null, b.canary ?? null)
}

function sameCanary(a: CanaryIntent | null, b: CanaryIntent | null): boolean {
  return a === b || (a !== null && b !== null && a.release === b.release && a.port === b.port && a.share === b.share && a.phase === b.phase)
}

/** Whether requests may go to the release by this route. */
export function names(route: RouteIntent, id: string): boolean {
  return route.live === id || route.fallback === id || route.canary?.release === id
}

/** Whether requests may go to the release by the table as it is, or as it may become. */
export function mayBeSent(state: ServiceState, id: string): boolean {
  return names(state.committed, id) || (state.pending !== null && names(state.pending, id))
}

function serving(state: ServiceState, live: string, fallback: string | null): RouteIntent {
  const port = findRelease(state, live)?.process?.port ?? (state.committed.live === live ? state.committed.port : null)
  return { state: 'serving', live, port, fallback, reason: null }
}

/** What `status` calls it. */
export function stateOf(state: ServiceState, record: ReleaseRecord): ReleaseState {
  if (state.restarting !== null && state.confirmed === record.id) return 'restarting'
  if (state.committed.live === record.id) return 'live'
  if (state.committed.canary?.release === record.id) return 'canary'
  if (state.swap?.release === record.id && state.swap.step !== 'returning') return 'booting'
  const leaving = state.leaving.find((one) => one.release === record.id)
  if (leaving !== undefined) return 'draining'
  if (state.tentative?.fallback === record.id && record.process !== null) return state.tentative.drained ? 'warm' : 'draining'
  return record.outcome?.name === 'failed' || record.outcome?.name === 'flipped-back' || record.outcome?.name === 'timed-out' ? 'failed' : 'stopped'
}
