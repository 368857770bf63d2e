import { readFileSync } from 'node:fs'

/** User and system time of a process in milliseconds: fields 14 and 15 of proc(5)'s stat, at 100 ticks a second. */
export function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}
