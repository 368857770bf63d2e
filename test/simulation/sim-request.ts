import type { ReleaseId } from '../../proxy/release-key.ts'
import type { SimBackend } from './sim-backend.ts'
import type { SimWorker } from './sim-worker.ts'
import type { Timed } from './clock.ts'

/** One public request, from its arrival at a worker to its end. */
export class SimRequest {
  readonly id: number
  readonly service: string
  worker: SimWorker | null = null
  /** The highest `since` by which somebody had a full reply when this request began. */
  readonly floor: number
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

  constructor(id: number, service: string, floor: number) {
    this.id = id
    this.service = service
    this.floor = floor
  }

  lost(why: string): void {
    this.worker?.ended(this, `lost: ${why}`)
  }
}
