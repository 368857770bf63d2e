import { whyNoBuild } from '../builds/kind.ts'
import type { Seen } from './entry.ts'
import { mostAgain } from './guess.ts'
import { escapeName } from './name.ts'
import type { Notice } from './notice.ts'
import type { Holder, HolderScan } from './open-files.ts'
import type { Unsafe } from './safe-folder.ts'

// What a watch has to tell, one function a notice, so that the code that decides is not buried in sentences.

export function nameRefused(folder: string, name: string, reason: string): Notice {
  return {
    code: 'name-refused', path: `${folder}/${name}`,
    message: `${escapeName(name)} in ${folder} is not taken: its name ${reason}.`,
    hint: 'Names of releases match ^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$.',
  }
}

/** For what has a good name and is no build; and for a `current` that is not a symlink. */
export function notTaken(folder: string, name: string, kind: Seen['kind']): Notice {
  const path = `${folder}/${name}`
  if (name === 'current') {
    return { code: 'current-refused', path, message: `${path} is not a symlink.`, hint: '`current` has to be a symlink to the folder of a build; give anything else another name.' }
  }
  switch (kind) {
    case 'link':
      return { code: 'symlink-refused', path, message: `${path} is a symlink, and only \`current\` may be one.`, hint: 'Move or copy what it leads to there.' }
    case 'file': {
      const { what, hint } = whyNoBuild(name)
      return { code: 'file-ignored', path, message: `${path} ${what}.`, hint }
    }
    case 'folder':
    case 'other':
      return { code: 'special-refused', path, message: `${path} is neither a file nor a folder.`, hint: 'Remove it.' }
  }
}

/** A folder in which nothing changes any more, and somebody still works; or a file that somebody may still write to. */
export function stillOpen(folder: string, name: string, holders: readonly Holder[], isFile: boolean): Notice {
  const [first] = holders
  const others = holders.length > 1 ? ` and ${holders.length - 1} more` : ''
  const what = isFile ? 'has it open for writing' : first?.resident === true ? 'works in it' : 'has something open in it'
  return {
    code: 'still-open', path: `${folder}/${name}`,
    message: `${name} is not taken yet: process ${first?.pid} (${escapeName(first?.command ?? '')})${others} ${what}.`,
    hint: `It is taken when they are done. To have it taken now: touch ${folder}/${name}.ready`,
  }
}

export function markerStale(folder: string, name: string): Notice {
  return {
    code: 'marker-stale', path: `${folder}/${name}.ready`,
    message: `${name}.ready is older than ${name}, so it cannot speak for it.`,
    hint: `Touch ${name}.ready once ${name} is whole.`,
  }
}

/** A file that is whole, where the config takes none without a checksum. */
export function checksumAwaited(folder: string, name: string): Notice {
  return {
    code: 'checksum-awaited', path: `${folder}/${name}`,
    message: `${name} is whole, and waits for ${name}.sha256: the config takes none without ("builds": {"sha256": "required"}).`,
    hint: `Write it with: sha256sum ${name} > ${name}.sha256`,
  }
}

export function currentDecides(folder: string, name: string): Notice {
  return {
    code: 'current-decides', path: `${folder}/${name}`,
    message: `${name} is whole, and is not taken by itself: the symlink \`current\` in ${folder} says what is live.`,
    hint: 'Move `current` to it, or remove `current`.',
  }
}

export function keepsChanging(folder: string, name: string): Notice {
  return {
    code: 'keeps-changing', path: `${folder}/${name}`,
    message: `${name} has changed after each of the ${mostAgain + 1} times that it seemed whole, and is not taken by itself any more.`,
    hint: `Touch ${name}.ready once it is whole, or run: gracer swap ${name}`,
  }
}

export function openFilesHidden(folder: string, scan: HolderScan): Notice {
  return {
    code: 'open-files-hidden', path: folder,
    message: scan.available
      ? `The open files of ${scan.unreadable} processes cannot be seen, so a copy that one of them makes may be taken for whole too early.`
      : 'This system does not show which files are open, so a slow copy may be taken for whole too early.',
    hint: 'Copy under a name that begins with a dot and rename it, or touch NAME.ready at the end.',
  }
}

export function foreignClock(folder: string): Notice {
  return {
    code: 'foreign-clock', path: folder,
    message: `${folder} lies on a network file system, where a build that was moved in cannot be told from one that is being copied.`,
    hint: 'Touch NAME.ready beside a build, or move `current`, to have it taken at once.',
  }
}

export function watchLimit(folder: string, error: NodeJS.ErrnoException, pollMs: number): Notice {
  return {
    code: 'watch-limit', path: folder,
    message: `The system gives no events for ${folder} (${error.code ?? error.message}); it is read every ${pollMs} ms instead.`,
    hint: error.code === 'ENOSPC' ? 'Raise fs.inotify.max_user_watches with sysctl.' : 'Raise fs.inotify.max_user_instances with sysctl, or the limit of open files.',
  }
}

export function folderMissing(folder: string): Notice {
  return { code: 'folder-missing', path: folder, message: `The releases folder ${folder} is gone; what is live stays live.`, hint: 'Make it again: it is watched as soon as it is back.' }
}

export function folderBack(folder: string): Notice {
  return { code: 'folder-back', path: folder, message: `The releases folder ${folder} is watched again.`, hint: 'Nothing needs to be done.' }
}

export function folderUnsafe(folder: string, unsafe: Unsafe): Notice {
  return { code: 'unsafe-folder', path: folder, message: `${unsafe.message} Nothing is taken from it.`, hint: unsafe.hint }
}

export function readFailed(path: string, error: Error): Notice {
  return { code: 'read-failed', path, message: `${path} cannot be read: ${error.message}.`, hint: 'It is tried again; check its owner, its mode and the disk.' }
}
