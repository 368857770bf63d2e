import { spawnSync } from 'node:child_process'
import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'

/**
 * A process named so that it cannot be mistaken for another: pids are used again, start times are not; and where
 * pids mean something at all (which kernel, which boot, which pid namespace).
 */
export interface ProcessIdentity {
  readonly pid: number
  /** Field 22 of /proc/PID/stat, in clock ticks since boot (proc(5)); on macOS what `ps -o lstart=` says. null: unreadable. */
  readonly start: string | null
  readonly host: string
  /** Changes with every boot of the kernel; null where the system has none to read. */
  readonly boot: string | null
  /** The pid namespace, as in 'pid:[4026531836]'; null where there are none. */
  readonly pidNamespace: string | null
}

export type ProcessState = 'alive' | 'dead' | 'unknown'

/** This process. */
export function ownIdentity(): ProcessIdentity {
  return { pid: process.pid, start: startOf(process.pid).start, host: hostname(), boot: bootId(), pidNamespace: pidNamespace() }
}

/** Is the process with this pid, in this pid namespace and since this start, alive? A zombie is dead: it holds nothing. */
export function stateOfPid(pid: number, start: string | null): ProcessState {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return 'dead'
  }
  const now = startOf(pid)
  if (now.zombie) return 'dead'
  if (now.start === null || start === null) return 'unknown'
  return now.start === start ? 'alive' : 'dead'
}

function startOf(pid: number): { readonly start: string | null; readonly zombie: boolean } {
  if (process.platform !== 'linux') return startFromPs(pid)
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The second field is the command in brackets and may itself hold spaces and brackets: count from the last one.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return { start: fields[19] ?? null, zombie: fields[0] === 'Z' || fields[0] === 'X' }
  } catch {
    return { start: null, zombie: false }
  }
}

function startFromPs(pid: number): { readonly start: string | null; readonly zombie: boolean } {
  const result = spawnSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } })
  const match = /^\s*(\S+)\s+(\S.*?)\s*$/.exec(result.stdout ?? '')
  return { start: match?.[2] ?? null, zombie: match?.[1]?.startsWith('Z') === true }
}

function bootId(): string | null {
  try {
    if (process.platform === 'linux') return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
  } catch {
    return null
  }
  const result = spawnSync('sysctl', ['-n', 'kern.bootsessionuuid'], { encoding: 'utf8' })
  const id = (result.stdout ?? '').trim()
  return result.status === 0 && id !== '' ? id : null
}

function pidNamespace(): string | null {
  try {
    return readlinkSync('/proc/self/ns/pid')
  } catch {
    return null
  }
}

/** The start time of a process as `ProcessIdentity.start`; null where it cannot be read or the process is gone. */
export function startOfPid(pid: number): string | null {
  return startOf(pid).start
}
