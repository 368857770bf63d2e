import { GracerError } from '../../inherit/gracer-error.ts'
import { formatSize } from '../config/sizes.ts'

/** How much of a machine one build may take. */
export interface BuildLimits {
  /** Bytes: of all that is unpacked or copied together, and of the archive itself. */
  readonly maxBytes: number
  /** Files, folders and links together. */
  readonly maxEntries: number
}

export function tooLarge(what: string, limits: BuildLimits): GracerError {
  return new GracerError(`${what} holds more than ${formatSize(limits.maxBytes)}`, { code: 'build-too-large', hint: 'Leave out what the release does not need at run time, deploy it as a folder, or raise "builds.size".' })
}

export function tooMany(what: string, limits: BuildLimits): GracerError {
  return new GracerError(`${what} holds more than ${limits.maxEntries} files and folders`, { code: 'build-too-large', hint: 'Leave out what the release does not need at run time, deploy it as a folder, or raise "builds.files".' })
}

/** What the config says by default. */
export const buildDefaults = Object.freeze({ maxBytes: 2 * 2 ** 30, maxEntries: 100_000, sha256: 'optional' } as const)
