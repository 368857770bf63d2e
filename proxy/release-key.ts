/**
 * One release in the data plane: `SERVICE/NUMBER`, as in 'api/v43'. Numbers are those of one service alone, so whatever
 * is kept for several services (the table, backends, drains, ledgers, pools) is kept by this key. The data plane takes
 * it as it is; it is put together and taken apart here only.
 */
export type ReleaseId = `${string}/${string}`

/** No name of a service and no number holds a slash. */
const between = '/'

export function releaseKey(service: string, number: string): ReleaseId {
  return `${service}${between}${number}`
}

export function serviceOfKey(key: ReleaseId): string {
  return key.slice(0, key.indexOf(between))
}

/** What people say, and the app is told in GRACER_RELEASE: 'v43'. */
export function numberOfKey(key: ReleaseId): string {
  return key.slice(key.indexOf(between) + 1)
}

/** A release as a file of gracer's names it: before there were several services it stood there by its number alone. */
export function keyFromFile(service: string, written: string): ReleaseId {
  return written.includes(between) ? (written as ReleaseId) : releaseKey(service, written)
}
