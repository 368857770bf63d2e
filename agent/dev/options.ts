import type { InspectAddress } from './inspector.ts'

/** What the command line says. Paths are relative to `cwd`. */
export interface DevOptions {
  readonly cwd: string
  readonly config?: string
  /** Of several in the config; without it the first. */
  readonly service?: string
  readonly listen?: string
  /** [] : what package.json says. */
  readonly command: readonly string[]
  /** [] : the working folder. */
  readonly watch: readonly string[]
  readonly ignore: readonly string[]
  /** A line for the shell; null: nothing is built. */
  readonly build: string | null
  readonly buildTimeoutMs: number
  readonly keepOld: boolean
  readonly inject: boolean
  readonly overlap: boolean
  readonly poll: boolean
  readonly inspect: InspectAddress | null
  readonly json: boolean
  readonly color: boolean
}
