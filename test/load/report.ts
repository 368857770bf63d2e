import type { Counters } from './context.ts'
import type { FailureCode } from './failure.ts'
import { entryKinds, type EntryKind } from './kinds.ts'
import type { Entry } from './ledger.ts'

export type EndedBy = 'stop' | 'signal' | 'duration' | 'count'

export interface Latency {
  /** Milliseconds from setting about the request (dialling included) to its outcome, of those that were ok. */
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

export interface Tally {
  readonly requests: number
  readonly ok: number
  readonly failed: number
  /** Ended by the server in order, where that is allowed. */
  readonly ended: number
  /** Broken off by the client. */
  readonly aborted: number
}

export interface FailureExample {
  readonly kind: EntryKind
  readonly connection: number
  readonly release: string | null
  readonly status: number | null
  /** Milliseconds after the start of the load; null when no byte was sent. */
  readonly sentMs: number | null
  readonly atMs: number
  readonly bytes: number
  readonly detail: string
}

export interface FailureGroup {
  readonly code: FailureCode
  readonly count: number
  /** The first few. */
  readonly examples: readonly FailureExample[]
}

export interface ReleaseTally {
  readonly release: string
  readonly replies: number
  /** Milliseconds after the start of the load, of the first and the last full reply. */
  readonly firstMs: number
  readonly lastMs: number
}

/** Plain data: it goes through JSON as it is. */
export interface ReportData extends Tally {
  readonly schema: 1
  readonly durationMs: number
  readonly endedBy: EndedBy
  readonly connections: number
  readonly peakOpen: number
  readonly opened: number
  /** Connections that the server closed, or reset, while nothing was outstanding on them: no request was lost. */
  readonly idleClosed: number
  readonly idleReset: number
  readonly refused: number
  /** The longest time in which no reply was completed, in milliseconds. */
  readonly longestGapMs: number
  readonly kinds: Readonly<Partial<Record<EntryKind, Tally & Latency>>>
  readonly failures: readonly FailureGroup[]
  /** In the order of their first full replies. */
  readonly releases: readonly ReleaseTally[]
  readonly releasesSeen: readonly string[]
}

export interface ReportInput {
  readonly entries: readonly Entry[]
  readonly startedAt: bigint
  /** When no more requests were begun: the longest gap is looked for up to here. */
  readonly stoppedAt: bigint
  readonly endedBy: EndedBy
  readonly connections: number
  readonly counters: Counters
  /** Examples kept of each kind of failure. */
  readonly examples: number
}

export function makeReport(input: ReportInput): ReportData {
  const { entries, counters, startedAt, stoppedAt } = input
  const kinds: Partial<Record<EntryKind, Tally & Latency>> = {}
  const byKind = groupBy(entries, (entry) => entry.kind)
  for (const kind of [...byKind.keys()].sort((a, b) => entryKinds.indexOf(a) - entryKinds.indexOf(b))) {
    const ofKind = byKind.get(kind)!
    kinds[kind] = { ...tally(ofKind), ...latency(ofKind) }
  }
  const releases = releasesOf(entries, startedAt)
  return {
    schema: 1,
    ...tally(entries),
    durationMs: ms(stoppedAt - startedAt),
    endedBy: input.endedBy,
    connections: input.connections,
    peakOpen: counters.peakOpen,
    opened: counters.opened,
    idleClosed: counters.idleClosed,
    idleReset: counters.idleReset,
    refused: entries.filter((entry) => entry.failure?.code === 'refused').length,
    longestGapMs: longestGap(entries, startedAt, stoppedAt),
    kinds,
    failures: failuresOf(entries, startedAt, input.examples),
    releases,
    releasesSeen: releases.map(({ release }) => release),
  }
}

export function tally(entries: readonly Entry[]): Tally {
  const count = { requests: entries.length, ok: 0, failed: 0, ended: 0, aborted: 0 }
  for (const { outcome } of entries) count[outcome]++
  return count
}

function latency(entries: readonly Entry[]): Latency {
  const times = entries.filter(({ outcome }) => outcome === 'ok').map((entry) => ms(entry.completedAt - entry.startedAt)).sort((a, b) => a - b)
  const quantile = (q: number): number => times[Math.max(0, Math.ceil(q * times.length) - 1)] ?? 0
  return { p50Ms: quantile(0.5), p99Ms: quantile(0.99), maxMs: quantile(1) }
}

function longestGap(entries: readonly Entry[], startedAt: bigint, stoppedAt: bigint): number {
  let last = startedAt
  let longest = 0n
  // Entries stand in order of completion.
  for (const { outcome, completedAt } of entries) {
    if (outcome !== 'ok') continue
    if (completedAt > stoppedAt) break
    if (completedAt - last > longest) longest = completedAt - last
    last = completedAt
  }
  return ms(stoppedAt - last > longest ? stoppedAt - last : longest)
}

function failuresOf(entries: readonly Entry[], startedAt: bigint, examples: number): FailureGroup[] {
  const failed = entries.filter(({ failure }) => failure !== null)
  return [...groupBy(failed, (entry) => entry.failure!.code)].map(([code, group]) => ({
    code, count: group.length, examples: group.slice(0, examples).map((entry) => example(entry, startedAt)),
  }))
}

export function example(entry: Entry, startedAt: bigint): FailureExample {
  const { kind, connection, release, status, bytes, sentAt } = entry
  return {
    kind, connection, release, status, bytes,
    sentMs: sentAt === null ? null : ms(sentAt - startedAt),
    atMs: ms(entry.completedAt - startedAt), detail: entry.failure?.detail ?? '',
  }
}

function releasesOf(entries: readonly Entry[], startedAt: bigint): ReleaseTally[] {
  const full = entries.filter(({ outcome, release, kind }) => outcome === 'ok' && release !== null && kind !== 'websocket-session')
  return [...groupBy(full, (entry) => entry.release!)].map(([release, replies]) => ({
    release, replies: replies.length,
    firstMs: ms(replies[0]!.completedAt - startedAt), lastMs: ms(replies.at(-1)!.completedAt - startedAt),
  }))
}

/** Map.groupBy, which Node 20 does not have. */
function groupBy<Key>(entries: readonly Entry[], keyOf: (entry: Entry) => Key): Map<Key, Entry[]> {
  const groups = new Map<Key, Entry[]>()
  for (const entry of entries) {
    const key = keyOf(entry)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [entry])
    else group.push(entry)
  }
  return groups
}

function ms(nanoseconds: bigint): number {
  return Math.round(Number(nanoseconds) / 1e4) / 100
}
