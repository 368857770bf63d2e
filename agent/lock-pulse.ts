import { spawnSync } from 'node:child_process'
import { closeSync, constants, openSync, renameSync, rmSync, statSync } from 'node:fs'
import type { ProcessState } from '../proxy/process-identity.ts'

/**
 * A sign of life that is read without knowing pids, so also from another container on the same kernel: a named pipe
 * whose reading end the holder keeps open. The kernel closes it with the process, however that ends, and the
 * descriptor is close-on-exec, so no child keeps it open. fifo(7): opening for writing without blocking fails with
 * ENXIO when nobody reads.
 */
export interface Pulse {
  stop(): void
}

/** Where a pipe cannot be made (no mkfifo, a file system without pipes) the lock stands without a pulse. */
export function layPulse(path: string): Pulse {
  // Under its final name only once it is open: until then it would look like the pulse of the dead.
  const unborn = `${path}-unborn`
  const made = spawnSync('mkfifo', ['-m', '600', unborn], { stdio: 'ignore' })
  if (made.status !== 0) return { stop: () => {} }
  const fd = openSync(unborn, constants.O_RDONLY | constants.O_NONBLOCK)
  renameSync(unborn, path)
  return {
    stop() {
      closeSync(fd)
      rmSync(path, { force: true })
    },
  }
}

/** Does the holder of the pipe live? 'unknown' where there is no pipe. */
export function pulseOf(path: string): ProcessState {
  if (statSync(path, { throwIfNoEntry: false })?.isFIFO() !== true) return 'unknown'
  try {
    closeSync(openSync(path, constants.O_WRONLY | constants.O_NONBLOCK))
    return 'alive'
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENXIO' ? 'dead' : 'unknown'
  }
}
