import type { FrontSettings } from '../front-settings.ts'
import type { LogLevel } from '../log.ts'

/** What a worker is told at its start, as JSON in its first argument. Everything else comes over its channel. */
export interface WorkerStart extends FrontSettings {
  readonly index: number
  readonly workers: number
  /** True: it was started before there was a public socket, and is sent one over its channel. */
  readonly standsBy: boolean
  /** Read when the master has vanished in the middle of a flip. */
  readonly tableFile: string
  readonly logFile: string
  readonly logLevel: LogLevel
}
