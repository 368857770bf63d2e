import type { Log } from '../../proxy/log.ts'
import { groupMembers, strayProcesses } from '../../proxy/master/process-group.ts'
import { releaseKey } from '../../proxy/release-key.ts'
import { raiseOomScore, restoreOomScore } from '../boot/oom-score.ts'
import { findRelease, type ReleaseRecord, type ServiceState } from '../swap/state.ts'

export interface OomTrialOptions {
  readonly service: string
  readonly state: () => Readonly<ServiceState>
  readonly log: Log
  /** Why memory pressure may take another one than it should. */
  readonly trouble: (release: string, what: string) => void
}

/** A release that is booted beside the confirmed one: memory pressure should take it, and not the old one. */
export class OomTrial {
  readonly #options: OomTrialOptions

  constructor(options: OomTrialOptions) {
    this.#options = options
  }

  begin(release: string, pid: number): void {
    const state = this.#options.state()
    const { swap, confirmed } = state
    if (swap?.release !== release || confirmed === null || findRelease(state, confirmed)?.process == null) return
    this.#said(release, raiseOomScore(groupMembers(pid)))
  }

  end(record: ReleaseRecord): void {
    if (record.process === null) return
    const { pid, port } = record.process
    const strays = strayProcesses(releaseKey(this.#options.service, record.id), port)
    this.#said(record.id, restoreOomScore([...new Set([...groupMembers(pid), ...strays])]))
  }

  #said(release: string, trouble: string | null): void {
    if (trouble === null) return
    const { log, service } = this.#options
    log.warn('oom.not-set', { service, release, error: trouble })
    this.#options.trouble(release, trouble)
  }
}
