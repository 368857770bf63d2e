/** What has happened over all schedules: a simulation in which nothing happens proves nothing. */
export interface Counts {
  schedules: number
  steps: number
  requests: number
  complete: number
  parked: number
  held: number
  fallbackPicks: number
  cut: number
  lostWithWorker: number
  lostWithBackend: number
  flips: number
  confirmed: number
  failed: number
  flippedBack: number
  rolledBack: number
  superseded: number
  aborted: number
  undonePrepares: number
  refused: number
  replaced: number
  recoveries: number
  takeovers: number
  reboots: number
  restarted: number
  staleMessages: number
  faults: number
  commands: number
  goodBuilds: number
  canaries: number
  canaryPicks: number
  canaryReplies: number
  canaryFlips: number
  hooks: number
  hooksEnded: number
  emptied: number
  returned: number
}

export function noCounts(): Counts {
  return {
    schedules: 0, steps: 0, requests: 0, complete: 0, parked: 0, held: 0, fallbackPicks: 0, cut: 0, lostWithWorker: 0, lostWithBackend: 0,
    flips: 0, confirmed: 0, failed: 0, flippedBack: 0, rolledBack: 0, superseded: 0, aborted: 0, undonePrepares: 0, refused: 0, replaced: 0,
    recoveries: 0, takeovers: 0, reboots: 0, restarted: 0, staleMessages: 0, faults: 0, commands: 0, goodBuilds: 0, canaries: 0, canaryPicks: 0, canaryReplies: 0, canaryFlips: 0, hooks: 0, hooksEnded: 0, emptied: 0, returned: 0,
  }
}

export function addCounts(sum: Counts, one: Counts): void {
  for (const key of Object.keys(sum) as (keyof Counts)[]) sum[key] += one[key]
}
