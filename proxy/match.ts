/** What a service answers to. */
export interface Match {
  /** Lower case, no port, no trailing dot: 'shop.example.org', or '*.example.org' for every name below it. null: any host. */
  readonly host: string | null
  /** A prefix of the path, as the client writes it, that ends at a segment boundary: '/', '/api'; no slash at its end. */
  readonly path: string
}

export const matchesAll: Match = Object.freeze({ host: null, path: '/' })

export function sameMatch(a: Match, b: Match): boolean {
  return a.host === b.host && a.path === b.path
}
