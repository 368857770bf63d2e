import { randomBytes } from 'node:crypto'
import { closeSync, fsyncSync, linkSync, openSync, readFileSync, readdirSync, renameSync, statSync, unlinkSync, writeSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { GracerError } from '../inherit/gracer-error.ts'
import { layPulse, pulseOf } from './lock-pulse.ts'
import { ownIdentity, stateOfPid } from '../proxy/process-identity.ts'
import type { ProcessIdentity, ProcessState } from '../proxy/process-identity.ts'

/** What stands in the lock file. */
export interface LockRecord extends ProcessIdentity {
  readonly nonce: string
  readonly since: string
}

export interface Lock {
  readonly record: LockRecord
  /** Gives the lock back; a second call does nothing. */
  release(): void
}

/**
 * Takes the one lock of a state folder, or throws; waits for nothing.
 *
 * The record is written aside and published whole by link(2), which fails where the name exists: of two starters one
 * wins. A dead holder's lock is never removed and made again (two who saw it dead could each end up with it): who wants
 * it must first become its one successor, by linking `lock.after-NONCE`, and then renames over the lock. A successor
 * that dies between the two steps has successors of its own, found along the chain.
 * @throws GracerError 'locked' (exit 4) naming the pid, also where it cannot be decided whether the holder lives.
 */
export function acquireLock(path: string): Lock {
  const record: LockRecord = { ...ownIdentity(), nonce: randomBytes(8).toString('hex'), since: new Date().toISOString() }
  const aside = `${path}.${record.nonce}.tmp`
  writeDurably(aside, `${JSON.stringify(record)}\n`)
  const pulse = layPulse(`${path}.${record.nonce}.pulse`)
  try {
    // Each round that does not end saw somebody else make progress.
    for (let round = 0; round < 100; round++) {
      if (tryLink(aside, path) || succeed(path, aside, record)) {
        sweep(path, record)
        return held(path, record, pulse.stop)
      }
    }
    throw new GracerError(`the lock ${path} changes hands without end`, { code: 'locked', exitCode: 4 })
  } catch (error) {
    pulse.stop()
    throw error
  } finally {
    remove(aside)
  }
}

/** Follows the chain of dead holders to its end and tries to become the successor; false: look again. */
function succeed(path: string, aside: string, record: LockRecord): boolean {
  const first = read(path)
  if (first === null) return false
  const dead: LockRecord[] = []
  for (let holder: LockRecord | 'unreadable' | null = first; ; ) {
    if (holder === null) return false
    if (holder === 'unreadable') throw unreadable(path)
    const state = stateOfHolder(path, holder)
    if (state !== 'dead') throw locked(path, holder, state)
    dead.push(holder)
    const claim = `${path}.after-${holder.nonce}`
    if (tryLink(aside, claim)) return replace(path, claim, dead, record)
    holder = read(claim)
  }
}

/** Called by the one successor of the last of `dead`. */
function replace(path: string, claim: string, dead: readonly LockRecord[], record: LockRecord): boolean {
  // A slow starter may claim what was settled long ago: then the lock no longer names any of the dead.
  const now = read(path)
  const nonces = dead.map((holder) => holder.nonce)
  if (now === null || now === 'unreadable' || !nonces.includes(now.nonce)) {
    remove(claim)
    return false
  }
  const ready = `${path}.${record.nonce}.ready`
  linkSync(`${path}.${record.nonce}.tmp`, ready)
  renameSync(ready, path)
  for (const nonce of nonces) {
    remove(`${path}.after-${nonce}`)
    remove(`${path}.${nonce}.pulse`)
    remove(`${path}.${nonce}.tmp`)
    remove(`${path}.${nonce}.ready`)
  }
  return true
}

function held(path: string, record: LockRecord, stopPulse: () => void): Lock {
  let released = false
  return {
    record,
    release() {
      if (released) return
      released = true
      const now = read(path)
      if (now !== null && now !== 'unreadable' && now.nonce === record.nonce) remove(path)
      stopPulse()
    },
  }
}

/**
 * Is the holder alive? Its pid says so where it means the same here as there. In another container on the same kernel
 * its pulse does. After a reboot of the same host everything from before is dead. Beyond that nobody can know.
 */
function stateOfHolder(path: string, record: LockRecord): ProcessState {
  const here = ownIdentity()
  if (record.boot !== here.boot) return record.host === here.host ? 'dead' : 'unknown'
  if (record.boot === null && record.host !== here.host) return 'unknown'
  if (record.pidNamespace === here.pidNamespace) return stateOfPid(record.pid, record.start)
  return pulseOf(`${path}.${record.nonce}.pulse`)
}

/** Removes what starters left behind that were killed half way. Only files of the dead: a living one may be half way now. */
function sweep(path: string, own: LockRecord): void {
  const prefix = `${basename(path)}.`
  for (const name of readdirSync(dirname(path))) {
    if (!name.startsWith(prefix) || name.includes(own.nonce)) continue
    const file = join(dirname(path), name)
    if (name.endsWith('.pulse')) {
      if (pulseOf(file) === 'dead') remove(file)
    } else if (name.endsWith('.pulse-unborn')) {
      const found = statSync(file, { throwIfNoEntry: false })
      if (found !== undefined && found.mtimeMs < Date.now() - 60_000) remove(file)
    } else if (/\.(?:tmp|ready|after-[0-9a-f]{16})$/.test(name)) {
      const record = read(file)
      if (record !== null && record !== 'unreadable' && stateOfHolder(path, record) === 'dead') remove(file)
    }
  }
}

function locked(path: string, record: LockRecord, state: ProcessState): GracerError {
  if (state === 'alive') {
    return new GracerError(`another gracer runs on this state folder: pid ${record.pid}${record.host === ownIdentity().host ? '' : ` on host ${record.host}`}, since ${record.since}`, {
      code: 'locked',
      exitCode: 4,
      hint: '"gracer status" shows it, "gracer down" ends it; another state folder (--state) runs beside it.',
    })
  }
  return new GracerError(`the state folder is locked by pid ${record.pid} on host ${record.host} since ${record.since}, and from here it cannot be decided whether that process still lives`, {
    code: 'locked',
    exitCode: 4,
    hint: `If you are sure that it is gone, remove ${path} and start again.`,
  })
}

function unreadable(path: string): GracerError {
  return new GracerError(`the lock ${path} is no lock of gracer's, or is damaged`, { code: 'locked', exitCode: 4, hint: `If no gracer runs on this folder, remove ${path} and start again.` })
}

function read(path: string): LockRecord | 'unreadable' | null {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? null : 'unreadable'
  }
  try {
    const value = JSON.parse(text) as Partial<LockRecord>
    return typeof value.pid === 'number' && typeof value.nonce === 'string' && /^[0-9a-f]{16}$/.test(value.nonce) ? (value as LockRecord) : 'unreadable'
  } catch {
    return 'unreadable'
  }
}

function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw new GracerError(`the lock ${to} cannot be made (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`, { code: 'state-folder', exitCode: 2, cause: error, hint: 'The state folder must lie on a file system with hard links: --state DIR.' })
  }
}

/** On the disk before it is published: a power failure must not leave an empty lock. */
function writeDurably(path: string, text: string): void {
  const fd = openSync(path, 'wx', 0o600)
  try {
    writeSync(fd, text)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

function remove(path: string): void {
  try {
    unlinkSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}
