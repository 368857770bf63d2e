import type { Log } from '../proxy/log.ts'
import type { Config } from './config/types.ts'
import { accessSettings } from './config/front-config.ts'
import { listenForMetrics } from './metrics/listener.ts'
import { rotateAccessLog } from './service/rotate-access.ts'
import type { StateFolder } from './state-folder.ts'

const rotateLookMs = 1_000

/** What the agent does for the public port beside its services: moves the access log aside, and serves the figures. */
export function startFrontChores(config: Config, state: StateFolder, log: Log, metrics: () => Promise<string>): void {
  const access = accessSettings(config.front, state)
  if (access !== null) {
    setInterval(() => {
      try {
        rotateAccessLog(access)
      } catch (error) {
        log.warn('access.not-moved', { file: access.file, error: (error as Error).message })
      }
    }, rotateLookMs)
  }
  // A config that an older version kept does not know the key.
  const listen = config.metrics ?? null
  if (listen !== null) void listenForMetrics({ listen, text: metrics, log: (level, event, fields) => log[level](event, fields) })
}
