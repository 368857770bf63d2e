import type { Assignment, HasVisitor } from './canary/visitor.ts'
import type { ReleaseId, Target } from './table.ts'

/**
 * A visit is one request counted on one release. It is made by the pick, in the same step, and ended exactly once.
 * What it becomes decides which drain deadline applies to it.
 */
export type VisitKind = 'request' | 'stream' | 'upgraded'

export type VisitEnd =
  /** The client got a complete reply (for an upgraded connection: both sides closed in order). */
  | 'complete'
  /** The client went away first: nothing of ours was lost. */
  | 'client-gone'
  /** The release gave no complete reply and the client was still there. Counts as lost. */
  | 'lost'
  /** A drain deadline ended it. Counts as cut, and as lost. */
  | 'cut'
  /** A stream or WebSocket ended in order when its grace was over: neither cut nor lost. */
  | 'graceful'
  /** The dial failed before any byte was sent, or nothing of what came was used: the request is picked again. Counts as neither. */
  | 'not-sent'
  /** Sent, but no byte of a reply came, and the request is safe to repeat: it is picked again. Counts as retried. */
  | 'retried'
  /** It answered 404 for a hashed asset, and the release before it has the asset: its reply is not used. */
  | 'missed'

/**
 * dial: it took no connection. reset: it closed it without a byte of a reply. slow: it did not begin its reply in time.
 * bad-reply: no reply that can be passed on, or half of one.
 */
export type UpstreamFailure = 'dial' | 'reset' | 'slow' | 'bad-reply'

export interface Visit {
  readonly release: ReleaseId
  readonly target: Target
  readonly viaFallback: boolean
  /** The number of the table by which it was picked. */
  readonly tableNumber: number
  readonly kind: VisitKind
  /** What a canary made of the request; null: there is none. */
  readonly assigned: Assignment | null
  /**
   * Says that the request has become long-lived. `onGrace` is called at most once, when the grace of that kind is over:
   * a stream is then ended after a blank line, a WebSocket gets a close frame at a frame boundary: 1001, or the code said.
   */
  becomes(kind: 'stream' | 'upgraded', onGrace: (closeCode?: number) => void): void
  /** Called at most once, when the last deadline has passed: destroy everything at once, then end('cut'). */
  onCut(cut: () => void): void
  /** The reply's status, once it is known: 5xx is counted as an error of the release. Stops the clock of the first byte. */
  answered(status: number): void
  /** What the release did wrong; at most once for a visit. How the visit ends is said apart. */
  failed(how: UpstreamFailure): void
  /** What went over the connection to the release for this visit, heads included; at most once, before its end. */
  moved(bytesToRelease: number, bytesFromRelease: number): void
  /** Ends the visit; a second call does nothing. */
  end(how: VisitEnd): void
}

/** Why a request gets no release. */
export interface Refusal {
  readonly status: 400 | 404 | 500 | 503
  readonly code: 'override' | 'no-service' | 'no-release' | 'hold-timeout' | 'hold-full' | 'new-code-failed'
  /** One sentence for the client. */
  readonly reason: string
  readonly retryAfterSeconds: number | null
  /** Makes the body for what the client accepts, where one sentence is not enough. */
  readonly render?: RenderBody
}

/** `accept`: the request's Accept field, '' where it has none. */
export type RenderBody = (accept: string, method: string) => { readonly type: string; readonly text: string }

export interface Picker {
  /**
   * Chooses a release and counts the request on it in one step (promise 5: nothing is awaited between the two).
   * Exactly one of the two callbacks is called, exactly once: in the same tick where a release is live,
   * later where the request is parked by a flip or held while nothing can answer.
   * `arrivedAt` is process.hrtime.bigint() when the request's head was complete.
   * `failed`: releases already tried for this request whose dial failed.
   */
  pick(request: PickRequest): PendingPick
  /**
   * A hashed asset was not found: the release before, where it is warm and may be asked, chosen and counted in one step as
   * well. null, or absent: the 404 stands.
   */
  previous?(missed: Visit): Visit | null
}

export interface PickRequest {
  readonly service: string
  readonly arrivedAt: bigint
  /** The path of a GET or HEAD; null or absent: another method. */
  readonly path?: string | null
  readonly failed: ReadonlySet<ReleaseId> | null
  /** Who asks, for a canary; absent: sent to none. */
  readonly asker?: HasVisitor
  picked(visit: Visit): void
  refused(refusal: Refusal): void
}

export interface PendingPick {
  /** The client went away while waiting: neither callback will be called. */
  cancel(): void
}
