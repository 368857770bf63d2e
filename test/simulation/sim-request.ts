import { newMemo, Visitor, type Assignment, type HasVisitor } from '../../proxy/canary/visitor.ts'
import type { ReleaseId } from '../../proxy/release-key.ts'
import type { SimBackend } from './sim-backend.ts'
import type { SimWorker } from './sim-worker.ts'
import type { Timed } from './clock.ts'

/** One public request, from its arrival at a worker to its end. */
export class SimRequest implements HasVisitor {
  readonly id: number
  readonly service: string
  worker: SimWorker | null = null
  /** The highest `since` by which somebody had a full reply when this request began. */
  readonly floor: number
  /** Who asks; a canary tells them apart. */
  readonly user: string
  /** How often visitors had been taken back from a canary when it began, and when it was picked last. */
  readonly downsAtBegin: number
  downsAtPick = 0
  assigned: Assignment | null = null
  #visitor: Visitor | null = null
  state: 'arriving' | 'parked' | 'held' | 'picked' | 'sent' | 'ended' = 'arriving'
  failed: Set<ReleaseId> | null = null
  release: ReleaseId | null = null
  port = 0
  since = 0
  viaFallback = false
  backend: SimBackend | null = null
  /** When it was parked, and how long its worker had been stopped by then. */
  parkedAt = 0
  stalledBefore = 0
  holdTimer: Timed | null = null
  /** It has been held for as long as one may be. */
  overdue = false
  end = ''

  constructor(id: number, service: string, floor: number, downs: number) {
    this.id = id
    this.user = `user${id % 5}`
    this.downsAtBegin = downs
    this.service = service
    this.floor = floor
  }

  visitor(): Visitor {
    return (this.#visitor ??= new Visitor({ rawHeaders: ['x-user', this.user], clientAddress: '', isTelling: false, memo: newMemo(), isPlain: true }))
  }

  lost(why: string): void {
    this.worker?.ended(this, `lost: ${why}`)
  }
}
