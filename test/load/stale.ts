import type { Entry } from './ledger.ts'

/** A stretch of the monotonic clock, in process.hrtime.bigint() nanoseconds, both ends included. */
export interface Interval {
  readonly from: bigint
  readonly to: bigint
}

export interface StaleOptions {
  /** Requests sent in one of these are not judged: a rollback, a canary, a fallback during bake. */
  readonly exempt?: readonly Interval[]
  /** Only what was sent from here on counts, for the order of the releases as well. For a second flip back to an older release. */
  readonly from?: bigint
  readonly to?: bigint
  /** The releases in the order in which they went live; by default that of their first full replies. */
  readonly order?: readonly string[]
}

export interface StaleReply {
  /** The request that was answered by a release already replaced. */
  readonly entry: Entry
  /** The first full reply of a later release, complete before the request was sent. */
  readonly newer: Entry
}

/**
 * The atomic flip: once anybody has a full reply from a release, no request sent later is answered by an earlier one.
 * No false alarm: a reply's time is taken after it was read, a request's before its first byte was written, by one
 * clock in one process.
 */
export function staleAfterFlip(entries: readonly Entry[], options: StaleOptions = {}): StaleReply[] {
  const judged = entries.filter((entry) => answered(entry) && within(entry.sentAt!, options.from, options.to))
  const firsts = new Map<string, Entry>()
  for (const entry of judged) {
    const before = firsts.get(entry.release!)
    if (entry.outcome === 'ok' && (before === undefined || entry.completedAt < before.completedAt)) firsts.set(entry.release!, entry)
  }
  const order = options.order ?? [...firsts].sort(([, a], [, b]) => (a.completedAt < b.completedAt ? -1 : 1)).map(([name]) => name)
  const rank = new Map(order.map((name, index) => [name, index]))
  // The newest release of which a full reply was complete at a time, looked up from the latest on.
  const milestones = order.flatMap((name) => firsts.get(name) ?? []).reverse()
  return judged.flatMap((entry) => {
    const own = rank.get(entry.release!)
    if (own === undefined || options.exempt?.some(({ from, to }) => within(entry.sentAt!, from, to))) return []
    const newer = milestones.find((first) => rank.get(first.release!)! > own && first.completedAt < entry.sentAt!)
    return newer === undefined ? [] : [{ entry, newer }]
  })
}

/** A reply need not be whole to be stale: its head names the release. Messages of a WebSocket are no requests. */
function answered(entry: Entry): boolean {
  return entry.sentAt !== null && entry.release !== null && entry.kind !== 'websocket-message' && entry.kind !== 'websocket-session'
}

function within(at: bigint, from: bigint | undefined, to: bigint | undefined): boolean {
  return (from === undefined || at >= from) && (to === undefined || at <= to)
}
