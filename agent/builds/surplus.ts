import type { ServiceState } from '../swap/state.ts'

/**
 * The copies that stay: those of releases that run, are about to or may at any moment, and of others that were confirmed
 * the newest `keep`. Of a release that never was confirmed the archive is there, and is taken in anew. Pure.
 * `rootOf`: where the copy of a release lies that the journal says nothing of.
 */
export function copiesToKeep(state: ServiceState, keep: number, rootOf: (release: string) => string): ReadonlySet<string> {
  const kept = new Set<string>()
  const named = new Set([
    state.confirmed, state.swap?.release, state.tentative?.release, state.tentative?.fallback, state.committed.live, state.committed.fallback,
    ...state.leaving.map((one) => one.release),
  ])
  for (const record of state.releases) {
    if (record.process === null && !named.has(record.id)) continue
    kept.add(record.copy?.root ?? rootOf(record.id))
  }
  if (state.waiting?.copy) kept.add(state.waiting.copy.root)
  const older = new Set(state.releases.filter((record) => record.everConfirmed && record.copy).reverse().flatMap((record) => (record.copy ? [record.copy.root] : [])).filter((root) => !kept.has(root)))
  for (const root of [...older].slice(0, keep)) kept.add(root)
  return kept
}
