import type { ReleaseId } from '../release-key.ts'
import type { Affected } from './user-sample.ts'

/** What a worker tells of the users of a release: each once in a slice of time, and once more when it was affected. */
export interface UserNews {
  readonly release: ReleaseId
  /** The table number at which the release had become live. */
  readonly since: number
  readonly slice: number
  readonly seen: readonly number[]
  readonly affected: readonly number[]
}

/** The distinct users of one service, over all workers, those that are gone included. */
export interface ServiceUsers {
  /** Since the release became live. */
  readonly live: (Affected & { readonly release: ReleaseId; readonly since: number }) | null
  /** Releases that were live before, each in the last ten minutes in which it was. */
  readonly before: readonly (Affected & { readonly release: ReleaseId })[]
}
