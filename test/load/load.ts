import { setMaxListeners } from 'node:events'
import { seededRandom } from './bytes.ts'
import { Context } from './context.ts'
import { failure } from './failure.ts'
import * as http from './http-kinds.ts'
import { defaultKinds, shareOut, type Kind } from './kinds.ts'
import { Ledger, type Entry } from './ledger.ts'
import { loopbackAddress, type Target } from './loopback.ts'
import { abort, events, plain } from './other-kinds.ts'
import { makeReport, type EndedBy, type ReportData, type Tally } from './report.ts'
import { staleAfterFlip, type StaleOptions, type StaleReply } from './stale.ts'
import { websocket } from './websocket-kind.ts'

export interface LoadOptions extends Target {
  /** In total, shared out among the kinds. Default 240: over 200 of them stay open. */
  readonly connections?: number
  /** Default: all but events, abort and plain. */
  readonly kinds?: readonly Kind[]
  /** Requests a second, over all connections, at most. Default 600. */
  readonly rate?: number
  /** For the kind 'plain'. Giving it makes that the default kind. */
  readonly plainPath?: string
  /** Begins the stop when aborted. */
  readonly signal?: AbortSignal
  /** The load stops by itself after this. Default 10 minutes. */
  readonly durationMs?: number
  /** … or after so many requests. Default 2 million. */
  readonly maxRequests?: number
  /** How long stop() waits for what is in flight; what is not complete then has failed. Default 15 s. */
  readonly stopTimeoutMs?: number
  /** For one request, from the first byte to the last of the reply. Default 30 s. */
  readonly requestTimeoutMs?: number
  readonly connectTimeoutMs?: number
  /** Of the random sizes, seeds and pauses. Default 1. */
  readonly seed?: number
  /** Called for each failed request as soon as it has failed. */
  readonly onFailure?: (entry: Entry) => void
  /** Examples kept of each kind of failure in the report. Default 5. */
  readonly examples?: number
}

export interface Report extends ReportData {
  /** Replies of a release already replaced; see stale.ts. */
  staleAfterFlip(options?: StaleOptions): StaleReply[]
}

export interface Load {
  /** Begins no more requests, lets what is in flight finish, closes, and reports. May be called again. */
  stop(): Promise<Report>
  /** The report, however the load came to its end. */
  readonly finished: Promise<Report>
  /** Every request that is over, in the order of completion. Grows. */
  readonly ledger: readonly Entry[]
  counts(): LoadCounts
  staleAfterFlip(options?: StaleOptions): StaleReply[]
}

export interface LoadCounts extends Tally {
  readonly inFlight: number
  readonly openConnections: number
  readonly releasesSeen: readonly string[]
}

const runners: Readonly<Record<Kind, (context: Context, known: Map<string, Buffer>) => Promise<void>>> = {
  'keep-alive': http.keepAlive, fresh: http.fresh, post: http.post, upload: http.upload, slow: http.slow,
  stream: http.stream, pipeline: http.pipeline, websocket, events, abort, plain,
}

/**
 * Loads one server until stop(), the signal, the time or the count. Retries nothing; every body is checked byte for
 * byte. Throws GracerError `load-target` or `load-kinds` at once for what it will not do.
 */
export function startLoad(options: LoadOptions): Load {
  const address = loopbackAddress(options)
  const connections = options.connections ?? 240
  const kinds = options.kinds ?? (options.plainPath === undefined ? defaultKinds : ['plain' as const])
  const shares = shareOut(connections, kinds)
  const stopping = new AbortController()
  const cut = new AbortController()
  setMaxListeners(0, stopping.signal, cut.signal)
  const ledger = new Ledger(options.onFailure)
  const startedAt = process.hrtime.bigint()
  let stoppedAt = startedAt
  let endedBy: EndedBy = 'stop'

  const begin = (by: EndedBy): void => {
    if (stopping.signal.aborted) return
    endedBy = by
    stoppedAt = process.hrtime.bigint()
    clearTimeout(limit)
    options.signal?.removeEventListener('abort', onSignal)
    stopping.abort()
  }
  const onSignal = (): void => begin('signal')
  const limit = setTimeout(() => begin('duration'), options.durationMs ?? 600_000)
  const context = new Context({
    address, plainPath: options.plainPath ?? '/', ledger, random: seededRandom(options.seed ?? 1),
    intervalMs: (connections / (options.rate ?? 600)) * 1000,
    connectTimeoutMs: options.connectTimeoutMs ?? 5000,
    requestTimeoutMs: options.requestTimeoutMs ?? 30_000,
    maxRequests: options.maxRequests ?? 2_000_000,
    stopping: stopping.signal, cut: cut.signal, onExhausted: () => begin('count'),
  })
  if (options.signal?.aborted) begin('signal')
  else options.signal?.addEventListener('abort', onSignal, { once: true })

  const known = new Map<string, Buffer>()
  const running = [...shares].flatMap(([kind, share]) => Array.from({ length: share }, () => runners[kind](context, known)))
  const finished = settle(context, running, cut, options.stopTimeoutMs ?? 15_000).then((): Report => {
    const data = makeReport({
      entries: ledger.entries, startedAt, stoppedAt, endedBy, connections, counters: context.counters, examples: options.examples ?? 5,
    })
    return { ...data, staleAfterFlip: (judge) => staleAfterFlip(ledger.entries, judge) }
  })
  return {
    stop() {
      begin('stop')
      return finished
    },
    finished,
    ledger: ledger.entries,
    counts: () => ({
      requests: ledger.entries.length, ...ledger.outcomes, inFlight: ledger.open.size,
      openConnections: context.counters.openNow, releasesSeen: [...ledger.releasesSeen],
    }),
    staleAfterFlip: (judge) => staleAfterFlip(ledger.entries, judge),
  }
}

/** Waits for the stop and then for all connections' loops; at the deadline what is still owed has failed. */
async function settle(context: Context, running: readonly Promise<void>[], cut: AbortController, timeoutMs: number): Promise<void> {
  const { stopping } = context.options
  let timer: NodeJS.Timeout | undefined
  const onStop = (): void => {
    timer = setTimeout(() => {
      for (const wire of [...context.wires]) {
        context.forget(wire, failure('timeout', `no complete reply ${timeoutMs} ms after the load was stopped`))
      }
      cut.abort()
    }, timeoutMs)
  }
  if (stopping.aborted) onStop()
  else stopping.addEventListener('abort', onStop, { once: true })
  try {
    await Promise.all(running)
  } finally {
    clearTimeout(timer)
    for (const wire of [...context.wires]) context.forget(wire)
  }
}
