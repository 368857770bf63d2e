import { readJson, replaceFile } from './atomic-file.ts'
import { isCanaryRoute } from './canary/route.ts'
import { keyFromFile } from './release-key.ts'
import { emptyTable, type Route, type Table, type Target } from './table.ts'

/**
 * Writes the committed table. Not synced to the disk: it must survive every process, and after the machine's own end
 * none of its targets runs any more.
 */
export function writeTable(path: string, table: Table): void {
  replaceFile(path, `${JSON.stringify(table)}\n`, false)
}

/** The table as written; null where there is none or it cannot be trusted. */
export function readTable(path: string): Table | null {
  const found = readJson(path)
  return isTable(found) ? { ...found, routes: found.routes.map(keyed) } : null
}

/** For a new master: the last table, or an empty one. */
export function readTableOrEmpty(path: string): Table {
  return readTable(path) ?? emptyTable
}

function keyed(route: Route): Route {
  const target = (written: Target | null): Target | null => (written === null ? null : { ...written, release: keyFromFile(route.service, written.release) })
  return { ...route, live: target(route.live), fallback: target(route.fallback) }
}

function isTable(value: unknown): value is Table {
  if (typeof value !== 'object' || value === null) return false
  const { epoch, number, routes } = value as Partial<Table>
  return Number.isSafeInteger(epoch) && Number.isSafeInteger(number) && Array.isArray(routes) && routes.every(isRoute)
}

function isRoute(value: unknown): value is Route {
  if (typeof value !== 'object' || value === null) return false
  const { service, since, state, live, fallback, canary, settings } = value as Partial<Route>
  return (
    typeof service === 'string' && Number.isSafeInteger(since) && (state === 'serving' || state === 'holding' || state === 'down') &&
    isTarget(live) && isTarget(fallback) && isCanary(canary) && typeof settings?.holdMax === 'number' && typeof settings.holdTimeoutMs === 'number'
  )
}

function isCanary(value: unknown): boolean {
  return value === null || value === undefined || (isCanaryRoute(value) && isTarget(value.target))
}

function isTarget(value: unknown): value is Target | null {
  if (value === null) return true
  if (typeof value !== 'object') return false
  const { release, host, port, healthy } = value as Partial<Target>
  return typeof release === 'string' && typeof host === 'string' && Number.isInteger(port) && typeof healthy === 'boolean'
}
