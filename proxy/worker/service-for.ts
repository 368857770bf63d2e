import type { ServiceName, Table } from '../table.ts'

interface Place {
  readonly service: ServiceName
  /** '' for '/': it is then a prefix of every path. */
  readonly prefix: string
}

/** The longest prefix first. */
type Places = readonly Place[]

/**
 * Which service answers to a host and a path, compiled once for each table. Hosts: an exact name goes before
 * '*.example.org' (the longest of these first), and that before any host; one of whose services has none for the path is
 * passed over. Paths are compared as the client wrote them, byte by byte, never decoded: a prefix ends at a slash.
 */
export class ServiceFinder {
  #table: Table | null = null
  /** The one service that takes everything, where it is that simple. */
  #only: ServiceName | null = null
  #exact = new Map<string, Places>()
  #wild: readonly { readonly suffix: string; readonly places: Places }[] = []
  #any: Places = []

  /** `host`: lower case, without port and trailing dot. `path`: without the query. null: no service answers to these. */
  find(table: Table, host: string, path: string): ServiceName | null {
    if (table !== this.#table) this.#compile(table)
    if (this.#only !== null) return this.#only
    const exact = this.#exact.get(host)
    const found = exact === undefined ? null : longest(exact, path)
    if (found !== null) return found
    for (const { suffix, places } of this.#wild) {
      const below = host.length > suffix.length && host.endsWith(suffix) ? longest(places, path) : null
      if (below !== null) return below
    }
    return longest(this.#any, path)
  }

  #compile(table: Table): void {
    this.#table = table
    const hosts = new Map<string | null, Place[]>()
    for (const { service, match } of table.routes) {
      const host = match?.host ?? null
      const place = { service, prefix: match === undefined || match.path === '/' ? '' : match.path }
      const known = hosts.get(host)
      if (known === undefined) hosts.set(host, [place])
      else known.push(place)
    }
    for (const places of hosts.values()) places.sort((a, b) => b.prefix.length - a.prefix.length)
    this.#any = hosts.get(null) ?? []
    const named = [...hosts].filter((entry): entry is [string, Place[]] => entry[0] !== null)
    this.#exact = new Map(named.filter(([host]) => !host.startsWith('*.')))
    this.#wild = named.filter(([host]) => host.startsWith('*.')).map(([host, places]) => ({ suffix: host.slice(1), places })).sort((a, b) => b.suffix.length - a.suffix.length)
    const [first] = table.routes
    this.#only = table.routes.length === 1 && first !== undefined && this.#any[0]?.prefix === '' ? first.service : null
  }
}

function longest(places: Places, path: string): ServiceName | null {
  for (const { service, prefix } of places) {
    if (prefix === '' || (path.startsWith(prefix) && (path.length === prefix.length || path.charCodeAt(prefix.length) === slash))) return service
  }
  return null
}

const slash = 47
