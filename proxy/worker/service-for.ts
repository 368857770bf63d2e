import type { ServiceName, Table } from '../table.ts'

/** Which service answers to a host and path; null: none. One service takes everything; before the first commit, 'default'. */
export function serviceFor(table: Table, _host: string, _path: string): ServiceName | null {
  return table.routes[0]?.service ?? 'default'
}
