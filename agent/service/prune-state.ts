import type { ServiceState } from '../swap/state.ts'

/** Releases that nothing refers to any more are forgotten, the oldest first; so are the identities of old drops. */
export function prune(state: ServiceState, keepReleases = 50, keepTried = 500): void {
  const used = new Set([
    state.confirmed, state.swap?.release, state.tentative?.release, state.tentative?.fallback, state.committed.live, state.committed.fallback,
    ...state.leaving.map((one) => one.release), ...state.previous.slice(-10),
  ])
  state.previous = state.previous.slice(-10)
  const surplus = state.releases.length - keepReleases
  if (surplus > 0) {
    const gone = new Set(state.releases.filter((record) => !used.has(record.id) && record.process === null).slice(0, surplus).map((record) => record.id))
    state.releases = state.releases.filter((record) => !gone.has(record.id))
  }
  const keys = Object.keys(state.tried)
  for (const key of keys.slice(0, Math.max(0, keys.length - keepTried))) delete state.tried[key]
}
