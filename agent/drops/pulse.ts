import { clockSteady, instantNow, type Instant } from './instant.ts'

const beatMs = 100

/** inotify queues an event as it happens. FSEvents and kqueue take their time (libuv asks for 50 ms). */
const deliveryMs = process.platform === 'linux' ? 0 : 1000

/**
 * The latest wall-clock time of which it is certain that an event delivered `at` had not happened yet; null when
 * nothing is certain.
 *
 * An event loop that stood still (a long callback, SIGSTOP, a suspended machine) delivers events late, and then
 * "born before its event" would hold for a folder which was created in place. Between two beats of a timer the loop
 * has polled once at least, and had handed out everything that happened before the first of them. So what is delivered
 * after the last beat happened after the beat before it.
 */
export function notYetAt(beatBeforeLast: Instant | null, at: Instant, delayMs = deliveryMs): number | null {
  if (beatBeforeLast === null || !clockSteady(beatBeforeLast, at)) return null
  return Math.min(beatBeforeLast.wall, at.wall) - delayMs
}

/**
 * The latest wall-clock time at which a name was certainly not in the folder, from its event (see notYetAt) and from the
 * reading before, which did not find it; null: none is certain.
 */
export function absentAt(byEvent: number | null, notFoundBy: Instant | null, at: Instant): number | null {
  const byReading = notFoundBy !== null && clockSteady(notFoundBy, at) ? notFoundBy.wall : null
  if (byEvent === null || byReading === null) return byEvent ?? byReading
  return Math.max(byEvent, byReading)
}

/** Beats every 100 ms while it runs, without keeping the process alive. */
export class Pulse {
  private beforeLast: Instant | null = null
  private last: Instant | null = null
  private readonly timer: NodeJS.Timeout

  constructor() {
    this.timer = setInterval(() => {
      this.beforeLast = this.last
      this.last = instantNow()
    }, beatMs)
    this.timer.unref()
  }

  /** See notYetAt, for an event that is being delivered now. Wall-clock milliseconds. */
  notYetAt(at: Instant): number | null {
    return notYetAt(this.beforeLast, at)
  }

  stop(): void {
    clearInterval(this.timer)
  }
}
