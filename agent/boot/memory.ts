import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { groupMembers } from '../../proxy/master/process-group.ts'

/** Bytes. */
export interface Room {
  readonly free: number
  /** What sets the limit. */
  readonly limit: 'the machine' | 'the memory limit of its cgroup'
}

/** Two releases run for a while: null where there is room for a second one that takes as much as the live one does. */
export function memoryWarning(liveBytes: number | null, room: Room | null): string | null {
  if (liveBytes === null || room === null || liveBytes <= room.free) return null
  return `memory may not carry two releases at a time: the live one takes ${megabytes(liveBytes)}, and ${room.limit} has ${megabytes(room.free)} left. `
    + `Give it more, make the release smaller, or set "overlap": false (with a gap)`
}

/** What a process group takes, what it shares with others counted in part (Pss of proc_pid_smaps(5)); null where it cannot be read. */
export function groupMemory(leader: number): number | null {
  let total: number | null = null
  for (const pid of groupMembers(leader)) {
    const pss = /^Pss:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/smaps_rollup`) ?? '')
    const rss = pss ?? /^VmRSS:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`) ?? '')
    if (rss !== null) total = (total ?? 0) + Number(rss[1]) * 1024
  }
  return total
}

/** The room that is left on this machine, or in the tightest of the cgroups that this process is in (v2 and v1); null where it cannot be read. */
export function memoryRoom(root = '/'): Room | null {
  const available = /^MemAvailable:\s+(\d+) kB$/m.exec(read(join(root, 'proc/meminfo')) ?? '')
  let room: Room | null = available === null ? null : { free: Number(available[1]) * 1024, limit: 'the machine' }
  for (const free of cgroupRooms(root)) {
    if (room === null || free < room.free) room = { free, limit: 'the memory limit of its cgroup' }
  }
  return room
}

/** A limit may stand in any cgroup above; what can be taken back (inactive files) is not counted as used. */
function cgroupRooms(root: string): number[] {
  const rooms: number[] = []
  for (const line of (read(join(root, 'proc/self/cgroup')) ?? '').split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? []
    if (path === undefined) continue
    const v1 = controllers?.split(',').includes('memory') === true
    if (!v1 && controllers !== '') continue
    const names = v1 ? ['memory.limit_in_bytes', 'memory.usage_in_bytes', 'total_inactive_file'] : ['memory.max', 'memory.current', 'inactive_file']
    const [limitFile = '', usedFile = '', inactiveName = ''] = names
    const base = join(root, 'sys/fs/cgroup', v1 ? 'memory' : '')
    for (let at = path; ; at = dirname(at)) {
      const limit = numberIn(join(base, at, limitFile))
      const used = numberIn(join(base, at, usedFile))
      const inactive = new RegExp(`^${inactiveName} (\\d+)$`, 'm').exec(read(join(base, at, 'memory.stat')) ?? '')
      if (limit !== null && used !== null) rooms.push(Math.max(0, limit - Math.max(0, used - Number(inactive?.[1] ?? 0))))
      if (at === '/') break
    }
  }
  return rooms
}

/** null: it is not there, or says "max", or is as good as no limit (v1 says so by a number near 2^63). */
function numberIn(file: string): number | null {
  const text = read(file)?.trim() ?? ''
  return /^\d+$/.test(text) && Number(text) < 2 ** 60 ? Number(text) : null
}

function read(file: string): string | null {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return null
  }
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1024 / 1024)} MB`
}
