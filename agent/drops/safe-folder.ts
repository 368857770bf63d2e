import { lstat, mkdir, realpath, statfs } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import type { Stats } from 'node:fs'
import { GracerError } from '../../inherit/gracer-error.ts'
import type { Notice } from './notice.ts'

export interface FolderFacts {
  readonly kind: 'folder' | 'link' | 'other'
  readonly uid: number
  readonly gid: number
  readonly mode: number
}

/** Whose folder gracer may watch; null where users have no numbers (Windows). */
export interface Ourselves {
  readonly uid: number
  readonly gid: number
}

export interface Unsafe {
  readonly message: string
  readonly hint: string
}

/** Why the folder must not be watched, null when it may be. What lies in it is run as our user, so nobody else may write there. */
export function judgeFolder(path: string, folder: FolderFacts, us: Ourselves | null): Unsafe | null {
  if (folder.kind === 'link') return { message: `The releases folder ${path} is a symlink.`, hint: 'Name the folder that it leads to.' }
  if (folder.kind === 'other') return { message: `The releases folder ${path} is not a folder.`, hint: 'Name a folder.' }
  if (us === null) return null
  if (folder.uid !== 0 && folder.uid !== us.uid) {
    return { message: `The releases folder ${path} belongs to user ${folder.uid}, and gracer runs as user ${us.uid}.`, hint: `Run: chown ${us.uid} ${path}` }
  }
  if ((folder.mode & 0o002) !== 0) {
    const sticky = (folder.mode & 0o1000) !== 0 ? ' (the sticky bit does not help: anybody can add a build)' : ''
    return { message: `The releases folder ${path} can be written by every user of this machine${sticky}.`, hint: `Run: chmod o-w ${path}, or use a folder of its own.` }
  }
  return null
}

/** A group may be meant to deploy, so this is told, not refused. */
export function judgeGroup(path: string, folder: FolderFacts, us: Ourselves | null): Notice | null {
  if (us === null || (folder.mode & 0o020) === 0 || folder.gid === us.gid || folder.gid === 0) return null
  return {
    code: 'group-writable',
    path,
    message: `Every member of group ${folder.gid} can write to the releases folder ${path}, and so run code as user ${us.uid}.`,
    hint: `If that is not meant, run: chmod g-w ${path}`,
  }
}

export function ourselves(): Ourselves | null {
  return process.geteuid === undefined || process.getegid === undefined ? null : { uid: process.geteuid(), gid: process.getegid() }
}

export function folderFacts(stats: Stats): FolderFacts {
  return { kind: stats.isSymbolicLink() ? 'link' : stats.isDirectory() ? 'folder' : 'other', uid: stats.uid, gid: stats.gid, mode: stats.mode }
}

/**
 * Makes the folder where it is missing (0755) and gives its real path and its lstat. Throws GracerError
 * `unsafe-folder` (exit 2) when it must not be watched.
 */
export async function prepareFolder(path: string): Promise<{ readonly folder: string; readonly stats: Stats }> {
  const wanted = resolve(path)
  let stats = await lstat(wanted).catch(missing)
  if (stats === null) {
    await mkdir(wanted, { recursive: true, mode: 0o755 })
    stats = await lstat(wanted)
  }
  const unsafe = judgeFolder(wanted, folderFacts(stats), ourselves())
  if (unsafe !== null) throw new GracerError(unsafe.message, { code: 'unsafe-folder', exitCode: 2, hint: unsafe.hint })
  return { folder: join(await realpath(dirname(wanted)), basename(wanted)), stats }
}

/** Null for "there is no such thing", for use with lstat and the like. */
export function missing(error: NodeJS.ErrnoException): null {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null
  throw error
}

/** statfs(2): NFS, SMB (three of them), 9P, FUSE and virtiofs, Ceph, AFS, VirtualBox, VMware. */
const foreign = new Set([0x6969, 0x517b, 0xff534d42, 0xfe534d42, 0x01021997, 0x65735546, 0x00c36400, 0x5346414f, 0x786f4256, 0xbacbacbc])

/** Whether this machine's clock stamps the files there. Where it does not, births and ctimes are not compared with our time. */
export async function clockIsOurs(folder: string): Promise<boolean> {
  return !isForeign((await statfs(folder)).type)
}

/** By the type that statfs(2) gives, which Node may show with a sign. */
export function isForeign(type: number): boolean {
  return foreign.has(type >>> 0)
}
