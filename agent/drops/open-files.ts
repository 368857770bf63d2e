import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { isWithin } from './identity.ts'

/** A process that works in a tree: its working folder lies there, or it has a file or folder of it open. */
export interface Holder {
  readonly pid: number
  /** As in /proc/PID/comm; '?' when it ended meanwhile. */
  readonly command: string
  /** Its working folder lies in the tree, as that of a release does which runs there. */
  readonly resident: boolean
  /** It has a file of the tree open for writing. */
  readonly writing: boolean
}

export interface HolderScan {
  /** By tree. */
  readonly holders: ReadonlyMap<string, readonly Holder[]>
  /** Processes whose descriptors we may not read (those of other users, unless we are root). */
  readonly unreadable: number
  /** False where there is no /proc at all. */
  readonly available: boolean
}

const sliceMs = 5

/**
 * Which processes hold something open in the trees (real paths), as far as /proc shows; proc(5). Only links are read,
 * 3 to 5 µs each, and the event loop has its turn every 5 ms.
 *
 * What it cannot see: a copying process between two files (GNU cp 9 holds nothing of the target then), writers on
 * another machine (NFS, SMB) or in a container that has the folder under another path, processes of other users unless
 * we are root, and a file that is only mapped. This is why rule (c) is a guess.
 */
export async function findHolders(trees: readonly string[], proc = '/proc'): Promise<HolderScan> {
  const holders = new Map<string, Holder[]>(trees.map((tree) => [tree, []]))
  let unreadable = 0
  let pids: string[]
  try {
    pids = readdirSync(proc).filter((name) => /^\d+$/.test(name))
  } catch {
    pids = []
  }
  let sliceEnd = performance.now() + sliceMs
  const breathe = async (): Promise<void> => {
    if (performance.now() < sliceEnd) return
    await nextTurn()
    sliceEnd = performance.now() + sliceMs
  }
  for (const pid of pids) {
    await breathe()
    // We look into the trees ourselves.
    if (Number(pid) === process.pid) continue
    const note = (path: string | null, descriptor: string | null): void => {
      if (path === null) return
      for (const [tree, found] of holders) {
        if (!isWithin(tree, path)) continue
        const last = found.at(-1)?.pid === Number(pid) ? found.pop() : undefined
        const writing = last?.writing === true || descriptor !== null && openForWriting(`${proc}/${pid}/fdinfo/${descriptor}`)
        found.push({ pid: Number(pid), command: last?.command ?? commandOf(proc, pid), resident: descriptor === null || last?.resident === true, writing })
      }
    }
    note(linkOf(`${proc}/${pid}/cwd`), null)
    let descriptors: string[] = []
    try {
      descriptors = readdirSync(`${proc}/${pid}/fd`)
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code
      if (code === 'EACCES' || code === 'EPERM') unreadable += 1
    }
    for (const descriptor of descriptors) {
      await breathe()
      note(linkOf(`${proc}/${pid}/fd/${descriptor}`), descriptor)
    }
  }
  return { holders, unreadable, available: pids.length > 0 }
}

function linkOf(path: string): string | null {
  try {
    return readlinkSync(path)
  } catch {
    return null
  }
}

/** proc(5), fdinfo: the flags of open(2), octal; the lowest two bits say O_RDONLY, O_WRONLY or O_RDWR. */
function openForWriting(path: string): boolean {
  try {
    const flags = /^flags:\s*([0-7]+)/m.exec(readFileSync(path, 'utf8'))?.[1]
    return flags !== undefined && (Number.parseInt(flags, 8) & 0o3) !== 0
  } catch {
    return false
  }
}

function commandOf(proc: string, pid: string): string {
  try {
    return readFileSync(`${proc}/${pid}/comm`, 'utf8').trim()
  } catch {
    return '?'
  }
}
