import type { LogLevel } from '../proxy/log.ts'
import type { ConfigOverrides } from './config/load.ts'

/** What an agent is told at its start, as JSON in its first argument. */
export interface AgentStart {
  /** The state folder. */
  readonly state: string
  /** As given to `gracer up`; null: found from `cwd`. */
  readonly configFile: string | null
  readonly cwd: string
  readonly overrides: ConfigOverrides
  readonly logLevel: LogLevel
}
