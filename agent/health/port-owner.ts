import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** State 0A of /proc/net/tcp (proc(5)): a listening socket. */
const listenState = '0A'

export type Ownership = 'ours' | 'not-ours' | 'unknown'

/** Whether the process that listens on this loopback port belongs to the release: its group, or a descendant of it. */
export function portBelongsTo(port: number, leader: number): Ownership {
  if (process.platform !== 'linux') return 'unknown'
  try {
    const inodes = listeningSockets().get(port)
    if (inodes === undefined) return 'unknown'
    const members = membersOf(leader)
    let unreadable = false
    for (const pid of members) {
      const held = socketsOf(pid)
      if (held === null) unreadable = true
      else if (held.some((inode) => inodes.has(inode))) return 'ours'
    }
    return unreadable ? 'unknown' : 'not-ours'
  } catch {
    return 'unknown'
  }
}

/** The ports on which the release listens by itself; for the hint that it ignored the one it was given. */
export function portsOf(leader: number): number[] {
  if (process.platform !== 'linux') return []
  try {
    const held = new Set(membersOf(leader).flatMap((pid) => socketsOf(pid) ?? []))
    return [...listeningSockets()].filter(([, inodes]) => [...inodes].some((inode) => held.has(inode))).map(([port]) => port)
  } catch {
    return []
  }
}

/**
 * How many connections wait on a listening port without having been accepted: the kernel makes them, and keeps those
 * whose client has left again. null: nobody listens there, or it cannot be read.
 */
export function waitingConnections(port: number): number | null {
  if (process.platform !== 'linux') return null
  const found = listeners().filter((listener) => listener.port === port)
  return found.length === 0 ? null : found.reduce((sum, listener) => sum + listener.waiting, 0)
}

function listeningSockets(): Map<number, Set<string>> {
  const sockets = new Map<number, Set<string>>()
  for (const { port, inode } of listeners()) {
    const inodes = sockets.get(port) ?? new Set<string>()
    inodes.add(inode)
    sockets.set(port, inodes)
  }
  return sockets
}

interface Listener {
  readonly port: number
  readonly inode: string
  readonly waiting: number
}

/** Of a listening socket rx_queue is the length of its accept queue (tcp_diag and /proc/net/tcp agree on it). */
function listeners(): Listener[] {
  return ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((file) => readOr(file).split('\n').slice(1)).flatMap((line) => {
    const fields = line.trim().split(/\s+/)
    if (fields[3] !== listenState) return []
    const port = Number.parseInt(fields[1]?.split(':').at(-1) ?? '', 16)
    const waiting = Number.parseInt(fields[4]?.split(':')[1] ?? '', 16)
    return [{ port, inode: fields[9] ?? '', waiting: Number.isNaN(waiting) ? 0 : waiting }]
  })
}

/** Every process in the leader's group, and every descendant of those. */
function membersOf(leader: number): number[] {
  const processes = readdirSync('/proc').map(Number).filter(Number.isInteger).map((pid) => {
    const stat = readOr(`/proc/${pid}/stat`)
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return { pid, parent: Number(fields[1]), group: Number(fields[2]) }
  })
  const members = new Set(processes.filter((one) => one.group === leader || one.pid === leader).map((one) => one.pid))
  for (let grown = true; grown; ) {
    grown = false
    for (const one of processes) {
      if (members.has(one.pid) || !members.has(one.parent)) continue
      members.add(one.pid)
      grown = true
    }
  }
  return [...members]
}

function socketsOf(pid: number): string[] | null {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? []
      } catch {
        return []
      }
    })
  } catch {
    return null
  }
}

function readOr(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}
