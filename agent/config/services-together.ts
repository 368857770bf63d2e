import { sep } from 'node:path'
import { sameMatch, type Match } from '../../proxy/match.ts'
import { pathText, type ConfigProblem } from './problems.ts'
import type { ServiceConfig } from './types.ts'

/** What services cannot have in common: a name that differs by case alone, what they answer to, and the folder of their drops. */
export function problemsBetween(services: readonly ServiceConfig[]): readonly ConfigProblem[] {
  const problems: ConfigProblem[] = []
  for (const [index, later] of services.entries()) {
    for (const earlier of services.slice(0, index)) {
      const of = pathText(['services', earlier.name])
      if (earlier.name.toLowerCase() === later.name.toLowerCase()) {
        problems.push({ path: pathText(['services', later.name]), message: `differs from ${of} by upper and lower case only` })
      }
      if (sameMatch(earlier.match, later.match)) {
        problems.push({ path: pathText(['services', later.name]), message: `answers to ${matchText(later.match)}, and so does ${of}; give one of them another "host" or "path"` })
      }
      if (earlier.releases !== null && later.releases !== null && overlap(earlier.releases, later.releases)) {
        problems.push({ path: pathText(['services', later.name, 'releases']), message: `${later.releases} and the folder of ${of} (${earlier.releases}) hold the same drops; each service needs a folder of its own` })
      }
    }
  }
  return problems
}

export function matchText({ host, path }: Match): string {
  return host === null ? (path === '/' ? 'every host and path' : `${path} on every host`) : `${host}${path}`
}

/** One is the other, or lies in it: its folder would be taken for a drop there. */
function overlap(a: string, b: string): boolean {
  return a === b || a.startsWith(b + sep) || b.startsWith(a + sep)
}
