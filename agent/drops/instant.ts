/**
 * A moment on both clocks: the file system stamps with the wall clock (milliseconds since 1970), spans are measured
 * with the monotonic one (milliseconds since the process began).
 */
export interface Instant {
  readonly wall: number
  readonly mono: number
}

export function instantNow(): Instant {
  return { wall: Date.now(), mono: performance.now() }
}

/** NTP slews by at most 500 parts in a million; what goes beyond that and 50 ms is a clock that was set. */
const toleranceMs = 50
const slew = 0.001

/** Whether nobody set the wall clock between the two moments, so that stamps from between them may be compared. */
export function clockSteady(from: Instant, to: Instant): boolean {
  const spanMs = Math.abs(to.mono - from.mono)
  return Math.abs(to.wall - to.mono - (from.wall - from.mono)) <= toleranceMs + spanMs * slew
}
