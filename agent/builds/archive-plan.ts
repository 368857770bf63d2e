import { GracerError } from '../../inherit/gracer-error.ts'
import { escapeName } from '../drops/name.ts'
import { judgeLinkTarget, judgePath } from './entry-path.ts'
import { tooLarge, tooMany, type BuildLimits } from './limits.ts'

/** The head of one entry, as the archive says it. */
export interface EntryHead {
  readonly path: string
  /** As node-tar names them. */
  readonly type: string
  readonly mode: number
  /** Bytes. */
  readonly size: number
  readonly linkTarget: string | null
}

export type Step =
  | { readonly do: 'nothing' }
  | { readonly do: 'file'; readonly path: string; readonly mode: number }
  | { readonly do: 'hard-link'; readonly path: string; readonly to: string }

/** Bytes of all paths together: what the plan holds in memory. */
const mostPathBytes = 64 * 1024 * 1024

/**
 * Decides what is to be made of an archive, entry by entry, and refuses it whole at the first one that is not taken.
 * Touches no file. Symlinks are only gathered: they are made last, so that nothing is ever written through one.
 */
export class ArchivePlan {
  /** Folders to make, each after the one it lies in, that were not asked for by an earlier `take`. */
  readonly newFolders: string[] = []
  readonly symlinks: { readonly path: string; readonly target: string }[] = []
  readonly #places = new Map<string, 'folder' | 'file' | 'link'>()
  readonly #name: string
  readonly #limits: BuildLimits
  #entries = 0
  #bytes = 0
  #pathBytes = 0

  /** `name`: what it is called in messages. */
  constructor(name: string, limits: BuildLimits) {
    this.#name = name
    this.#limits = limits
  }

  get files(): number {
    return this.#places.size
  }

  /** The names at the top of it. */
  tops(): { readonly name: string; readonly isFolder: boolean }[] {
    return [...this.#places].flatMap(([path, kind]) => (path.includes('/') ? [] : [{ name: path, isFolder: kind === 'folder' }]))
  }

  /** @throws GracerError 'archive-refused', 'build-too-large' */
  take(entry: EntryHead): Step {
    this.#entries += 1
    if (this.#entries > this.#limits.maxEntries) throw tooMany(this.#name, this.#limits)
    const verdict = judgePath(entry.path)
    if (!verdict.ok) this.#refuse(entry.path, verdict.why)
    const { path } = verdict
    switch (entry.type) {
      case 'Directory':
      case 'GNUDumpDir':
        if (path !== '') this.#folder(entry, path)
        return { do: 'nothing' }
      case 'File':
      case 'OldFile':
      case 'ContiguousFile':
        if (!Number.isSafeInteger(entry.size) || entry.size < 0) this.#refuse(entry.path, 'has an impossible size')
        this.#bytes += entry.size
        if (this.#bytes > this.#limits.maxBytes) throw tooLarge(this.#name, this.#limits)
        this.#put(entry, path, 'file')
        // setuid, setgid and sticky mean nothing good in a build; neither does a file that others may write to.
        return { do: 'file', path, mode: (entry.mode & 0o755) | 0o600 }
      case 'SymbolicLink': {
        const why = judgeLinkTarget(path, entry.linkTarget ?? '')
        if (why !== null) this.#refuse(entry.path, `is a symlink that ${why}`)
        this.#put(entry, path, 'link')
        this.symlinks.push({ path, target: entry.linkTarget ?? '' })
        return { do: 'nothing' }
      }
      case 'Link': {
        const to = judgePath(entry.linkTarget ?? '')
        if (!to.ok) this.#refuse(entry.path, `is a hard link to ${escapeName(entry.linkTarget ?? '')}, which ${to.why}`)
        if (this.#places.get(to.path) !== 'file') this.#refuse(entry.path, `is a hard link to ${escapeName(to.path)}, which is not a file that stands before it in the archive`)
        this.#put(entry, path, 'file')
        return { do: 'hard-link', path, to: to.path }
      }
      case 'FIFO':
        return this.#refuse(entry.path, 'is a FIFO')
      case 'CharacterDevice':
      case 'BlockDevice':
        return this.#refuse(entry.path, 'is a device')
      default:
        return this.#refuse(entry.path, `is of a kind that is not taken (${escapeName(entry.type)})`)
    }
  }

  #folder(entry: EntryHead, path: string): void {
    const there = this.#places.get(path)
    // A folder may stand twice: archives that were appended to have it so.
    if (there === 'folder') return
    if (there !== undefined) this.#refuse(entry.path, `stands in it twice, once as a ${there}`)
    this.#parents(entry, path)
    this.#place(path, 'folder')
    this.newFolders.push(path)
  }

  #put(entry: EntryHead, path: string, kind: 'file' | 'link'): void {
    if (path === '') this.#refuse(entry.path, 'would take the place of the folder itself')
    if (this.#places.has(path)) this.#refuse(entry.path, 'stands in it twice')
    this.#parents(entry, path)
    this.#place(path, kind)
  }

  #parents(entry: EntryHead, path: string): void {
    for (let slash = path.indexOf('/'); slash !== -1; slash = path.indexOf('/', slash + 1)) {
      const parent = path.slice(0, slash)
      const there = this.#places.get(parent)
      if (there === 'folder') continue
      if (there !== undefined) this.#refuse(entry.path, `lies below ${escapeName(parent)}, which is a ${there}`)
      this.#place(parent, 'folder')
      this.newFolders.push(parent)
    }
  }

  #place(path: string, kind: 'folder' | 'file' | 'link'): void {
    this.#pathBytes += path.length
    // Folders that no entry asks for by themselves count as well.
    if (this.#places.size >= this.#limits.maxEntries || this.#pathBytes > mostPathBytes) throw tooMany(this.#name, this.#limits)
    this.#places.set(path, kind)
  }

  #refuse(path: string, why: string): never {
    throw new GracerError(`${this.#name} is refused: in it, ${escapeName(path)} ${why}`, { code: 'archive-refused', hint: 'Nothing of it was kept. Pack it again without that.' })
  }
}
