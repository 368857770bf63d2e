/** gracer's own copy of a build, which is what runs. Plain data: it stands in the journal. */
export interface BuildCopy {
  /** The folder of the copy; its name is that of the release it was made for. */
  readonly root: string
  /** Where it is run: `root`, or the single folder in it. */
  readonly folder: string
  /** What is run in it, where the build is a single file; relative to `folder`. */
  readonly file: string | null
  /** SHA-256 in hex of the archive or file that it was made of; null where it was made of a folder. */
  readonly sha256: string | null
}
