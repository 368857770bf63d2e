import type { ReleaseId } from '../release-key.ts'

/** What a copy of a request is made of. */
export interface ShadowRequest {
  readonly path: string
  /** As the upstream gets them. */
  readonly fields: Readonly<Record<string, string | string[]>>
}

/** A request's own reply and that of its copy: status, and milliseconds to the head. */
export interface ShadowCopy {
  readonly live: { readonly status: number; readonly ms: number }
  /** status null: no reply. */
  readonly copy: { readonly status: number | null; readonly ms: number }
}

/** What a worker tells of its copies since the last word. */
export interface ShadowNews {
  /** The release that got them, by its key. */
  readonly release: ReleaseId
  readonly copies: readonly ShadowCopy[]
  readonly skipped: number
}
