/** Something a person should know that is not an error: told once for each thing it is about. */
export interface Notice {
  /** Stable, kebab-case. */
  readonly code: NoticeCode
  /** Absolute; the last part may be unprintable, `message` holds it escaped. */
  readonly path: string
  readonly message: string
  readonly hint: string
}

export type NoticeCode =
  | 'name-refused' | 'symlink-refused' | 'file-ignored' | 'special-refused'
  | 'current-dangling' | 'current-refused' | 'current-decides'
  | 'marker-stale' | 'checksum-awaited' | 'still-open' | 'keeps-changing' | 'open-files-hidden' | 'foreign-clock'
  | 'watch-limit' | 'folder-missing' | 'folder-back' | 'unsafe-folder' | 'group-writable' | 'read-failed'
