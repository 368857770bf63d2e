import type { RouteSettings } from '../../proxy/table.ts'
import type { ServiceConfig } from '../config/types.ts'

/** What the workers need of a service's config: told with every route, and when the services are named. */
export function routeSettings({ hold, health, canary, previousAssets }: ServiceConfig): RouteSettings {
  return { holdTimeoutMs: hold.timeoutMs, holdMax: hold.max, pace: hold.pace, healthPath: health.path, userKey: canary?.key ?? null, previousAssets: previousAssets === true }
}
